"""The middleware inside real Starlette and FastAPI apps, in this process; and what importing it costs."""

import gc
import json
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from fastapi import APIRouter, FastAPI, WebSocketException
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.support.waiting import until
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


# Starlette 0.37 does not close what its GZipMiddleware packs with, and Python 3.13 complains where that is collected.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <gzip:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("where", ["inside", "around", "outside another"])
def test_it_sees_the_same_wherever_it_stands(recorder, where):
    client = TestClient(place(where, recorder), raise_server_exceptions=False)
    assert [client.get(path).status_code for path in ("/notes/1", "/boom", "/nowhere")] == [200, 500, 404]
    assert stored(recorder) == [("/notes/{note_id}", "GET", 200), ("/boom", "GET", 500), ("(unmatched)", "GET", 404)]
    [(kind, trace), _] = stored(recorder, "error_type, stack_trace", "user_errors")
    assert kind == "LookupError"
    assert trace.endswith(" boom")
    gc.collect()  # here, and not in another test


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
    assert sum(map(len, memory)) + len(json.dumps([str(key) for key in middleware._places.seen])) < 2_000_000


def test_importing_the_tracker_loads_nothing_heavy():
    heavy = ["pydantic", "apscheduler", "jinja2", "google", "numpy", "jwt", "cryptography", "aiosqlite", "starlette",
             "guardian", "asyncio", "ssl", "email"]  # fmt: skip
    code = f"import sys, json, tracker; print(json.dumps([name for name in {heavy} if name in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout) == []


# What no router has seen


class Turnstile:
    """A middleware in front of the router that answers some requests by itself."""

    def __init__(self, app, status):
        self.app, self.status = app, status

    async def __call__(self, scope, receive, send):
        if isinstance(self.status, Exception):
            raise self.status
        if self.status:
            await PlainTextResponse("no", self.status)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def chat_app(fast, *middleware):
    async def chat(request):
        return PlainTextResponse("hello")

    if fast:
        app, router = FastAPI(), APIRouter(prefix="/api")
        router.add_api_route("/chat/{room}", lambda room: "hello", methods=["GET", "POST"])
        app.include_router(router)
        app.mount("/org/{org}", Starlette(routes=[Route("/notes/{note}", chat)]))
    else:
        inner = Starlette(routes=[Route("/notes/{note}", chat)])
        app = Starlette(routes=[Route("/api/chat/{room}", chat, methods=["GET", "POST"]), Mount("/org/{org}", inner)])
    for kind, settings in middleware:
        app.add_middleware(kind, **settings)
    return app


@pytest.mark.parametrize("fast", [True, False], ids=["FastAPI", "Starlette"])
@pytest.mark.parametrize("status", [401, 429, 503, RuntimeError("maintenance")])
def test_what_a_middleware_answers_or_raises_belongs_to_the_route_that_was_meant(recorder, fast, status):
    app = chat_app(fast, (Turnstile, {"status": status}))
    client = TestClient(UsageTrackingMiddleware(app, recorder=recorder), raise_server_exceptions=False)
    for path in ("/api/chat/7", "/org/3/notes/4", "/wp-login.php", "/org/3/x", "/api/chat/7/8"):
        client.get(path)
    client.put("/api/chat/7")
    code = status if isinstance(status, int) else 500
    assert stored(recorder) == [
        ("/api/chat/{room}", "GET", code),
        ("/org/{org}/notes/{note}", "GET", code),
        ("(unmatched)", "GET", code),
        ("(unmatched)", "GET", code),
        ("(unmatched)", "GET", code),
        ("/api/chat/{room}", "OTHER", code),
    ]


@pytest.mark.parametrize("fast", [True, False], ids=["FastAPI", "Starlette"])
def test_a_method_that_a_route_does_not_have_is_other(recorder, fast):
    client = TestClient(UsageTrackingMiddleware(chat_app(fast), recorder=recorder))
    for method in ("GET", "PUT", "DELETE", "BREW", "OPTIONS", "GET"):
        client.request(method, "/api/chat/7")
    assert [row[:2] for row in stored(recorder)] == [
        ("/api/chat/{room}", method) for method in ("GET", "OTHER", "OTHER", "OTHER", "OTHER", "GET")
    ]


class CopiesScope:
    """As the ASGI specification recommends it ("Middleware")."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app(dict(scope), receive, send)


class LetIn(AuthenticationBackend):
    async def authenticate(self, conn):
        return AuthCredentials(["authenticated"]), SimpleUser("ada@example.com")


@pytest.mark.parametrize("fast", [True, False], ids=["FastAPI", "Starlette"])
@pytest.mark.parametrize("copies", [1, 3])
def test_route_and_user_are_found_behind_middleware_that_hands_on_a_copy(recorder, fast, copies):
    behind = [(AuthenticationMiddleware, {"backend": LetIn()}), *[(CopiesScope, {})] * copies]
    client = TestClient(UsageTrackingMiddleware(chat_app(fast, *behind), recorder=recorder))
    for path in ("/api/chat/7", "/org/3/notes/4", "/nowhere"):
        client.get(path)
    assert stored(recorder, "endpoint, user_email") == [
        ("/api/chat/{room}", "ada@example.com"),
        ("/org/{org}/notes/{note}", "ada@example.com"),
        ("(unmatched)", "ada@example.com"),
    ]


def test_a_path_that_is_changed_in_place_is_matched_as_it_came(recorder):
    class Rewrites:
        async def __call__(self, scope, receive, send):
            scope["path"] = "/rewritten"
            await PlainTextResponse("ok", 503)(scope, receive, send)

    app = Starlette(routes=[Route("/chat/{room}", Rewrites()), Mount("/", Rewrites())])
    client = TestClient(UsageTrackingMiddleware(app, recorder=recorder))
    client.get("/chat/7")
    client.get("/else/secret")
    assert [row[0] for row in stored(recorder)] == ["/chat/{room}", "/*"]


def test_the_routes_of_a_bare_app_are_those_that_are_named(recorder):
    app = UsageTrackingMiddleware(PlainTextResponse("ok"), recorder=recorder, routes=["/{db}/{table}", "/{db}"])
    client = TestClient(app)
    for path in ("/main", "/main/people", "/a/b/c"):
        client.get(path)
    assert [row[0] for row in stored(recorder)] == ["/{db}", "/{db}/{table}", "(unmatched)"]


def test_the_method_can_be_part_of_the_name_where_several_share_a_template(recorder):
    app = chat_app(False, (UsageTrackingMiddleware, {"recorder": recorder, "feature_names": "method"}))
    client = TestClient(app)
    client.get("/api/chat/7")
    client.post("/api/chat/7")
    client.get("/org/3/notes/4")
    assert stored(recorder, "feature_name") == [("chat_get",), ("chat_post",), ("org_notes",)]


# One recorder a file


def test_middlewares_that_name_the_same_file_share_a_recorder_that_ends_with_the_last_of_them(tmp_path):
    before = set(threading.enumerate())  # of other tests, some on their way out
    apps = [UsageTrackingMiddleware(PlainTextResponse("ok"), tmp_path / "guardian.db") for _ in range(200)]
    assert len({id(app.recorder) for app in apps}) == 1
    TestClient(apps[0]).get("/")
    recorder = apps[0].recorder
    assert recorder.flush()
    thread = recorder._writer.thread
    assert set(threading.enumerate()) - before == {thread}
    del apps
    gc.collect()
    thread.join(60)
    assert not thread.is_alive()


def test_apps_that_are_made_and_dropped_leave_neither_threads_nor_descriptors(tmp_path):
    def left():
        """The tracker's threads beside those of before, and the open files; a writer may have held an app while cycles
        were looked for, so that is done each time."""
        gc.collect()
        files = []
        for each in Path("/proc/self/fd").iterdir():
            with suppress(FileNotFoundError):  # closed by another thread since
                files.append(os.readlink(each))
        threads = {each for each in threading.enumerate() if each.name.startswith("usage-tracker")}
        return threads - before, [each for each in files if each.startswith(str(tmp_path))]

    before = set(threading.enumerate())
    gc.collect()
    gc.freeze()  # so that each look is for what the test made, and not through all that the tests before left behind
    for number in range(60):
        client = TestClient(UsageTrackingMiddleware(PlainTextResponse("ok"), tmp_path / f"{number}.db"))
        client.get("/")
        del client
    until(lambda: left() == (set(), []))


async def too_many(request, error):
    return PlainTextResponse("slow down", 429)


async def fails(request):
    raise LookupError("no")


def test_wrapping_the_app_sees_what_its_outermost_handler_answers(recorder):
    app = Starlette(routes=[Route("/chat/{room}", fails)], exception_handlers={Exception: too_many})
    client = TestClient(UsageTrackingMiddleware(app, recorder=recorder), raise_server_exceptions=False)
    assert client.get("/chat/7").status_code == 429
    assert stored(recorder) == [("/chat/{room}", "GET", 429)]


def test_inside_the_app_an_exception_that_its_outermost_handler_answers_is_a_500(recorder):
    app = Starlette(routes=[Route("/chat/{room}", fails)], exception_handlers={Exception: too_many})
    app.add_middleware(UsageTrackingMiddleware, recorder=recorder)
    client = TestClient(app, raise_server_exceptions=False)
    assert client.get("/chat/7").status_code == 429
    assert stored(recorder) == [("/chat/{room}", "GET", 500)]
    assert stored(recorder, "error_type", "user_errors") == [("LookupError",)]


class CopiesAndLetsIn:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        await self.app({**scope, "user": {"email": "ada@example.com"}}, receive, send)


def test_a_user_is_found_on_a_copy_that_a_routes_own_middleware_makes(recorder):
    async def ok(request):
        return PlainTextResponse("ok")

    def closure(app):
        async def around(scope, receive, send):
            await app({**scope, "user": {"email": "ada@example.com"}}, receive, send)

        return around

    inner = Starlette(routes=[Route("/notes/{id}", ok)])
    app = Starlette(
        routes=[
            Route("/ok/{id}", ok, middleware=[Middleware(CopiesAndLetsIn)]),
            Mount("/api", app=closure(inner)),
        ]
    )
    client = TestClient(UsageTrackingMiddleware(app, recorder=recorder))
    client.get("/ok/1")
    client.get("/api/notes/1")
    assert stored(recorder, "endpoint, user_email") == [
        ("/ok/{id}", "ada@example.com"),
        ("/api/notes/{id}", "ada@example.com"),
    ]


def test_answers_of_a_middleware_in_front_do_not_make_later_users_anonymous(recorder):
    class Gate:
        closed = True

        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            inner = PlainTextResponse("later", 503) if Gate.closed else CopiesAndLetsIn(self.app)
            await inner(scope, receive, send)

    client = TestClient(UsageTrackingMiddleware(chat_app(False, (Gate, {})), recorder=recorder))
    for _ in range(100):
        client.get("/api/chat/7")
    Gate.closed = False
    for _ in range(5):
        client.get("/api/chat/7")
    assert stored(recorder, "user_email")[-5:] == [("ada@example.com",)] * 5


def test_a_slash_too_few_belongs_to_the_route_to_which_it_is_redirected(recorder):
    async def items(request):
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/items/", items), Mount("/org/{id}", routes=[Route("/x", items)])])
    client = TestClient(UsageTrackingMiddleware(app, recorder=recorder), follow_redirects=False)
    for path in ("/items", "/org/3/x/", "/nowhere/"):
        client.get(path)
    assert stored(recorder) == [("/items/", "GET", 307), ("/org/{id}/x", "GET", 307), ("(unmatched)", "GET", 404)]


def test_a_route_of_the_apps_own_is_recorded_though_its_path_looks_like_a_static_file(recorder):
    async def asset(request):
        return PlainTextResponse("ok")

    app = Starlette(routes=[Route("/projects/{id}/assets/{name}", asset), Mount("/ui/static", PlainTextResponse("x"))])
    client = TestClient(UsageTrackingMiddleware(app, recorder=recorder))
    for path in ("/projects/3/assets/logo.png", "/ui/static/app.css", "/x/assets/none.js", "/api/health"):
        client.get(path)
    assert [row[0] for row in stored(recorder)] == ["/projects/{id}/assets/{name}"]


class Litestarlike:
    """What Litestar's routes have: a template and methods, and no pattern."""

    path, methods = "/chat/{room:int}", {"GET"}


def test_a_failure_in_front_of_litestars_router_belongs_to_the_route_that_was_meant(recorder):
    class App:
        routes = (Litestarlike(),)

        async def __call__(self, scope, receive, send):
            await PlainTextResponse("later", 503)(scope, receive, send)

    client = TestClient(UsageTrackingMiddleware(App(), recorder=recorder))
    client.get("/chat/7")
    client.post("/chat/7")
    client.get("/chat/blue")
    assert stored(recorder) == [
        ("/chat/{room}", "GET", 503),
        ("/chat/{room}", "OTHER", 503),
        ("(unmatched)", "GET", 503),
    ]


def test_a_wrong_setting_fails_a_test_client_with_its_sentence():
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("ok"))])
    app.add_middleware(UsageTrackingMiddleware, jwt_key="short")
    with pytest.raises(ValueError, match="jwt_key: the key has 5 bytes"), TestClient(app):
        pass


def test_a_host_that_forbids_calls_that_could_block_is_recorded_all_the_same(tmp_path, monkeypatch):
    """Starlette makes its middleware inside the event loop, where blockbuster refuses them."""

    def forbidden(*args, **named):
        raise RuntimeError("Blocking call")

    for module, name in ((os, "getcwd"), (os, "stat"), (os, "lstat"), (os.path, "abspath"), (os.path, "realpath")):
        monkeypatch.setattr(module, name, forbidden)
    middleware = UsageTrackingMiddleware(PlainTextResponse("ok"), tmp_path / "guardian.db")
    relative = UsageTrackingMiddleware(PlainTextResponse("ok"), "never-made.db")
    monkeypatch.undo()
    assert (middleware.problem, relative.problem) == (None, None)
    assert middleware.recorder is not None
    assert relative.recorder is not None
