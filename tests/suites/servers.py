"""A table of servers × stop signals × lifespan: what is kept of 40 answered requests, and how the server ends.

    python tests/suites/servers.py [--only WORDS] [--cases WORDS] [--cache FOLDER] [--tracker CHECKOUT]

The signal comes 300 ms after the last answer. A case in which something looks wrong is run once more with the same app
bare, so that the server's own ways are told from the tracker's. The servers live in an environment of their own, in a
temporary folder or in the one that `--cache` keeps; all listen on loopback, and each is killed in the end. Takes some
five minutes; pytest does not collect it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import platform
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PACKAGES = ("uvicorn", "uvicorn-worker", "hypercorn", "trio", "granian", "daphne", "gunicorn", "httptools", "uvloop",
            "websockets", "starlette")  # fmt: skip
REQUESTS = 40
PAUSE = 0.3
"""Seconds between the last answer and the signal."""
SLOW = 5.0
"""More seconds than that a stop must not take."""
GIVEN_UP = ("asyncio.exceptions.CancelledError", "trio.Cancelled", "KeyboardInterrupt")
"""How the traceback of a request that the server gave up ends."""
LIMIT = 20.0
"""After so many seconds the server is killed."""

UVICORN = "-m uvicorn served:{app} --port {port} --log-level warning --timeout-graceful-shutdown 1"
GUNICORN = "-m gunicorn served:{app} -b 127.0.0.1:{port} --graceful-timeout 1 --log-level warning"
GRANIAN = "-m granian served:{app} --port {port} --log-level warning --workers-kill-timeout 2"
SERVERS = {
    "uvicorn": f"{UVICORN} --lifespan on",
    "uvicorn, no lifespan": f"{UVICORN} --lifespan off",
    "uvicorn, 2 workers": f"{UVICORN} --workers 2 --lifespan on",
    "uvicorn, 2 workers, no lifespan": f"{UVICORN} --workers 2 --lifespan off",
    "hypercorn": "-m hypercorn served:{app} -b 127.0.0.1:{port} --graceful-timeout 1",
    "hypercorn, trio": "-m hypercorn served:{app} -b 127.0.0.1:{port} --graceful-timeout 1 -k trio",
    "granian": f"{GRANIAN} --interface asgi",
    "granian, no lifespan": f"{GRANIAN} --interface asginl",
    "daphne, no lifespan": "-m daphne served:{app} -p {port} -v 0",
    "gunicorn, uvicorn.workers": f"{GUNICORN} -k uvicorn.workers.UvicornWorker",
    "gunicorn, uvicorn_worker": f"{GUNICORN} -k uvicorn_worker.UvicornWorker",
    "gunicorn, uvicorn_worker, no lifespan": f"{GUNICORN} -k served.NoLifespanWorker",
    "gunicorn, asgi": f"{GUNICORN} -k asgi --asgi-lifespan on",
    "gunicorn, asgi, no lifespan": f"{GUNICORN} -k asgi --asgi-lifespan off",
}


class Case(NamedTuple):
    """What happens to a server: which app, what is in flight, the signal, whether the file is locked."""

    app: str = "plain"
    flight: str = ""
    how: int = signal.SIGTERM
    locked: bool = False
    not_on: tuple[str, ...] = ()


CASES = {
    "TERM": Case(),
    "INT": Case(how=signal.SIGINT),
    "added": Case(app="added"),
    "stream": Case(flight="/stream"),
    "slow": Case(flight="/slow"),
    "stream INT": Case(flight="/stream", how=signal.SIGINT),
    "mounted": Case(app="mounted"),
    "locked": Case(locked=True),
    "blocked": Case(flight="/block", not_on=("trio",)),
    "closed": Case(app="closed", not_on=("trio", "no lifespan")),
}


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


def main() -> int:
    """Print the table; 1 where something is wrong with the tracker that is right without."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", default="", help="servers whose name begins so")
    made.add_argument("--cases", default=",".join(CASES), help=f"of {', '.join(CASES)}; default: all")
    made.add_argument("--cache", help="keep the environment in this folder")
    made.add_argument("--tracker", default=str(ROOT), help="the checkout whose tracker is used; default: this one")
    options = made.parse_args()
    folder = Path(options.cache or tempfile.mkdtemp(prefix="servers-")).resolve()
    bad = 0
    try:
        python = prepare(folder, Path(options.tracker).resolve())
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores; {versions(python)}")
        print(f"{'server':38}{'case':12}{'kept':>8} {'in flight':20}{'exit':>5}{'s':>6}  {'fork':>5}  wrong")
        for server in SERVERS:
            for name in options.cases.split(","):
                if server.startswith(options.only) and not any(word in server for word in CASES[name].not_on):
                    bad += tell(folder, python, server, name)
    finally:
        if not options.cache:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if bad else 0


def prepare(folder: Path, tracker: Path) -> Path:
    """The Python that has the servers; made where it is missing."""
    python = folder / "servers-env" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "servers-env")], check=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
        subprocess.run([*pip, *PACKAGES], check=True)
    path = folder / "servers-path"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    (path / "tracker").symlink_to(tracker / "tracker")
    (path / "served.py").symlink_to(HERE / "served.py")
    return python


def versions(python: Path) -> str:
    """What is installed, of what matters here."""
    ask = (
        "import importlib.metadata as m, sys; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"
    )
    return subprocess.run([str(python), "-c", ask, *PACKAGES], capture_output=True, text=True).stdout.strip()


def tell(folder: Path, python: Path, server: str, name: str) -> bool:
    """Run one case and print its line; whether the tracker is to blame for what is wrong."""
    case = CASES[name]
    end = run(folder, python, server, case)
    wrong = end.wrong(case)
    print(f"{server:38}{name:12}{end.kept:>5}/{end.answered:<2} {end.others:20}{end.exit!s:>5}{end.seconds:6.1f}  "
          f"{'' if end.fork_ms is None else end.fork_ms:>5}  {'; '.join(wrong)}", flush=True)  # fmt: skip
    for line in end.said()[:4]:
        print(f"      log: {line[:200]}")
    if end.counts != f"({end.kept}, {end.kept}, 0)" and wrong:
        print(f"      accepted, stored, dropped: {end.counts}")
    if not wrong:
        return False
    if end.tracebacks():
        print(f"      last line: {end.output.strip().splitlines()[-1][:200]}")
    bare = run(folder, python, server, case, bare=True)
    same = bare.exit == end.exit and abs(bare.seconds - end.seconds) < 1
    print(f"      bare: exit {bare.exit}, {bare.seconds:.1f} s, {bare.tracebacks()} tracebacks", flush=True)
    lost = any("lost" in word or "loss" in word or "fork" in word for word in wrong)
    return lost or not same or bare.tracebacks() < end.tracebacks()


def run(folder: Path, python: Path, server: str, case: Case, *, bare: bool = False) -> End:
    """Start, ask, signal, wait, count."""
    with tempfile.TemporaryDirectory(dir=folder) as temporary, contextlib.ExitStack() as undo:
        file = Path(temporary) / "guardian.db"
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if name != "SUITE_DATABASE"}
        environment |= {"PYTHONPATH": str(folder / "servers-path"), "PYTHONDONTWRITEBYTECODE": "1"}
        if not bare:
            environment["SUITE_DATABASE"] = str(file)
        command = [str(python), *SERVERS[server].format(app=case.app, port=port).split()]
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
            threading.Thread(target=ask, args=(port, case.flight), daemon=True).start()
        fork_ms = int(ask(port, "/fork")[1] or 0) if case.locked and "trio" not in server else None
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
        others = ", ".join(f"{path} {status}" for path, status, _ in found if path in ("/slow", "/stream", "/block"))
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


if __name__ == "__main__":
    sys.exit(main())
