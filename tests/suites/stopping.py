"""One server's life for servers.py: start it, ask it, signal it, and count what is left."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

REQUESTS = 40
PAUSE = 0.3
"""Seconds between the last answer and the signal."""
FLUSHED = 1.2
"""After so many seconds the tracker's writer has begun with what waits."""
FLIGHTS = ("/slow", "/stream", "/socket", "/block")
"""What may be under way when the signal comes."""
SLOW = 5.0
"""More seconds than that a stop must not take."""
GIVEN_UP = ("asyncio.exceptions.CancelledError", "trio.Cancelled", "KeyboardInterrupt")
"""How the traceback of a request that the server gave up ends."""
LIMIT = 20.0
"""After so many seconds the server is killed."""


class Case(NamedTuple):
    """What happens to a server: which app, what is in flight, the signal, whether the file is locked."""

    app: str = "plain"
    flight: str = ""
    how: int = signal.SIGTERM
    locked: bool = False
    not_on: tuple[str, ...] = ()


class End(NamedTuple):
    """How a server ended: answers, rows, exit code (None: killed), seconds to stop, and what it wrote."""

    answered: int
    kept: int
    others: str
    counts: str
    exit: int | None
    seconds: float
    fork_ms: int | None
    output: str

    def wrong(self, case: Case) -> list[str]:
        """What should not be."""
        found = []
        if self.answered != REQUESTS:
            found.append(f"{self.answered} of {REQUESTS} answered")
        if self.kept != self.answered and not case.locked:
            found.append(f"{self.answered - self.kept} lost")
        if case.flight and not self.others:
            found.append(f"{case.flight} lost")
        if case.locked and self.kept != self.answered and not any("lost" in line for line in self.said()):
            found.append("the loss is not logged")
        if self.exit is None:
            found.append("killed")
        if self.seconds > SLOW:
            found.append("slow to stop")
        if self.fork_ms is not None and self.fork_ms > 250:
            found.append(f"fork took {self.fork_ms} ms")
        if self.tracebacks():
            found.append(f"{self.tracebacks()} tracebacks")
        return found

    def tracebacks(self) -> int:
        """How many there are, but for those of the requests that the server itself gave up."""
        ends = [line for line in self.output.splitlines() if line.startswith(GIVEN_UP)]
        return max(0, self.output.count("Traceback (most") - len(ends))

    def said(self) -> list[str]:
        """What the tracker logged."""
        return [line.strip() for line in self.output.splitlines() if "racker" in line and "File " not in line]


def run(folder: Path, python: Path, words: str, case: Case, *, bare: bool = False) -> End:
    """Start, ask, signal, wait, count."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary, contextlib.ExitStack() as undo:
        file = Path(temporary) / "guardian.db"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if name != "SUITE_DATABASE"}
        environment |= {"PYTHONPATH": str(folder / "servers-path"), "PYTHONDONTWRITEBYTECODE": "1"}
        if not bare:
            environment["SUITE_DATABASE"] = str(file)
        command = [str(python), *words.format(app=case.app, port=port).split()]
        output = undo.enter_context((Path(temporary) / "output").open("w+"))
        process = subprocess.Popen(command, cwd=temporary, env=environment, stdout=output, stderr=output,
                                   start_new_session=True)  # fmt: skip
        undo.callback(end_group, process)
        listens(process, port)
        if case.locked and not bare:
            ask(port, "/warm")  # makes the file
            wait_for(lambda: rows(file))
            undo.enter_context(lock(file))
        answered = sum(ask(port, "/x")[0] == 200 for _ in range(REQUESTS))
        if case.flight:
            threading.Thread(target=fly, args=(port, case.flight), daemon=True).start()
        if case.locked:
            time.sleep(FLUSHED)
        fork_ms = int(ask(port, "/fork")[1] or 0) if case.locked and "trio" not in words else None
        time.sleep(PAUSE)
        began = time.monotonic()
        process.send_signal(case.how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LIMIT)
        seconds = time.monotonic() - began
        exit_code = process.poll()
        end_group(process)
        output.seek(0)
        text = output.read()
        undo.close()
        found = rows(file)
        others = ", ".join(f"{path} {status}" for path, status, _ in found if path in FLIGHTS)
        return End(answered, sum(number for path, _, number in found if path == "/x"), others, counts(file), exit_code,
                   seconds, fork_ms, text)  # fmt: skip


def listens(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server answers, or raise."""
    wait_for(lambda: process.poll() is not None or ask(port, "/favicon.ico")[0])
    if process.poll() is not None:
        raise RuntimeError(f"{process.args} ended with {process.returncode}")


def ask(port: int, path: str) -> tuple[int, str]:
    """Status and body of a request on a connection of its own; 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def fly(port: int, path: str) -> None:
    """Send a request, or open a WebSocket, and listen until the server hangs up."""
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" if path == "/socket" else ""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if upgrade else ""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), LIMIT * 2) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n{upgrade}{key}\r\n".encode())
        while connection.recv(65536):
            pass


def wait_for(what: object, limit: float = 20.0) -> None:
    """Call it until it is true."""
    end = time.monotonic() + limit
    while not what() and time.monotonic() < end:  # type: ignore[operator]
        time.sleep(0.02)


@contextlib.contextmanager
def lock(file: Path) -> Iterator[None]:
    """Hold the file as a backup or a stuck process does."""
    db = sqlite3.connect(file, timeout=5, isolation_level=None)
    db.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        db.close()


def rows(file: Path) -> list[tuple[str, int, int]]:
    """Endpoint, status and number of what is stored."""
    return query(file, "SELECT endpoint, status_code, count(*) FROM feature_usage GROUP BY 1, 2")


def counts(file: Path) -> str:
    """Accepted, stored and dropped, by the last heartbeats."""
    found = query(file, "SELECT sum(accepted), sum(stored), sum(dropped) FROM guardian_recorder")
    return str(found[0]) if found else "none"


def query(file: Path, sql: str) -> list[tuple[str, int, int]]:
    """The rows; none where there is no such file or table yet."""
    if not file.exists():
        return []
    with contextlib.closing(sqlite3.connect(file, timeout=5)) as db:
        try:
            return db.execute(sql).fetchall()
        except sqlite3.Error:
            return []


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the server and its workers."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
