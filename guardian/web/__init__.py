"""The HTTP API: one table of endpoints from which routing, validation, access and /openapi.json follow."""

from guardian.web.api import create_app
from guardian.web.mounted import app

__all__ = ["app", "create_app"]
