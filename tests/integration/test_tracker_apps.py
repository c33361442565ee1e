"""The middleware inside real Starlette and FastAPI apps, in this process; and what importing it costs."""

import json
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi import FastAPI, WebSocketException
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tracker import Recorder, UsageTrackingMiddleware

ROOT = Path(__file__).parents[2]


@pytest.fixture
def recorder(tmp_path):
    recorder = Recorder(tmp_path / "guardian.db", flush_interval=3600)
    yield recorder
    recorder.close()


def stored(recorder, columns="endpoint, method, status_code", table="feature_usage"):
    assert recorder.flush()
    db = sqlite3.connect(recorder._database)
    try:
        return db.execute(f"SELECT {columns} FROM {table} ORDER BY CAST(id AS INTEGER)").fetchall()
    finally:
        db.close()


def echo_app():
    app = FastAPI()

    @app.websocket("/live/{room}")
    async def live(websocket: WebSocket, room: str):
        if room == "closed":
            raise WebSocketException(1008)
        await websocket.accept()
        while True:
            text = await websocket.receive_text()
            if text == "boom":
                raise LookupError(text)
            if text == "overload":
                await websocket.close(1013)
                return
            await websocket.send_text(text)

    return app


@pytest.mark.parametrize(
    ("room", "says", "status", "kind"),
    [
        ("one", "hello", 101, None),
        ("one", "boom", 500, "LookupError"),
        ("one", "overload", 503, "WebSocket 1013"),
        ("closed", None, 403, "HTTP 403"),
    ],
)
def test_a_websocket_of_fastapi_is_recorded_with_the_truth(recorder, room, says, status, kind):
    app = echo_app()
    app.add_middleware(UsageTrackingMiddleware, recorder=recorder)
    # The test client raises again what the app let through, an unanswered goodbye among it.
    with suppress(WebSocketDisconnect, LookupError), TestClient(app).websocket_connect(f"/live/{room}") as connection:
        connection.send_text(says)
        assert connection.receive_text() == "hello"
    assert stored(recorder) == [("/live/{room}", "WEBSOCKET", status)]
    if kind:
        assert stored(recorder, "error_type", "user_errors") == [(kind,)]


def test_a_websocket_refused_with_an_answer_has_its_status(recorder):
    async def refuse(websocket):
        await websocket.send_denial_response(JSONResponse({"detail": "no"}, status_code=401))

    app = Starlette(routes=[WebSocketRoute("/live", refuse)])
    app.add_middleware(UsageTrackingMiddleware, recorder=recorder)
    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect("/live"):
        pass
    assert stored(recorder) == [("/live", "WEBSOCKET", 401)]


def place(where, recorder):
    async def note(request):
        return PlainTextResponse("a note" * 1000)

    async def boom(request):
        raise LookupError("secret")

    app = Starlette(routes=[Route("/notes/{note_id}", note), Route("/boom", boom)])
    if where == "inside":
        app.add_middleware(UsageTrackingMiddleware, recorder=recorder)
        app.add_middleware(GZipMiddleware)
        return app
    if where == "around":
        return UsageTrackingMiddleware(app, recorder=recorder)

    async def wait(request, call_next):
        return await call_next(request)

    app.add_middleware(BaseHTTPMiddleware, dispatch=wait)
    app.add_middleware(UsageTrackingMiddleware, recorder=recorder)
    return app


@pytest.mark.parametrize("where", ["inside", "around", "outside another"])
def test_it_sees_the_same_wherever_it_stands(recorder, where):
    client = TestClient(place(where, recorder), raise_server_exceptions=False)
    assert [client.get(path).status_code for path in ("/notes/1", "/boom", "/nowhere")] == [200, 500, 404]
    assert stored(recorder) == [("/notes/{note_id}", "GET", 200), ("/boom", "GET", 500), ("(unmatched)", "GET", 404)]
    [(kind, trace), _] = stored(recorder, "error_type, stack_trace", "user_errors")
    assert kind == "LookupError"
    assert trace.endswith(" boom")


def test_the_user_that_starlette_authenticated_counts(recorder):
    class Backend(AuthenticationBackend):
        async def authenticate(self, connection):
            return AuthCredentials(), SimpleUser("Ada@Example.com")

    async def home(request):
        return PlainTextResponse("")

    app = Starlette(routes=[Route("/", home)])
    app.add_middleware(AuthenticationMiddleware, backend=Backend())
    app.add_middleware(UsageTrackingMiddleware, recorder=recorder)
    TestClient(app).get("/")
    assert stored(recorder, "user_email, feature_name") == [("ada@example.com", "home")]


async def test_ten_thousand_paths_and_methods_of_a_scanner_are_one_name(recorder):
    app = Starlette(routes=[Route("/notes/{note_id}", PlainTextResponse("a note"))])
    app.add_middleware(UsageTrackingMiddleware, recorder=recorder, jwt_key="k" * 32)

    async def send(message): ...

    for number in range(10_000):
        scope = {
            "type": "http", "method": f"SCAN{number}", "path": f"/secret-{number}.php", "root_path": "", "state": {},
            "query_string": b"", "headers": [(b"authorization", f"Bearer secret-{number}".encode())],
        }  # fmt: skip
        await app(scope, None, send)
        if number % 5_000 == 0:
            assert recorder.flush()
    assert stored(recorder, "DISTINCT user_email, endpoint, feature_name, method, status_code") == [
        ("anonymous", "(unmatched)", "(unmatched)", "OTHER", 404)
    ]
    assert recorder.stats() == (10_000, 10_000, 0, 0)
    middleware = app.middleware_stack.app
    memory = middleware.identity._tokens._refused.entries
    assert sum(map(len, memory)) + len(json.dumps([str(key) for key in middleware._places._known])) < 2_000_000


def test_importing_the_tracker_loads_nothing_heavy():
    heavy = ["pydantic", "apscheduler", "jinja2", "google", "numpy", "jwt", "cryptography", "aiosqlite", "starlette",
             "guardian", "asyncio", "ssl", "email"]  # fmt: skip
    code = f"import sys, json, tracker; print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout) == []
