"""The API over a real database, called in process: what the tests of the API share."""

import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import httpx2
import jwt

from guardian.alerting.engine import AlertState
from guardian.alerting.incidents import Incident, Memory
from guardian.application.root import open_application
from guardian.settings.schema import Settings
from guardian.web import create_app
from tests.support.events import event as made
from tests.support.stores import make_new
from tracker.event import Failure

KEY = "an admin key of at least 32 bytes!"
TOKEN = "a scheduler token of 32 or more bytes"
SCHEDULER = {"X-Guardian-Scheduler-Token": TOKEN}
NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)


def bearer(**claims):
    payload = {"sub": "admin@example.com", "role": "admin", "exp": int(time.time()) + 86_400, **claims}
    return {"Authorization": f"Bearer {jwt.encode(payload, KEY, algorithm='HS256')}"}


def make_settings(folder, **keys):
    return Settings(
        **{
            "database": folder / "guardian.db",
            "reports_dir": folder / "reports",
            "admins": ("admin@example.com",),
            "schedules": ["every 2h"],
            "mail": {"directory": folder / "mail"},
            "api": {"jwt_key": KEY, "scheduler_token": TOKEN},
            **keys,
        }
    )


def event(at, user="ada@example.com", status=200):
    failure = Failure(f"HTTP {status}", "Content Too Large") if status >= 400 else None
    return made(
        int(at.timestamp() * 1e6),
        path="/api/chat/message",
        method="POST",
        ms=20,
        user=user,
        feature="chat_message",
        status=status,
        failure=failure,
    )


EVENTS = [
    event(NOW - timedelta(minutes=90)),
    event(NOW - timedelta(minutes=80), status=413),
    event(NOW - timedelta(minutes=70), user="bob@example.com"),
    event(NOW - timedelta(hours=5), user="bob@example.com", status=500),
]


@asynccontextmanager
async def opened(folder, *, now=NOW, events=EVENTS, **keys):
    folder.mkdir(exist_ok=True)
    if "database" not in keys:
        await make_new(folder / "guardian.db")
    async with open_application(make_settings(folder, **keys), clock=lambda: now) as application:
        await application.repository.write(events)
        yield application


@asynccontextmanager
async def calling(application, headers=None):
    transport = httpx2.ASGITransport(app=create_app(application), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://guardian", headers=headers) as client:
        yield client


def mails(folder):
    return [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.rglob("*.eml"))]


async def open_incident(app, name="chat", **more):
    """An incident of feature_down that fires, as the daemon would have left it."""
    at_us = int(NOW.timestamp()) * 1_000_000
    known = {"status": "open", "opened_us": at_us, "fired_us": at_us, "told_us": at_us, "thread": name,
             "thread_subject": "chat is down"}  # fmt: skip
    incident = Incident(name, "feature_down", name, "critical", since_us=at_us, **{**known, **more})
    state = AlertState(
        at_us // 60_000_000,
        {"feature_down": Memory({name: incident})},
        version=(await app.stores.alerts.load()).version,
    )
    await app.stores.alerts.commit(state, [], now=NOW)
    return incident
