"""An alert's whole life on both kinds of database: the same app breaks and is repaired, and mails, pages, API and
command say the same of its cause, its release, and whom to tell."""

import asyncio
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy

import pytest

from guardian.application.judging.steps import alert_step
from guardian.application.root import open_application
from guardian.core.time import micros
from tests.support.api_client import bearer, calling, make_settings
from tests.support.events import event as made
from tests.support.firestore import address_in
from tests.support.pages import text_of
from tests.support.plain import plain
from tracker.event import ANONYMOUS, Failure
from tracker.firestore.sink import FirestoreSink, Waiting
from tracker.source import Source
from tracker.sqlite.writer import Writer

pytestmark = pytest.mark.needs_firestore

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
BROKEN, SLOW = Failure("KeyError", "no", "app.py:9 main\nchat.py:118 answer"), 9_000_000
OLD, NEW = "2.4.0", "2.4.1"
RULES = {
    "error_rate": {"window": "10m", "min_requests": 20, "resolve_after": "5m"},
    "latency": {"window": "10m", "min_requests": 20, "resolve_after": "5m", "feature": "files"},
}
WEEK = 7 * 24 * 60


class Clock:
    minute = 0

    def __call__(self):
        return START + timedelta(minutes=self.minute, seconds=10)


def request(minute, n, feature, failure=None, took=9_000):
    at, status = START + timedelta(minutes=minute, seconds=n), 500 if failure else 200
    user = ANONYMOUS if n == 7 else f"u{n}@example.com"
    return made(
        at, user=user, path=f"/api/{feature}", method="POST", feature=feature, status=status, duration_us=took,
        failure=failure,
    )  # fmt: skip


def past():
    """What came in each minute, and by which release and instance: the chat is broken from minute 10 to 18, and web-2
    is slow from minute 12 to 20. Two people who met it do not come back."""
    for minute in (*range(-WEEK, -WEEK + 20), *range(45)):
        broken, slow = 10 <= minute < 18, 12 <= minute < 20
        release = NEW if broken else OLD
        people = range(10) if minute < 18 else range(8)
        yield minute, Source(release, "web-1"), [request(minute, n, "chat", BROKEN if broken else None) for n in people]
        files = [request(minute, n + 20, "files", took=SLOW if slow else 9_000) for n in range(3)]
        yield minute, Source(release, "web-2"), files
        yield minute, Source(release, "web-1"), [request(minute, n + 30, "files") for n in range(5)]


def writers(database):
    """One process of the app for each release and instance: what writes its events."""
    made = {}

    def of(source):
        if source not in made:
            if str(database).startswith("firestore"):
                made[source] = FirestoreSink(str(database), Waiting(source))
            else:
                made[source] = Writer(str(database), made_by=source)
        return made[source]

    return of, made


@pytest.fixture(scope="module")
def said(tmp_path_factory):
    """What was said on SQLite and on Firestore, by where."""
    found = []
    for kind in ("sqlite", "firestore"):
        folder = tmp_path_factory.mktemp(kind)
        database = folder / "guardian.db" if kind == "sqlite" else address_in(folder)
        found.append(asyncio.run(lived(folder, database)))
    return found


async def lived(folder, database):
    of, made = writers(database)
    clock, told = Clock(), {}
    settings = make_settings(folder, database=database, rules=RULES, schedules=[])
    async with open_application(settings, clock=clock) as app:
        for minute, source, events in past():
            if minute >= 0 and minute + 1 != clock.minute:
                await alert_step(app, clock(), None)
                clock.minute = minute + 1
            of(source).write(events)
        await alert_step(app, clock(), None)
        incidents = sorted(await app.stores.alerts.incidents(), key=lambda each: each.rule)
        ids = {each.id: f"THE-{each.rule}" for each in incidents}
        for item in sorted(await app.state.outbox(limit=100), key=lambda each: each.id):
            mail = message_from_bytes(item.message.body, policy=policy.default)
            name = f"mail {len(told)}"
            told[name] = f"{mail['Subject']}\n{mail.get_body(('plain',)).get_content()}"
            for part in mail.iter_attachments():
                told[f"{name}: {part.get_filename()}"] = part.get_content()
        async with calling(app, bearer()) as client:
            for each in incidents:
                told[f"api {each.rule}"] = (await client.get(f"/api/guardian/alerts/{each.id}")).json()
        for each in incidents:
            for lang in ("en", "fr"):
                told[f"page {each.rule} {lang}"] = await text_of(app, f"/incidents/{each.id}", lang=lang)
            told[f"csv {each.rule}"] = await text_of(app, f"/incidents/{each.id}", **{"table": "people", "as": "csv"})
        said = {"released": app.stores.history.releases(0, micros(clock()))}
    for each in made.values():
        with closing(each):
            pass
    return said | {where: scrubbed(text, ids) for where, text in told.items()}


def scrubbed(value, ids):
    """The same without what is another in each database."""
    if isinstance(value, dict):
        return {name: scrubbed(each, ids) for name, each in value.items()}
    if isinstance(value, list):
        return [scrubbed(each, ids) for each in value]
    if not isinstance(value, str):
        return value
    for id_, name in ids.items():
        value = value.replace(id_, name)
    return re.sub(r"/a/[\w.~+/=-]{24,}", "/a/LINK", value)


def test_what_is_said_of_an_alert_is_the_same_on_both(said):
    here, there = said
    assert list(here) == list(there)
    for where, text in here.items():
        assert there[where] == text, where


def test_the_alert_names_release_error_and_instance_and_its_end_whom_to_tell(said):
    for each in said:
        mails = [plain(" ".join(text.split())) for where, text in each.items() if re.fullmatch(r"mail \d+", where)]
        broken, slow, repaired, quick = mails
        assert "What failed 500 KeyError at chat.py:118: 20 of 20 (0 of 36 requests a week before)" in broken
        assert "release 2.4.1 has 20 of 20 failures" in broken and "Released 2.4.1 at Mon 16 Mar, 09:10" in broken
        assert "instance web-2 has 6 of 6 slow requests" in slow
        assert "9 people were hit: 7 have used chat since, 2 have not come back." in repaired
        assert "8 failed requests came from people who were not signed in." in repaired
        assert "u8@example.com, u9@example.com" in repaired
        assert "3 people were hit: 3 have used files since." in quick
        assert "2 ne sont pas revenues" in plain(each["page error_rate fr"])
