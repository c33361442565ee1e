"""TiTiler serves map tiles, behind a gateway that says who somebody is."""

import os

from titiler.application.main import app

from tracker import UsageTrackingMiddleware

if "TRACKED" in os.environ:
    app.add_middleware(UsageTrackingMiddleware, database=os.environ["TRACKED"], gateway_header="X-Person")
