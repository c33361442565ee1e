"""What the recipes of docs/tracker.md share: an app is tracked, driven by real requests, and its rows are read.

They need the tracker, pytest and the library of each recipe, and nothing of the daemon. They run when they are named,
`pytest --confcutdir=tests/recipes tests/recipes`, as `make test-matrix` does, and not with all others.
"""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from tracker import error_text

HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path, config):
    named = any(HERE in (path := Path(arg.partition("::")[0]).resolve()).parents or path == HERE for arg in config.args)
    return None if named else True


@pytest.fixture(autouse=True)
def all_modules_are_read_at_once(monkeypatch):
    """What an app's author wrote is known from the first request on, however busy this machine is: a recipe's libraries
    are thousands of modules, and the tracker reads them for a moment at a time."""
    monkeypatch.setattr(error_text, "READ_SECONDS", 60)


@pytest.fixture
def database(tmp_path):
    return tmp_path / "guardian.db"


def selected(database, table, columns):
    connection = sqlite3.connect(database)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return []
        return connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY timestamp, id").fetchall()
    finally:
        connection.close()


@pytest.fixture
def rows(database):
    """What was recorded, the oldest first: `rows("user_email", "endpoint")`; call it after the end of the app."""
    return lambda *columns: selected(database, "feature_usage", columns)


@pytest.fixture
def errors(database):
    """The errors among it: `errors("error_type", "stack_trace")`."""
    return lambda *columns: selected(database, "user_errors", columns)


class Answer:
    """What the app sent: status, headers as a list of pairs, body."""

    def __init__(self, messages):
        start = next(message for message in messages if message["type"] == "http.response.start")
        self.status = start["status"]
        self.headers = [(name.decode(), value.decode()) for name, value in start["headers"]]
        self.body = b"".join(
            message.get("body", b"") for message in messages if message["type"] == "http.response.body"
        )

    def cookies(self):
        """The cookies that it sets, as the next request's Cookie header."""
        return "; ".join(value.partition(";")[0] for name, value in self.headers if name.lower() == "set-cookie")


async def ask(app, method, path, *, headers=None, body=b"", **more):
    """One request to an ASGI app, as a server makes it; an exception of the app is raised here."""
    path, _, query = path.partition("?")
    named = {"host": "testserver", "content-length": str(len(body)), **(headers or {})}
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": method,
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1), "server": ("testserver", 80), "state": {}, "extensions": {}, **more,
    }  # fmt: skip
    waiting = [{"type": "http.request", "body": body, "more_body": False}]
    sent, done = [], asyncio.Event()

    async def receive():
        if waiting:
            return waiting.pop()
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            done.set()

    await app(scope, receive, send)
    return Answer(sent)


async def talk(app, path, texts, *, headers=None, subprotocols=()):
    """One WebSocket connection that sends `texts` and leaves after as many answers; returns what the app sent."""
    path, _, query = path.partition("?")
    named = {"host": "testserver", "connection": "upgrade", "upgrade": "websocket", **(headers or {})}
    scope = {
        "type": "websocket", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "scheme": "ws",
        "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        "client": ("127.0.0.1", 1), "server": ("testserver", 80), "subprotocols": list(subprotocols), "state": {},
        "extensions": {},
    }  # fmt: skip
    waiting = [{"type": "websocket.connect"}, *({"type": "websocket.receive", "text": text} for text in texts)]
    sent, answered = [], asyncio.Event()
    expected = len(texts)

    async def receive():
        if waiting:
            return waiting.pop(0)
        await answered.wait()
        return {"type": "websocket.disconnect", "code": 1000}

    async def send(message):
        sent.append(message)
        if message["type"] == "websocket.close" or sum(m["type"] == "websocket.send" for m in sent) >= expected:
            answered.set()

    await app(scope, receive, send)
    return sent


async def lifespan(app, work):
    """Start the app, run `work(app)` and stop it, as a server does: what was recorded is stored after that."""
    to_app, from_app = asyncio.Queue(), asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    running = asyncio.ensure_future(app(scope, to_app.get, from_app.put))
    await to_app.put({"type": "lifespan.startup"})
    started = asyncio.ensure_future(from_app.get())
    await asyncio.wait((started, running), timeout=60, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        running.result()
    assert started.result()["type"] == "lifespan.startup.complete", started.result()
    try:
        return await asyncio.wait_for(work(app), 60)
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        await asyncio.wait_for(from_app.get(), 60)
        await asyncio.wait_for(running, 60)


@pytest.fixture
def drive():
    """Start an app, do the work that is given, stop it: `drive(app, work)` with `async def work(app)`."""
    return lambda app, work: asyncio.run(lifespan(app, work))


@pytest.fixture
def asking():
    return ask


@pytest.fixture
def talking():
    return talk
