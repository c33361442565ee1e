"""Alerts that are switched off while something fires: whoever heard the beginning hears that nobody looks any more."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.judging.steps import alert_step
from guardian.application.root import open_application
from guardian.core.time import micros
from guardian.settings.schema import Settings
from tests.support.events import event
from tracker.event import Failure

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
BOOM = Failure("Boom", "Internal Server Error", "app.py:7 f")


def failing(minute):
    """Thirty failed requests in this minute, each of another user."""
    at_us = micros(START + timedelta(minutes=minute))
    return [
        event(at_us + n, user=f"u{minute}-{n}@x.org", path="/c", status=500, duration_us=9, failure=BOOM)
        for n in range(30)
    ]


@pytest.fixture
def lived(tmp_path):
    """Lives through the minutes [first, last): gives the minutes in which messages were written, and how each incident
    ended."""

    async def go(first, last, *, enabled, rule):
        now = START
        settings = Settings(
            database=tmp_path / "guardian.db", reports_dir=tmp_path / "reports", admins=["ann@example.org"],
            mail={"sender": "g@example.com", "smtp": {"host": "127.0.0.1", "port": 1, "security": "none"}},
            alerts={"enabled": enabled}, timezone="UTC",
            rules={"error_rate": rule, **{name: {"enabled": False} for name in ("user_burst", "new_error")}},
        )  # fmt: skip
        async with open_application(settings, clock=lambda: now) as app:
            for minute in range(first, last):
                now = START + timedelta(minutes=minute + 1, seconds=10)
                await app.repository.write(failing(minute))
                await alert_step(app, now, None)
            found = sorted(await app.state.outbox(limit=100), key=lambda item: item.created_at)
            incidents = await app.stores.alerts.incidents(limit=10)
        return [(item.created_at - START) // timedelta(minutes=1) for item in found], [i.end for i in incidents]

    return go


async def test_who_heard_a_beginning_hears_that_alerts_were_switched_off(lived):
    rule = {"window": "10m"}
    begun, ends = await lived(0, 20, enabled=True, rule=rule)
    assert (len(begun), ends) == (1, [None])
    assert await lived(20, 40, enabled=False, rule=rule) == ([*begun, 21], ["removed"])


async def test_what_fires_while_alerts_are_switched_off_is_told_to_nobody(lived):
    assert await lived(0, 30, enabled=False, rule={"window": "10m"}) == ([], [])


async def test_an_end_that_waits_for_the_morning_is_told_though_alerts_are_switched_off(lived):
    rule = {"window": "10m", "quiet_hours": "09:20-10:00"}
    begun, _ = await lived(0, 15, enabled=True, rule=rule)
    told, ends = await lived(25, 70, enabled=False, rule=rule)
    assert (len(begun), ends) == (1, ["removed"])
    assert told == [*begun, 60]
