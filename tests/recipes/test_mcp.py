"""MCP servers of FastMCP: every call is a POST to one path, answered with 200; a middleware of theirs tells more."""

import json

import pytest

pytest.importorskip("fastmcp")

from fastmcp import FastMCP
from fastmcp.server.dependencies import get_http_request
from fastmcp.server.middleware import Middleware

from tracker import UsageTrackingMiddleware, name_feature, note_error, note_user

HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2025-06-18",
}


class Tracked(Middleware):
    async def on_call_tool(self, context, call_next):
        request = get_http_request()
        tool = await context.fastmcp_context.fastmcp.get_tool(context.message.name)
        if tool:  # a name that the server does not have is the client's own words
            name_feature(request, tool.name)
        try:
            result = await call_next(context)
        except Exception:
            note_error(request, "tool error", failed=True)
            raise
        if getattr(result, "is_error", False):
            note_error(request, "tool error", failed=True)
        return result


@pytest.mark.parametrize("stateless", [True, False])
def test_tools_are_features_and_their_errors_failures(stateless, database, drive, asking, rows):
    server = FastMCP("test", middleware=[Tracked()])

    @server.tool
    def add(a: int, b: int) -> int:
        note_user(get_http_request(), "ann@example.com")
        return a + b

    @server.tool
    def fail() -> str:
        raise ValueError("secret of a client")

    app = server.http_app(json_response=True, stateless_http=stateless)
    app.add_middleware(UsageTrackingMiddleware, database=database)

    async def work(app):
        headers = dict(HEADERS)

        async def call(method, id=1, **params):
            body = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": id} if id else {})
            return await asking(app, "POST", "/mcp", headers=headers, body=json.dumps(body).encode())

        hello = await call(
            "initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo={"name": "t", "version": "1"}
        )
        assert hello.status == 200, hello.body
        if not stateless:
            headers["mcp-session-id"] = dict(hello.headers)["mcp-session-id"]
            await call("notifications/initialized", id=None)
        answer = await call("tools/call", name="add", arguments={"a": 1, "b": 2})
        assert json.loads(answer.body)["result"]["structuredContent"] == {"result": 3}
        answer = await call("tools/call", name="fail", arguments={})
        assert json.loads(answer.body)["result"]["isError"]
        await call("tools/call", name="nothing", arguments={})

    drive(app, work)
    recorded = rows("user_email", "feature_name", "endpoint", "status_code", "success")
    assert ("ann@example.com", "add", "/mcp", 200, 1) in recorded
    assert ("anonymous", "fail", "/mcp", 200, 0) in recorded
    assert ("anonymous", "mcp", "/mcp", 200, 0) in recorded
