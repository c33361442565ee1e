"""What mypy says of an app that uses the packages, in strict mode; they are taken as their users have them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
APP = """
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Scope
from tracker import Recorder, Stats, UsageTrackingMiddleware, name_feature, note_error, note_user


async def identify(scope: Scope) -> str | None:
    return None


async def chat(request: Request) -> PlainTextResponse:
    note_user(request, "ada@example.com")
    name_feature(request, "chat")
    note_error(request, "quota used up", failed=True)
    return PlainTextResponse("hello")


app = Starlette(routes=[Route("/chat", chat)])
"""
ADDED = """
app.add_middleware(UsageTrackingMiddleware, database="guardian.db", features={"GET /chat": "chat"}, identify=identify)
declared = Starlette(middleware=[Middleware(UsageTrackingMiddleware, database="guardian.db", skip=["/health"])])
fast = FastAPI()
fast.add_middleware(UsageTrackingMiddleware, jwks="https://example.com/keys", jwt_audience="app")
"""
DIRECT = """
wrapped: ASGIApp = UsageTrackingMiddleware(
    app, database="guardian.db", features={"GET /chat": "chat"}, identify=identify, flush_interval=0.5
)
by_name: ASGIApp = UsageTrackingMiddleware(app=app)
recorder = Recorder("guardian.db")
stats: Stats = recorder.stats()
"""
MOUNTED = """
import guardian
from guardian import EmailService, UsageGuardian, UsageRepository
from starlette.routing import Mount

mounted = guardian.app("guardian.toml")
served = Starlette(lifespan=mounted.lifespan, routes=[Mount("/guardian", mounted)])


async def report(repository: UsageRepository) -> None:
    usage = UsageGuardian(repository, reports_dir="reports", timezone="Europe/Zurich")
    await usage.generate_report()
"""


MISTAKES = {
    "UsageTrackingMiddleware(app, databse='guardian.db')": "databse",
    "UsageTrackingMiddleware(app, flush_interval='soon')": '"flush_interval" to "UsageTrackingMiddleware"',
    "app.add_middleware(UsageTrackingMiddleware, databse='guardian.db')": "databse",
    "UsageTrackingMiddleware()": 'Missing positional argument "app"',
    "UsageTrackingMiddleware(app, identify=3)": 'Argument "identify"',
    "note_user()": 'Missing positional arguments "request", "user"',
    "name_feature({}, 3)": 'Argument 2 to "name_feature"',
    "from tracker import no_such_thing": 'has no attribute "no_such_thing"',
    "from guardian import no_such_thing": 'has no attribute "no_such_thing"',
}

APPS = {"tracked": ADDED + DIRECT, "mounted": MOUNTED, "mistaken": "\n".join(MISTAKES)}
"""What follows APP in each app."""


@pytest.fixture(scope="module")
def said(made_once):
    """What mypy --strict says of each app, line by line: in one run, since they use the same libraries."""
    pytest.importorskip("mypy")

    def checked(folder):
        files = [folder / f"{name}_app.py" for name in APPS]
        for file, text in zip(files, APPS.values(), strict=True):
            file.write_text(APP + text)
        # From a folder of its own: they are found as installed packages are, by their py.typed.
        done = subprocess.run(
            # No cache: nobody would read it.
            [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", os.devnull,
             *(file.name for file in files)],
            cwd=folder, capture_output=True, text=True, timeout=300,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))},
        )  # fmt: skip
        assert not done.stderr, done.stderr
        lines = done.stdout.splitlines()
        by_app = {name: [each for each in lines if each.startswith(f"{name}_app.py:")] for name in APPS}
        assert sum(map(len, by_app.values())) == len(lines), lines
        return by_app

    return made_once("typed", checked)


def test_an_app_that_uses_the_tracker_passes_a_strict_check(said):
    assert said["tracked"] == []


def test_an_app_that_mounts_guardian_passes_a_strict_check(said):
    assert said["mounted"] == []


def test_a_mistake_is_found_by_the_check(said):
    first = APP.count("\n") + 1
    found = [line for line in said["mistaken"] if ": error: " in line]  # some have a hint below
    assert len(found) == len(MISTAKES), found
    for number, (line, words) in enumerate(MISTAKES.items(), start=first):
        assert any(f":{number}: error: " in each and words in each for each in found), (line, found)
