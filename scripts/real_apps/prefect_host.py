"""Prefect's server, API and pages, behind a gateway that says who somebody is."""

import os

os.environ["PREFECT_API_DATABASE_CONNECTION_URL"] = "sqlite+aiosqlite:///prefect.db"
os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"

from prefect.server.api.server import create_app

from tracker import UsageTrackingMiddleware

app = create_app(ignore_cache=True)
if "TRACKED" in os.environ:
    app.add_middleware(UsageTrackingMiddleware, database=os.environ["TRACKED"], gateway_header="X-Person")
