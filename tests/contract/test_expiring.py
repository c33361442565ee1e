"""Single events may be deleted by Firestore itself, later than by the daemon, and meanwhile do not count."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.upkeep import clean_up
from guardian.core.time import micros
from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.expiring import let_expire
from tests.support.api_client import opened
from tests.support.events import event as made
from tests.support.firestore import INDEXES, address_in, indexes, not_indexed
from tracker.event import Client
from tracker.firestore import expiry
from tracker.firestore.address import parse
from tracker.firestore.sink import FirestoreSink
from tracker.sink import Heartbeat

pytestmark = pytest.mark.needs_firestore
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
DAY_US = 86_400 * 1_000_000
TTL = ("feature_usage", "guardian_asked", "guardian_clients", "guardian_recorder_notes", "guardian_recorders")


@pytest.fixture
def address(tmp_path):
    return address_in(tmp_path)


@pytest.fixture
def documents(address):
    return Documents(parse(address))


def event(ago=timedelta(), **more):
    return made(NOW - ago, **more)


def expiries(documents, collection="feature_usage"):
    """In how many days from now each document expires; None for never."""
    found = [each.fields.get("expires") for each in documents.query(collection)]
    return sorted((None if at is None else round((at - NOW) / DAY, 1) for at in found), key=lambda days: days or 0)


def test_the_indexes_file_names_each_field_and_none_is_indexed():
    import json

    listed = json.loads(INDEXES.read_text())["fieldOverrides"]
    assert sorted(each["collectionGroup"] for each in listed if each.get("ttl")) == sorted(TTL)
    assert {each["fieldPath"] for each in listed if each.get("ttl")} == {expiry.FIELD}
    assert {(name, expiry.FIELD) for name in TTL} <= not_indexed()
    assert not [each for each in indexes() if expiry.FIELD in dict(each[1])]


async def test_what_is_recorded_expires_two_days_after_the_retention_that_the_daemon_was_told(address, documents):
    sink = FirestoreSink(address)
    sink.write([event()])
    assert expiries(documents) == [None]  # no daemon has run yet
    await FirestoreRepository(address).let_expire(30 * DAY, NOW)
    beat = Heartbeat("host:1", micros(NOW), micros(NOW), 1, 1, 0, "1")
    sink = FirestoreSink(address)
    sink.write([event(client=Client("198.51.100.7", None))], heartbeat=lambda *_: beat, notes=[("a", "b", 1)])
    assert expiries(documents) == [None, 32.0]
    for collection in ("guardian_clients", "guardian_recorders", "guardian_recorder_notes"):
        assert expiries(documents, collection) == [32.0]


async def test_a_cleanup_tells_the_trackers_the_retention_of_the_settings(tmp_path, address, documents):
    async with opened(tmp_path / "d", now=NOW, events=[], database=address, retention={"events_days": 7}) as app:
        await clean_up(app, NOW)
        await app.repository.write([event(DAY)])
    assert expiries(documents) == [8.0]


async def test_a_retention_of_for_ever_has_no_end_in_any_calendar(address, documents):
    await FirestoreRepository(address).let_expire(1_000_000 * DAY, NOW)
    FirestoreSink(address).write([event()])
    assert expiries(documents) == [36_502.0]


async def test_what_has_expired_counts_nowhere_though_it_is_still_there(address, documents):
    repository = FirestoreRepository(address)
    await repository.write([event(40 * DAY, user="old@example.com"), event(DAY, user="new@example.com")])
    old = min(documents.query("feature_usage"), key=lambda each: each.fields["start"])
    documents.commit([Change("feature_usage", old.name, {"expires": NOW - DAY}, old.version)])
    summary = await repository.summary(NOW - 60 * DAY, NOW + DAY)
    assert set(summary.users) == {"new@example.com"}
    assert [e.user async for some in repository.events(NOW - 60 * DAY, NOW + DAY) for e in some] == ["new@example.com"]
    await repository.seal(NOW + DAY)
    assert (await repository.summary(NOW - 60 * DAY, NOW + DAY)).requests == 1
    assert await repository.purge(events_before=NOW - 30 * DAY, summaries_before=NOW - 90 * DAY) == 1
    assert [each.fields["count"] for each in documents.query("feature_usage")] == [1]


async def test_where_only_what_has_expired_is_left_there_is_no_newest_event(address, documents):
    repository = FirestoreRepository(address)
    await repository.write([event(40 * DAY)])
    [old] = documents.query("feature_usage")
    documents.commit([Change("feature_usage", old.name, {"expires": NOW - DAY}, old.version)])
    assert await repository.newest_event(NOW) is None


def test_a_longer_retention_lets_what_is_there_expire_later_and_what_trackers_of_before_write(address, documents):
    now_us = micros(NOW)
    let_expire(documents, 10 * DAY_US, now_us)
    early = FirestoreSink(address)
    early.write([event()])
    assert let_expire(documents, 20 * DAY_US, now_us) == 1
    early.write([event()])  # it will ask in an hour
    assert expiries(documents) == [12.0, 22.0]
    assert let_expire(documents, 20 * DAY_US, now_us + DAY_US) == 1
    assert expiries(documents) == [22.0, 22.0]
    assert let_expire(documents, 20 * DAY_US, now_us + 3 * DAY_US) == 0
    assert let_expire(documents, 5 * DAY_US, now_us + 3 * DAY_US) == 0  # the purge is quicker
