"""The usual ways in which a FastAPI app knows its user: OAuth2 tutorial, API key, Basic, tokens of WebSockets."""

import asyncio
import json
import secrets
import time
from typing import Annotated
from urllib.parse import urlencode

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("python_multipart")
pytest.importorskip("jwt")

import jwt
from fastapi import Depends, FastAPI, HTTPException, WebSocket, status
from fastapi.security import (
    APIKeyHeader,
    HTTPBasic,
    HTTPBasicCredentials,
    OAuth2PasswordBearer,
    OAuth2PasswordRequestForm,
)
from starlette.requests import HTTPConnection, Request

from tracker import UsageTrackingMiddleware, name_feature, note_error, note_user

KEY = "a secret of the tests, 32 bytes or more"
FORM = {"content-type": "application/x-www-form-urlencoded"}


def form(**fields):
    return urlencode(fields).encode()


def test_the_oauth2_tutorial_needs_one_line_in_its_dependency(database, drive, asking, rows):
    app = FastAPI()
    app.add_middleware(UsageTrackingMiddleware, database=database)
    scheme = OAuth2PasswordBearer(tokenUrl="token")
    people = {"johndoe": {"username": "johndoe", "email": "johndoe@example.com", "disabled": False}}

    async def get_current_user(request: Request, token: Annotated[str, Depends(scheme)]):
        try:
            user = people[jwt.decode(token, KEY, algorithms=["HS256"])["sub"]]
        except (jwt.InvalidTokenError, KeyError):
            raise HTTPException(status.HTTP_401_UNAUTHORIZED, "Could not validate credentials") from None
        note_user(request, user)
        return user

    @app.post("/token")
    async def login(data: Annotated[OAuth2PasswordRequestForm, Depends()]):
        return {"access_token": jwt.encode({"sub": data.username, "exp": time.time() + 60}, KEY, "HS256")}

    @app.get("/users/me/items/{item}")
    async def items(item: int, user: Annotated[dict, Depends(get_current_user)]):
        return user

    async def work(app):
        answer = await asking(app, "POST", "/token", headers=FORM, body=form(username="johndoe", password="x"))
        bearer = {"authorization": "Bearer " + json.loads(answer.body)["access_token"]}
        assert (await asking(app, "GET", "/users/me/items/7", headers=bearer)).status == 200
        assert (await asking(app, "GET", "/users/me/items/x", headers=bearer)).status == 422
        assert (await asking(app, "GET", "/users/me/items/7", headers={"authorization": "Bearer x.y.z"})).status == 401

    drive(app, work)
    assert rows("user_email", "endpoint", "status_code") == [
        ("anonymous", "/token", 200),
        ("johndoe@example.com", "/users/me/items/{item}", 200),
        ("johndoe@example.com", "/users/me/items/{item}", 422),
        ("anonymous", "/users/me/items/{item}", 401),
    ]


def test_keys_and_basic_logins_are_named_by_a_line_in_their_dependency(database, drive, asking, rows):
    app = FastAPI()
    app.add_middleware(UsageTrackingMiddleware, database=database)
    keys = {"k-123": "reports@partner.example"}

    def by_key(request: Request, key: Annotated[str, Depends(APIKeyHeader(name="X-API-Key"))]):
        if key not in keys:
            raise HTTPException(403)
        note_user(request, keys[key])

    def by_password(request: Request, given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]):
        if not secrets.compare_digest(given.password, "pw"):
            raise HTTPException(401)
        note_user(request, given.username)

    @app.get("/export", dependencies=[Depends(by_key)])
    def export():
        return {}

    @app.get("/admin", dependencies=[Depends(by_password)])
    def admin():
        return {}

    async def work(app):
        for key in ("k-123", "k-124"):
            await asking(app, "GET", "/export", headers={"x-api-key": key})
        for basic in ("YW5uOnB3", "YW5uOm5v"):  # ann:pw and ann:no
            await asking(app, "GET", "/admin", headers={"authorization": f"Basic {basic}"})

    drive(app, work)
    assert rows("user_email", "endpoint", "status_code") == [
        ("reports@partner.example", "/export", 200),
        ("anonymous", "/export", 403),
        ("ann", "/admin", 200),
        ("anonymous", "/admin", 401),
    ]


def test_keys_can_be_looked_up_by_an_async_identify(database, drive, asking, rows):
    app = FastAPI()

    async def identify(scope):
        await asyncio.sleep(0)  # a query on the app's database
        return {"k-123": "reports@partner.example"}.get(HTTPConnection(scope).headers.get("x-api-key"))

    app.add_middleware(UsageTrackingMiddleware, database=database, identify=identify)

    @app.get("/export")
    def export():
        return {}

    async def work(app):
        await asking(app, "GET", "/export", headers={"x-api-key": "k-123"})
        await asking(app, "GET", "/export", headers={"x-api-key": "k-124"})

    drive(app, work)
    assert sorted(rows("user_email")) == [("anonymous",), ("reports@partner.example",)]


TOKEN = jwt.encode({"sub": "7", "email": "ann@example.com", "exp": 4_000_000_000}, KEY, "HS256")


@pytest.mark.parametrize(
    "setting, path, headers, subprotocols",
    [
        ({"jwt_cookie": "access_token"}, "/live/blue", {"cookie": f"a=b; access_token={TOKEN}"}, []),
        ({"jwt_cookie": "access_token"}, "/live/blue", {"cookie": f"access_token=Bearer {TOKEN}"}, []),
        ({"jwt_cookie": "access_token"}, "/live/blue", {"cookie": f'access_token="Bearer {TOKEN}"'}, []),
        ({"jwt_query": "token"}, f"/live/blue?x=1&token={TOKEN}", {}, []),
        ({"jwt_subprotocol": True}, "/live/blue", {}, ["bearer", TOKEN]),
    ],
    ids=["cookie", "bearer in a cookie", "quoted cookie", "query", "subprotocol"],
)
def test_a_websocket_brings_its_token_as_a_browser_can(
    setting, path, headers, subprotocols, database, drive, talking, rows
):
    app = FastAPI()
    app.add_middleware(UsageTrackingMiddleware, database=database, jwt_key=KEY, **setting)

    @app.websocket("/live/{room}")
    async def live(websocket: WebSocket, room: str):
        await websocket.accept()
        async for text in websocket.iter_text():
            await websocket.send_text(text)

    drive(app, lambda app: talking(app, path, ["hello"], headers=headers, subprotocols=subprotocols))
    assert rows("user_email", "method", "endpoint", "status_code") == [
        ("ann@example.com", "WEBSOCKET", "/live/{room}", 101)
    ]


def test_what_is_told_within_an_endpoint_is_recorded(database, drive, asking, talking, rows):
    app = FastAPI()
    app.add_middleware(UsageTrackingMiddleware, database=database)

    @app.post("/rpc")
    async def rpc(request: Request):
        name_feature(request, "chat")
        note_error(request, "the model refused", failed=True)
        return {"error": "the model refused"}

    @app.websocket("/live")
    async def live(websocket: WebSocket):
        await websocket.accept()
        note_user(websocket, "ann@example.com")
        await websocket.send_text(await websocket.receive_text())

    async def work(app):
        await asking(app, "POST", "/rpc")
        await talking(app, "/live", ["hello"])

    drive(app, work)
    assert rows("user_email", "feature_name", "success", "status_code", "error_message") == [
        ("anonymous", "chat", 0, 200, "the model refused"),
        ("ann@example.com", "live", 1, 101, None),
    ]
