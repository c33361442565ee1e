"""Track real applications with the documented line, and say what is known: `python scripts/real-apps.py [NAME …]`.

`-v` also prints every request and every row.

For each application, one after the other: an environment of its own under a folder of the temp directory, which is kept
for the next time, with the application and the tracker of this checkout; the application without the tracker, twice, to
learn which bodies change by themselves; the application with it; the same requests to all. Each server listens on
loopback, gets 120 seconds to start and 100 to answer, and is stopped in any case. No test: it installs a lot.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlencode

from real_apps.catalogue import APPS, FORM, App

ROOT = Path(__file__).parents[1]
HOSTS = Path(__file__).parent / "real_apps"
CACHE = Path(tempfile.gettempdir()) / "guardian-real-apps"
START_SECONDS, INSTALL_SECONDS, LIFE_SECONDS = 120, 300, 100
HEADERS = (
    "content-type",
    "location",
    "cache-control",
    "www-authenticate",
    "vary",
    "etag",
    "access-control-allow-origin",
)
MIN_SAID = 2_000

Answer = tuple[int, dict[str, str], str]


def environment(name: str, app: App) -> Path:
    """The Python of the environment of an application, made if it is not there; the tracker in it is always today's."""
    folder = CACHE / name
    python = folder / "bin" / "python"
    uv = shutil.which("uv")
    if not python.exists():
        with_pip = ["--without-pip"] if uv else []
        subprocess.run([sys.executable, "-m", "venv", *with_pip, folder], check=True, timeout=INSTALL_SECONDS)
    pip = [uv, "pip", "install", "-q", "--python", str(python)] if uv else [str(python), "-m", "pip", "install", "-q"]
    wanted, installed = "\n".join((*app.packages, "uvicorn", "pyjwt[crypto]")), folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        subprocess.run([*pip, *wanted.split()], check=True, timeout=INSTALL_SECONDS)
        installed.write_text(wanted)
    again = "--reinstall-package=usage-guardian-tracker" if uv else "--force-reinstall"
    subprocess.run([*pip, again, str(ROOT / "tracker")], check=True, timeout=INSTALL_SECONDS)
    return python


class Server:
    """An application on loopback, in a folder of its own; use it in a `with`."""

    def __init__(self, python: Path, name: str, folder: Path, tracked: Path | None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        folder.mkdir(parents=True)
        # Nothing of this shell's settings; and no folder of the checkout, or else `tracker` would come from there.
        given = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        if tracked is not None:
            given["TRACKED"] = str(tracked)
        command = [str(python), "-m", "uvicorn", "--app-dir", str(HOSTS), "--port", str(self.port)]
        self._log = (folder / "server.log").open("w")
        self.process = subprocess.Popen(
            [*command, f"{name}_host:app"], cwd=folder, env=given, stdout=self._log, stderr=subprocess.STDOUT
        )
        self.ends = 0.0

    def __enter__(self) -> Server:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                self.ends = time.monotonic() + LIFE_SECONDS
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise RuntimeError(f"it did not start: {Path(self._log.name).read_text()[-MIN_SAID:]}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


def drive(server: Server, app: App) -> list[Answer]:
    """The answers to the steps, with the cookies kept as a browser keeps them."""
    cookies: dict[str, str] = {}
    answers = []
    for step in app.steps:
        left = server.ends - time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=max(1.0, min(20.0, left)))
        headers = dict(app.headers) if step.person else {}
        if cookies:
            headers["Cookie"] = "; ".join(f"{key}={value}" for key, value in cookies.items())
        if "csrftoken" in cookies:
            headers["X-CSRFToken"] = cookies["csrftoken"]
        body = None
        if step.body is not None:
            fields = {**step.body, "csrfmiddlewaretoken": cookies.get("csrftoken", "")} if step.kind == FORM else {}
            body = urlencode(fields) if step.kind == FORM else json.dumps(step.body)
            headers["Content-Type"] = step.kind
        try:
            connection.request(step.method, step.path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
            for line in answer.headers.get_all("set-cookie") or []:
                key, _, value = line.partition(";")[0].partition("=")
                cookies[key.strip()] = value.strip()
            kept = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
            answers.append((answer.status, kept, text))
        except (OSError, http.client.HTTPException) as error:
            answers.append((0, {}, type(error).__name__))
        finally:
            connection.close()
    return answers


def same(bare: list[Answer], again: list[Answer], tracked: list[Answer], ports: tuple[int, ...]) -> list[int]:
    """The steps whose answer is another one with the tracker. What changes without it, too, counts for nothing."""

    def plain(value: object) -> str:
        return re.sub("|".join(map(str, ports)), "PORT", str(value))

    differing = []
    for number, answers in enumerate(zip(bare, again, tracked, strict=True)):
        one, two, three = (tuple(map(plain, answer)) for answer in answers)
        if any(a == b != c for a, b, c in zip(one, two, three, strict=True)):
            differing.append(number)
    return differing


def recorded(database: Path) -> list[tuple[str, str, int, int]]:
    """What the tracker has of it: user, endpoint, status, success."""
    connection = sqlite3.connect(database)
    try:
        return connection.execute(
            "SELECT user_email, endpoint, status_code, success FROM feature_usage ORDER BY timestamp, id"
        ).fetchall()
    finally:
        connection.close()


def judged(app: App, answers: list[Answer], rows: list[tuple[str, str, int, int]]) -> list[str]:
    """Routes, people and failures known, each as `known/there were`."""
    found = [row for row in rows if row[2] != 404]
    # `/*` is all of an app that was mounted at the root and has no routes that we know: Flask's, under ASGI.
    routed = sum(endpoint not in ("(unmatched)", "/*") for _, endpoint, _, _ in found)
    signed_in = sum(step.person for step in app.steps) if app.who else 0
    people = sum(user == app.who for user, *_ in rows)
    strangers = {user for user, *_ in rows} - {app.who, "anonymous"}
    broken = [answer[0] >= 400 or step.fails for step, answer in zip(app.steps, answers, strict=True)]
    failures = sum(not success for *_, success in rows)
    who = f"{people}/{signed_in}" + (f" and {', '.join(sorted(strangers))}" if strangers else "")
    return [
        f"{routed}/{len(found)}",
        who if app.who else ("none" if not strangers else who),
        f"{failures}/{sum(broken)}",
    ]


def tried(name: str, app: App, said: bool) -> list[str]:
    """The line of the table of one application."""
    python = environment(name, app)
    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=CACHE) as made:
        folder = Path(made)
        runs, ports = [], []
        for run, tracked in (("bare", None), ("again", None), ("tracked", folder / "guardian.db")):
            with Server(python, name, folder / run, tracked) as server:
                runs.append(drive(server, app))
                ports.append(server.port)
        rows = recorded(folder / "guardian.db")
        if said:
            for step, answer in zip(app.steps, runs[2], strict=True):
                print("   ", step.method, step.path, answer[0])
            for row in rows:
                print("     ", *row)
        other = same(*runs, tuple(ports))
    sameness = f"{len(app.steps) - len(other)}/{len(app.steps)}"
    if other:
        sameness += " but for " + ", ".join(app.steps[number].path for number in other)
    version = subprocess.run(
        [str(python), "-c", f"from importlib.metadata import version; print(version({app.packages[0]!r}))"],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout.strip()  # fmt: skip
    return [f"{app.packages[0]} {version}", str(len(app.steps)), *judged(app, runs[2], rows), sameness]


def main(names: list[str]) -> int:
    """Try the named applications, or all; 1 where one could not be tried."""
    said = "-v" in names
    names = [name for name in names if name != "-v"] or list(APPS)
    unknown = [name for name in names if name not in APPS]
    if unknown:
        print(f"{unknown[0]} is none of {', '.join(APPS)}")
        return 2
    CACHE.mkdir(exist_ok=True)
    failed = 0
    print("| application | requests | routes known | people known | failures known | same answers |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in names:
        try:
            print("| " + " | ".join(tried(name, APPS[name], said)) + " |", flush=True)
        except (RuntimeError, OSError, subprocess.SubprocessError, sqlite3.Error) as error:
            failed = 1
            print(f"| {name} | could not be tried: {error} |", flush=True)
    return failed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server that is under way is stopped
    sys.exit(main(sys.argv[1:]))
