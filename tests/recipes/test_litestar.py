"""Litestar: its routes, and the users that its own authentication sets."""

import json
import threading
from dataclasses import dataclass

import pytest

pytest.importorskip("litestar")
pytest.importorskip("jwt")

from litestar import Litestar, WebSocket, get, post, websocket
from litestar.connection import ASGIConnection
from litestar.exceptions import HTTPException
from litestar.middleware import DefineMiddleware
from litestar.security.jwt import JWTAuth, Token

from tests.support.waiting import until
from tracker import UsageTrackingMiddleware

KEY = "a secret of the tests, 32 bytes or more"


@dataclass
class User:
    id: int
    email: str


async def find(token: Token, connection: ASGIConnection) -> User:
    return User(7, token.sub)


auth = JWTAuth[User](retrieve_user_handler=find, token_secret=KEY, exclude=["/sign-in", "/live"])


@post("/sign-in/{name:str}")
async def sign_in(name: str) -> dict:
    return {"token": auth.create_token(identifier=f"{name}@example.com")}


@get("/threads/{id:int}")
async def thread(id: int) -> dict:
    return {"id": id}


@get("/broken/{what:str}")
async def broken(what: str) -> dict:
    raise KeyError("secret of a client")


@get("/busy")
async def busy() -> dict:
    raise HTTPException(status_code=429, detail="slow down")


@websocket("/live/{room:str}")
async def live(socket: WebSocket, room: str) -> None:
    await socket.accept()
    await socket.send_text(await socket.receive_text())


HANDLERS = [sign_in, thread, broken, busy, live]


async def requests(app, asking, talking):
    token = json.loads((await asking(app, "POST", "/sign-in/ann")).body)["token"]
    bearer = {"authorization": f"Bearer {token}"}
    for path in ("/threads/7", "/threads/x", "/broken/it", "/busy"):
        await asking(app, "GET", path, headers=bearer)
    await asking(app, "GET", "/threads/7")
    await talking(app, "/live/blue", ["hello"])


def test_an_app_that_is_wrapped_tells_routes_users_and_failures(database, drive, asking, talking, rows):
    app = UsageTrackingMiddleware(Litestar(HANDLERS, on_app_init=[auth.on_app_init]), database=database)
    drive(app, lambda app: requests(app, asking, talking))
    assert rows("user_email", "endpoint", "status_code") == [
        ("anonymous", "/sign-in/{name}", 201),
        ("ann@example.com", "/threads/{id}", 200),
        ("anonymous", "(unmatched)", 404),
        ("ann@example.com", "/broken/{what}", 500),
        ("ann@example.com", "/busy", 429),
        ("anonymous", "/threads/{id}", 401),
        ("anonymous", "/live/{room}", 101),
    ]


def test_a_middleware_a_route_is_one_recorder_all_the_same(database, drive, asking, talking, rows):
    many = [get(f"/many/{number}")(busy.fn) for number in range(50)]
    app = Litestar(
        [*HANDLERS, *many],
        on_app_init=[auth.on_app_init],
        middleware=[DefineMiddleware(UsageTrackingMiddleware, database=database)],
    )
    before = threading.active_count()
    found = []

    async def work(app):
        await requests(app, asking, talking)
        for number in range(50):
            await asking(app, "GET", f"/many/{number}")
        found.append(threading.active_count() - before)

    drive(app, work)
    assert found[0] <= 5
    # Lifespan does not reach a middleware of a route: the writer stores without it.
    until(lambda: ("ann@example.com", "/threads/{id}", 200) in rows("user_email", "endpoint", "status_code"))
