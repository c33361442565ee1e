"""An MCP server with bearer tokens of FastMCP's own verifier; the line of its own is `jwt_key` with the audience."""

import os

from fastmcp import FastMCP
from fastmcp.server.auth.providers.jwt import JWTVerifier
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import Middleware

from tracker import UsageTrackingMiddleware

KEY = "a secret of the demonstration, 32 bytes"


class Tracked(Middleware):
    """The middleware of docs/tracker.md."""

    async def on_call_tool(self, context, call_next):
        """The tool's name as the feature, its error as a failure."""
        from tracker import name_feature, note_error

        name_feature(get_http_request(), context.message.name)
        try:
            return await call_next(context)
        except Exception:
            note_error(get_http_request(), "tool error", failed=True)
            raise


verifier = JWTVerifier(public_key=KEY, algorithm="HS256", audience="tools")
server = FastMCP("demo", auth=verifier, middleware=[Tracked()] if "TRACKED" in os.environ else [])


@server.tool
def add(a: int, b: int) -> int:
    """The sum."""
    return a + b


@server.tool
def fail() -> str:
    """Nothing but an error."""
    raise ValueError("a tool that fails")


app = server.http_app(json_response=True, stateless_http=True)
if "TRACKED" in os.environ:
    app.add_middleware(UsageTrackingMiddleware, database=os.environ["TRACKED"], jwt_key=KEY, jwt_audience="tools")
