"""Socket.IO around, in and under the app, and NiceGUI, which speaks it."""

import pytest

pytest.importorskip("socketio")
pytest.importorskip("fastapi")

import socketio
from fastapi import FastAPI, Request

from tracker import UsageTrackingMiddleware, note_user


def server():
    sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")

    @sio.event
    async def connect(sid, environ, auth):
        note_user(environ["asgi.scope"], (auth or {}).get("token") and "ann@example.com")

    return sio


async def connected(app, talking, path):
    """A Socket.IO client's first steps over WebSocket: Engine.IO's open, the namespace's connect (with its token)."""
    sent = await talking(app, f"{path}?EIO=4&transport=websocket", ['40{"token":"t"}', "41"])
    assert sent[1]["text"].startswith("0{"), sent


def test_socket_io_around_the_app(database, drive, asking, talking, rows):
    inner = FastAPI()

    @inner.get("/threads/{id}")
    async def thread(id: int):
        return {}

    app = UsageTrackingMiddleware(socketio.ASGIApp(server(), inner), database=database, routes=["/socket.io/"])

    async def work(app):
        assert (await asking(app, "GET", "/threads/7")).status == 200
        await connected(app, talking, "/socket.io/")

    drive(app, work)
    assert rows("user_email", "method", "endpoint", "status_code") == [
        ("anonymous", "GET", "/threads/{id}", 200),
        ("ann@example.com", "WEBSOCKET", "/socket.io/", 101),
    ]


def test_socket_io_mounted_in_the_app(database, drive, talking, rows):
    app = FastAPI()
    app.mount("/ws", socketio.ASGIApp(server(), socketio_path="/ws/socket.io"))
    app.add_middleware(UsageTrackingMiddleware, database=database)
    drive(app, lambda app: connected(app, talking, "/ws/socket.io/"))
    assert rows("user_email", "method", "endpoint", "status_code") == [
        ("ann@example.com", "WEBSOCKET", "/ws/*", 101),
    ]


def test_pages_and_sockets_of_nicegui(database, drive, asking, talking, rows):
    nicegui = pytest.importorskip("nicegui")
    app = FastAPI()

    @nicegui.ui.page("/threads/{id}")
    def page(request: Request, id: int):
        note_user(request, "ann@example.com")
        nicegui.ui.label(f"thread {id}")

    nicegui.ui.run_with(app, storage_secret="a secret of the tests")
    app.add_middleware(UsageTrackingMiddleware, database=database)

    async def work(app):
        assert (await asking(app, "GET", "/threads/7")).status == 200
        await talking(app, "/_nicegui_ws/socket.io/?EIO=4&transport=websocket", ["41"])

    drive(app, work)
    assert rows("user_email", "method", "endpoint", "status_code") == [
        ("ann@example.com", "GET", "/threads/{id}", 200),
        ("anonymous", "WEBSOCKET", "/_nicegui_ws/*", 101),
    ]
