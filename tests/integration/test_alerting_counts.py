"""How many people an incident says it hit, between its mails too."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.judging.steps import alert_step
from guardian.application.root import open_application
from guardian.core.time import micros
from tests.support.api_client import make_settings
from tests.support.events import event as made
from tests.support.pages import text_of
from tests.support.plain import plain
from tracker.event import Failure
from tracker.sqlite.writer import Writer

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
RULES = {"error_rate": {"min_requests": 20}, "feature_down": {"features": ["chat"]}}
LONG = 100
"""More minutes than single events are kept in memory for."""


def failures(minute):
    """Three requests a minute, of three people who have not been there before."""
    at = micros(START + timedelta(minutes=minute))
    failure = Failure("Boom", "no answer", "chat.py:1 f")
    return [
        made(at + n, user=f"u{minute}-{n}@example.com", method="POST", status=500, ms=9, failure=failure)
        for n in range(3)
    ]


@pytest.fixture
async def down(tmp_path):
    """The app after 30 minutes in which every request failed, each judged as it ended; and what was told."""
    folder, clock = tmp_path / "d", [START]
    folder.mkdir()
    async with open_application(make_settings(folder, rules=RULES), clock=lambda: clock[0]) as app:
        for minute in range(30):
            with closing(Writer(str(folder / "guardian.db"))) as writer:
                writer.write(failures(minute))
            clock[0] = START + timedelta(minutes=minute + 1, seconds=10)
            await alert_step(app, clock[0], None)
        yield app


@pytest.mark.parametrize("what", ["restart", "erasure", "pause"])
async def test_a_long_incident_counts_whom_it_hit_before_what_is_in_memory(tmp_path, what):
    folder, clock, failed = tmp_path / "d", [START], set()
    folder.mkdir()
    async with open_application(make_settings(folder, rules=RULES), clock=lambda: clock[0]) as app:
        for minute in range(LONG):
            events = failures(minute)
            if what == "pause" and 70 <= minute < 75:
                events = [event._replace(status=200, failure=None) for event in events]
            failed |= {event.user for event in events if event.failure}
            with closing(Writer(str(folder / "guardian.db"))) as writer:
                writer.write(events)
            clock[0] = START + timedelta(minutes=minute + 1, seconds=10)
            if minute == 80 and what == "restart":
                app.live = None
            if minute == 80 and what == "erasure":
                assert await app.repository.erase_user("u3-1@example.com")
            await alert_step(app, clock[0], None)
        found = await app.stores.alerts.incidents()
        assert {each.rule: each.users for each in found} == dict.fromkeys(RULES, len(failed))
        for incident in found:
            assert f"{len(failed)} people were hit" in plain(await text_of(app, f"/incidents/{incident.id}"))


async def test_two_incidents_of_the_same_failures_count_the_same_people(down):
    found = {each.rule: each for each in await down.stores.alerts.incidents()}
    assert {rule: each.users for rule, each in found.items()} == {"error_rate": 90, "feature_down": 90}
    page = plain(await text_of(down, "/"))
    assert page.count("90 users") == 2
    mails = [item for item in await down.state.outbox() if item.message.kind == "alert"]
    assert len(mails) == 2, "what has grown since is no reason for another mail"


async def test_the_list_and_the_page_of_an_incident_name_the_same_number(down):
    for incident in await down.stores.alerts.incidents():
        page = plain(await text_of(down, f"/incidents/{incident.id}"))
        assert "90 users" in page and "90 people were hit" in page
