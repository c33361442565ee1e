"""Starlette's own ways to know a user, and apps without a router."""

import json
from urllib.parse import parse_qs

import pytest

pytest.importorskip("starlette")
pytest.importorskip("itsdangerous")

from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Route

from tracker import UsageTrackingMiddleware

SECRET = "a secret of the tests, 32 bytes or more"


@pytest.mark.parametrize(
    "stored", ["Ann@Example.com", {"name": "Ann", "email": "ann@example.com"}], ids=["text", "mapping"]
)
def test_a_session_names_the_user_by_the_key_that_is_set(stored, database, drive, asking, rows):
    async def login(request):
        request.session["user"] = stored
        return JSONResponse({})

    async def home(request):
        return JSONResponse(request.session)

    app = Starlette(routes=[Route("/login", login, methods=["POST"]), Route("/{page}", home)])
    app.add_middleware(SessionMiddleware, secret_key=SECRET)
    app.add_middleware(UsageTrackingMiddleware, database=database, session_user_key="user")

    async def work(app):
        cookie = {"cookie": (await asking(app, "POST", "/login")).cookies()}
        assert json.loads((await asking(app, "GET", "/home", headers=cookie)).body) == {"user": stored}
        await asking(app, "GET", "/home", headers={"cookie": "session=made-up"})

    drive(app, work)
    assert rows("user_email", "endpoint") == [
        ("ann@example.com", "/login"),
        ("ann@example.com", "/{page}"),
        ("anonymous", "/{page}"),
    ]


def test_the_authentication_middleware_needs_no_setting(database, drive, asking, rows):
    class Backend(AuthenticationBackend):
        async def authenticate(self, conn):
            if conn.headers.get("x-key") == "good":
                return AuthCredentials(["authenticated"]), SimpleUser("ann@example.com")

    async def home(request):
        return JSONResponse({})

    app = Starlette(routes=[Route("/", home)])
    app.add_middleware(AuthenticationMiddleware, backend=Backend())
    app.add_middleware(UsageTrackingMiddleware, database=database)

    async def work(app):
        await asking(app, "GET", "/", headers={"x-key": "good"})
        await asking(app, "GET", "/")

    drive(app, work)
    assert rows("user_email") == [("ann@example.com",), ("anonymous",)]


def test_an_app_without_a_router_is_told_its_routes(database, drive, asking, rows):
    async def bare(scope, receive, send):
        if scope["type"] != "http":
            raise AssertionError("only HTTP")
        found = "secret" not in scope["path"]
        await send({"type": "http.response.start", "status": 200 if found else 404, "headers": []})
        await send(
            {"type": "http.response.body", "body": json.dumps(parse_qs(scope["query_string"].decode())).encode()}
        )

    app = UsageTrackingMiddleware(
        bare, database=database, routes=["/", "/{db}", "/{db}/{table}", "/{db}/{table}/{row}"]
    )

    async def work(app):
        for path in (
            "/",
            "/fixtures",
            "/fixtures/people?_size=5",
            "/fixtures/people/7",
            "/a/b/c/d/e",
            "/fixtures/secret",
        ):
            await asking(app, "GET", path)

    drive(app, work)
    assert rows("endpoint", "status_code") == [
        ("/", 200),
        ("/{db}", 200),
        ("/{db}/{table}", 200),
        ("/{db}/{table}/{row}", 200),
        ("(unmatched)", 200),
        ("/{db}/{table}", 404),
    ]
