"""Real apps on real uvicorn processes: what is recorded of real requests, and what is left after each kind of end."""

import os
import signal
import socket
import sqlite3
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx2
import jwt
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.integration.tracked_app import KEY
from tests.support.forking import forking
from tests.support.ports import free_port
from tests.support.waiting import until

HERE = Path(__file__).parent
UVICORN = "from uvicorn.main import main\nmain()"
"""The command `uvicorn`; its workers are processes that nobody has prepared."""


class Server:
    def __init__(self, prepared, path, app, *options):
        self.path = path
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        module = "api" if app == "api" else "app"
        self.process = prepared.start(
            f"tests.integration.tracked_{module}:{app}", "--log-level", "warning", "--port", str(self.port), *options,
            program=UVICORN, cwd=HERE.parent.parent, env={**os.environ, "TRACKED_DATABASE": str(path)},
        )  # fmt: skip

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
        except OSError:
            assert self.process.poll() is None, self.process.said()
            return False
        return True

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()
        self.output = "".join(Path(each).read_text() for each in self.process.streams)

    def rows(self, sql):
        if not self.path.exists():
            return []
        db = sqlite3.connect(self.path)
        try:
            return db.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []  # not made yet
        finally:
            db.close()


@pytest.fixture(scope="module")
def prepared():
    """A process that has loaded what each server needs."""
    with forking(
        path=[HERE.parent.parent], libraries=["uvicorn.main", "starlette.testclient", "jwt", "tracker"]
    ) as run:
        yield run


@pytest.fixture
def serve(prepared, tmp_path):
    servers = []

    def start(app, *options):
        servers.append(server := Server(prepared, tmp_path / "guardian.db", app, *options))
        until(server.listens)  # one that does not come up is killed as well
        return server

    yield start
    for server in servers:
        server.process.kill()
        server.process.wait()


def token(email="ada@example.com", key=KEY):
    return {"authorization": "Bearer " + jwt.encode({"email": email, "exp": time.time() + 600}, key, "HS256")}


def leave_early(port, path):
    """Read the beginning of an answer and hang up."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert b"200 OK" in connection.recv(4096)


def test_what_a_fastapi_app_does_for_its_users_is_recorded_with_the_truth(serve):
    server = serve("api")

    def ask(method, path, headers=None, **body):
        # A connection each: uvicorn hangs up after an exception.
        return httpx2.request(method, server.url + path, headers=headers or token(), **body)

    ask("GET", "/api/threads/17?q=secret-query")
    ask("GET", "/api/threads/secret-word")
    ask("POST", "/api/upload", content=b"secret-body" * 100)
    ask("POST", "/api/parse", content=b"secret-body")
    ask("GET", "/api/quota")
    ask("GET", "/api/boom/secret-path")
    ask("GET", "/api/stream/ends")
    ask("GET", "/org/secret-org/notes/secret-note")
    ask("GET", "/secret/place")
    ask("PUT", "/api/upload")
    ask("GET", "/api/threads/1", token("eve@example.com", "another key, which is not the app's own"))
    ask("GET", "/api/threads/1", {"x-user-email": "eve@example.com"})
    ask("BREW", "/api/threads/1")
    with pytest.raises(httpx2.RemoteProtocolError):
        ask("GET", "/api/stream/breaks")
    leave_early(server.port, "/api/stream/lasts")
    until(
        lambda: server.rows("SELECT 1 FROM feature_usage WHERE endpoint LIKE '%stream%' AND user_email = 'anonymous'")
    )
    server.end()
    found = server.rows(
        "SELECT user_email, method, endpoint, feature_name, status_code, error_message FROM feature_usage"
    )
    ada, eve = "ada@example.com", "anonymous"
    thread = ("/api/threads/{thread_id}", "threads")
    assert Counter(found) == Counter(
        [
            (ada, "GET", *thread, 200, None),
            (ada, "GET", *thread, 422, "Unprocessable Content"),
            (ada, "POST", "/api/upload", "document_upload", 413, "File too large"),
            (ada, "POST", "/api/parse", "parse", 400, "Bad Request"),
            (ada, "GET", "/api/quota", "quota", 429, "the quota of the day is used up"),
            (ada, "GET", "/api/boom/{secret}", "boom", 500, "Internal Server Error"),
            (ada, "GET", "/api/stream/{how}", "stream", 200, None),
            (ada, "GET", "/org/{org_id}/notes/{note_id}", "org_notes", 200, None),
            (ada, "GET", "(unmatched)", "(unmatched)", 404, "Not Found"),
            (ada, "OTHER", "/api/upload", "upload", 405, "Method Not Allowed"),
            (eve, "GET", *thread, 200, None),
            (eve, "GET", *thread, 200, None),
            (ada, "OTHER", *thread, 405, "Method Not Allowed"),
            (ada, "GET", "/api/stream/{how}", "stream", 500, "response aborted after it had begun"),
            (eve, "GET", "/api/stream/{how}", "stream", 200, None),
        ]
    )
    kinds = dict(server.rows("SELECT error_type, stack_trace FROM user_errors WHERE error_code = 500"))
    assert list(kinds) == ["LookupError", "ConnectionAbortedError"]
    assert kinds["LookupError"].endswith(" boom")
    stored = b"".join(file.read_bytes() for file in server.path.parent.iterdir())
    assert b"secret-" not in stored
    assert b"eve@" not in stored


def hit(server, path, times):
    """How many of so many requests on one connection are answered with 200. httpx2 would take five times as long."""
    statuses, headers = [], token()
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        for _ in range(times):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
    return statuses.count(200)


@pytest.mark.parametrize(("app", "path"), [("api", "/api/threads/1"), ("starlette", "/notes/1"), ("bare", "/x")])
def test_a_server_that_is_asked_to_stop_loses_nothing(serve, app, path):
    server = serve(app)
    assert hit(server, path, 150) == 150
    server.end(signal.SIGTERM)
    assert server.rows("SELECT count(*), count(DISTINCT id) FROM feature_usage") == [(150, 150)]
    assert server.rows("SELECT accepted, stored, dropped FROM guardian_recorder") == [(150, 150, 0)]


def test_a_server_stopped_from_the_keyboard_loses_nothing_even_without_lifespan(serve):
    server = serve("bare", "--lifespan", "off")
    assert hit(server, "/x", 150) == 150
    server.end(signal.SIGINT)
    assert server.rows("SELECT count(*) FROM feature_usage") == [(150,)]


def test_a_killed_server_keeps_what_it_had_stored_and_the_next_one_goes_on(serve):
    server = serve("starlette")
    assert hit(server, "/notes/1", 100) == 100
    until(lambda: server.rows("SELECT count(*) FROM feature_usage") == [(100,)])
    assert hit(server, "/notes/1", 50) == 50
    server.end(signal.SIGKILL)
    [(kept,)] = server.rows("SELECT count(*) FROM feature_usage")
    assert 100 <= kept <= 150
    assert server.rows("PRAGMA integrity_check") == [("ok",)]
    server = serve("starlette")
    assert hit(server, "/notes/1", 10) == 10
    server.end()
    assert server.rows("SELECT count(*) FROM feature_usage") == [(kept + 10,)]


def test_two_workers_lose_nothing_and_take_no_number_twice(serve):
    server = serve("starlette", "--workers", "2")
    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(lambda _: hit(server, "/notes/1", 50), range(16))) == 800
    server.end()
    assert server.rows("SELECT count(*), count(DISTINCT id) FROM feature_usage") == [(800, 800)]
    assert server.rows("SELECT sum(accepted), sum(stored), sum(dropped) FROM guardian_recorder") == [(800, 800, 0)]
    assert server.rows("SELECT count(*) FROM user_sessions") == [(1,)]


def test_a_host_whose_database_cannot_be_used_goes_on_serving(serve, tmp_path):
    (tmp_path / "guardian.db").write_text("a shopping list, not a database" * 100)
    server = serve("starlette")
    assert hit(server, "/notes/1", 50) == 50
    server.end()
    assert server.output.count("The tracker") <= 1
    assert "Traceback" not in server.output


def test_real_websockets_are_recorded_with_how_they_ended_and_how_long_they_lasted(serve):
    server = serve("api", "--ws", "websockets-sansio")
    url = f"ws://127.0.0.1:{server.port}/api/live"

    def talk(room, *words, hang_up=False):
        with connect(f"{url}/{room}?token=secret-query", additional_headers=token()) as socket:
            for word in words:
                socket.send(word)
                if word == "secret-word":
                    assert socket.recv() == word
            if hang_up:
                socket.socket.shutdown(2)  # without a word of farewell, as a laptop that falls asleep
            elif words and words[-1] in ("bye", "break"):
                with pytest.raises(ConnectionClosed):
                    socket.recv()

    talk("leaves", "secret-word")
    talk("is-sent-away", "secret-word", "bye")
    talk("breaks", "secret-word", "break")
    talk("vanishes", "secret-word", hang_up=True)
    with pytest.raises(InvalidStatus):
        talk("closed")
    rows = until(lambda: len(found := server.rows(WEBSOCKETS)) == 5 and found)
    assert Counter(rows) == {
        ("/api/live/{room}", "WEBSOCKET", 101, 1, "ada@example.com", None): 3,
        ("/api/live/{room}", "WEBSOCKET", 500, 0, "ada@example.com", "LookupError"): 1,
        ("/api/live/{room}", "WEBSOCKET", 403, 0, "ada@example.com", "HTTP 403"): 1,
    }
    server.end()
    assert b"secret" not in server.path.read_bytes()


WEBSOCKETS = """
    SELECT u.endpoint, u.method, u.status_code, u.success, u.user_email, e.error_type
    FROM feature_usage u LEFT JOIN user_errors e ON e.id = u.id
"""
