"""Quart with the shim of one line: routes, users of Quart-Auth, failures and WebSockets."""

import json

import pytest

pytest.importorskip("quart")
pytest.importorskip("quart_auth")

from quart import Quart, abort, request, websocket
from quart_auth import AuthUser, QuartAuth, current_user, login_required, login_user

from tracker import note_user
from tracker.quart import template, track


@pytest.fixture
def application(database):
    app = Quart(__name__)
    app.secret_key = "a secret of the tests, 32 bytes or more"
    QuartAuth(app, cookie_secure=False)

    @app.post("/sign-in/<name>")
    async def sign_in(name):
        login_user(AuthUser(f"{name}@example.com"))
        return {}

    @app.get("/threads/<int:id>")
    @login_required
    async def thread(id):
        return {"id": id, "user": current_user.auth_id}

    @app.get("/noted")
    async def noted():
        note_user(request, "key-7@example.com")
        return {}

    @app.get("/broken/<string(length=2):lang>")
    async def broken(lang):
        raise KeyError("secret of a client")

    @app.get("/gone/<path:rest>")
    async def gone(rest):
        abort(410)

    @app.websocket("/live/<room>")
    async def live(room):
        await websocket.send(await websocket.receive())

    return track(app, database=database)


def test_routes_users_and_failures_are_known(application, drive, asking, talking, rows):
    async def work(app):
        cookie = {"cookie": (await asking(app, "POST", "/sign-in/ann")).cookies()}
        answer = await asking(app, "GET", "/threads/7", headers=cookie)
        assert json.loads(answer.body) == {"id": 7, "user": "ann@example.com"}
        assert (await asking(app, "GET", "/threads/7")).status == 401
        await asking(app, "GET", "/noted", headers=cookie)
        assert (await asking(app, "GET", "/broken/fr")).status == 500
        assert (await asking(app, "GET", "/gone/a/b")).status == 410
        assert (await asking(app, "GET", "/nowhere/ann@example.com")).status == 404
        assert (await talking(app, "/live/blue", ["hello"], headers=cookie))[1]["text"] == "hello"

    drive(application, work)
    assert rows("user_email", "method", "endpoint", "status_code") == [
        ("ann@example.com", "POST", "/sign-in/{name}", 200),
        ("ann@example.com", "GET", "/threads/{id}", 200),
        ("anonymous", "GET", "/threads/{id}", 401),
        ("key-7@example.com", "GET", "/noted", 200),
        ("anonymous", "GET", "/broken/{lang}", 500),
        ("anonymous", "GET", "/gone/{rest}", 410),
        ("anonymous", "GET", "(unmatched)", 404),
        ("ann@example.com", "WEBSOCKET", "/live/{room}", 101),
    ]


def test_an_exception_is_known_by_its_kind_and_place_and_a_wrong_method_by_its_route(
    application, drive, asking, errors, rows
):
    async def work(app):
        await asking(app, "GET", "/broken/fr")
        await asking(app, "DELETE", "/threads/7")

    drive(application, work)
    (error, trace), _ = errors("error_type", "stack_trace")
    assert error == "KeyError" and trace.endswith(" broken")
    assert rows("method", "endpoint", "status_code")[1] == ("OTHER", "/threads/{id}", 405)


def test_an_app_that_only_has_quart_auth_installed_is_tracked_too(database, drive, asking, rows):
    app = Quart(__name__)

    @app.get("/")
    async def home():
        return {}

    async def work(app):
        assert (await asking(app, "GET", "/")).status == 200

    drive(track(app, database), work)
    assert rows("user_email", "endpoint") == [("anonymous", "/")]


@pytest.mark.parametrize(
    "rule, expected",
    [
        ("/", "/"),
        ("/threads/<id>", "/threads/{id}"),
        ("/<any(about, help, 'a,b'):page>/x", "/{page}/x"),
        ("/<regex('[a-z]{2}:<x>'):lang>/<int:id>.json", "/{lang}/{id}.json"),
    ],
)
def test_templates_come_from_rules(rule, expected):
    assert template(rule) == expected
