"""`guardian run` as a process of its own: what its log says, and how it is stopped."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
PATIENT = """
import guardian.web.daemon
from guardian.cli import main
guardian.web.daemon.STOP_SECONDS = 60
"""
"""A stop may take as long as the machine needs."""


@pytest.fixture
def settings(tmp_path):
    """A file of settings, with a port that is free."""
    file = tmp_path / "guardian.toml"
    port = free_port()
    file.write_text(f'admins = ["ada@example.com"]\nschedules = ["daily at 08:00"]\n[api]\nport = {port}\n')
    return file


CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("GUARDIAN_", "NOTIFY_"))}


@pytest.fixture
def run(settings, loaded, tmp_path):
    """Start `guardian run`, behind lines of Python where some are given; (the process, what it has logged so far). It
    is a process that nobody has prepared, if these lines are to come before all modules."""
    started = []

    def begin(before="", *, prepared=True):
        code = f"{before}\n{PATIENT}\nmain(['run', '--config', {str(settings)!r}])\n"
        if prepared:
            child = loaded.start(program=code, cwd=tmp_path, env=CLEAN)
            said = child.said
        else:
            log = tmp_path / "log"
            with log.open("w") as stderr:
                child = subprocess.Popen(
                    [sys.executable, "-c", code], cwd=tmp_path, env=CLEAN | {"PYTHONPATH": str(ROOT)}, stderr=stderr
                )
            said = log.read_text
        started.append(child)
        return child, said

    yield begin
    for child in started:
        child.kill()
        child.wait()


def ready(child, said):
    """Wait until the log says so; a process that ended before fails with its log."""
    until(lambda: "Ready: this process leads\n" in said() or child.poll() is not None)
    assert child.poll() is None, said()


def test_the_log_says_that_it_leads_when_the_next_report_goes_out_and_that_it_stops(run):
    child, said = run()
    ready(child, said)
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0
    assert "INFO guardian.daemon: daily at 08:00" in said()
    assert said().endswith("INFO guardian.daemon: Stopping\n")


# A library that logs an event of no interest at the moment at which the daemon is ready.
CHATTY = """
import logging, guardian.web.daemon
tell = guardian.web.daemon.sd_notify
def chat(message):
    logging.getLogger("library").info("a request was sent")
    logging.getLogger("library").warning("a request was odd")
    tell(message)
guardian.web.daemon.sd_notify = chat
"""


def test_libraries_log_their_warnings_only(run):
    child, said = run(CHATTY)
    ready(child, said)
    until(lambda: "WARNING library: a request was odd" in said())
    assert "a request was sent" not in said()


# What Python has on Unix only, as far as anything of ours could touch it.
AS_ON_WINDOWS = """
import asyncio, os, sys
for name in ("fcntl", "grp", "pwd", "resource"):
    sys.modules[name] = None
del os.fork, os.geteuid, os.getuid, os.register_at_fork, os.statvfs
def add_signal_handler(loop, *_):
    raise NotImplementedError
asyncio.SelectorEventLoop.add_signal_handler = add_signal_handler
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_what_windows_lacks_it_runs_in_the_foreground_until_it_is_interrupted(run, number):
    child, said = run(AS_ON_WINDOWS, prepared=False)
    ready(child, said)
    child.send_signal(number)
    assert child.wait(60) == 0
    assert said().endswith("INFO guardian.daemon: Stopping\n")


def test_without_what_windows_lacks_an_app_is_tracked(tmp_path):
    code = """
import sqlite3
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from tracker import UsageTrackingMiddleware
app = Starlette(routes=[Route("/chat", lambda request: PlainTextResponse("hello"))])
app.add_middleware(UsageTrackingMiddleware, database="guardian.db")
with TestClient(app) as client:
    client.get("/chat")
print(sqlite3.connect("guardian.db").execute("SELECT endpoint, status_code FROM feature_usage").fetchall())
"""
    done = subprocess.run(
        [sys.executable, "-c", AS_ON_WINDOWS + code],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "[('/chat', 200)]\n", done.stderr
