"""MLflow's tracking server: FastAPI round a Flask app, behind a gateway that says who somebody is."""

import os

os.environ["_MLFLOW_SERVER_FILE_STORE"] = os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = "./artifacts"

from mlflow.server.fastapi_app import app

from tracker import UsageTrackingMiddleware

if "TRACKED" in os.environ:
    app.add_middleware(UsageTrackingMiddleware, database=os.environ["TRACKED"], gateway_header="X-Person")
