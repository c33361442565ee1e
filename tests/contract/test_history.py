"""What every store must read for rules: the same as a history made of the events themselves."""

import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.history import History
from guardian.alerting.kinds.tracker_silent import TRACKER_SILENT
from guardian.core.time import micros
from guardian.settings.rules import parse_rule
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK, AliasBook
from tests.support.events import event as made
from tests.support.snapshots import took
from tracker.event import Event, Failure

START = micros(datetime(2026, 3, 2, 9, 0, tzinfo=UTC)) // MINUTE_US
"""The first minute with events, counted since 1970."""


def traffic(minutes=120, seed=5):
    chance, events = random.Random(seed), []
    for minute in range(minutes):
        for _ in range(chance.randrange(8)):
            at_us = (START + minute) * MINUTE_US + chance.randrange(MINUTE_US)
            failure = Failure("Boom", "no", f"app.py:{chance.randrange(3)} f") if chance.random() < 0.2 else None
            noted = failure is not None and chance.random() < 0.3
            status, feature = 200 if failure is None or noted else 500, chance.choice(("chat", "docs"))
            user = f"u{chance.randrange(5)}@example.com"
            took = chance.randrange(1, 90_000)
            events.append(
                Event(
                    at_us, user, f"/{feature}", "GET", feature, status, took, failure, chance.choice((None, took // 2))
                )
            )
    return sorted(events, key=lambda event: event.at_us)


def seen(history, minute, windows=(60, 600, 3600)):
    """All that rules ask of a history at this minute."""
    snapshot = history.at(minute)
    return [
        (
            window, feature, snapshot.counts(window, feature), snapshot.users(window, feature),
            snapshot.users(window, feature, failed=True), took(snapshot, window, feature),
            sorted(snapshot.failures(window)),
        )
        for window in windows
        for feature in (None, "chat", "docs", "never")
    ]  # fmt: skip


async def test_an_empty_past_has_no_first_event_and_no_requests(stores):
    assert stores.history.first_event() is None
    history = stores.history.read(START, START + 60, single_events=3600)
    assert history.at(START + 60).counts(3600).requests == 0
    assert (history.first_seen, history.first_event_us) == ({}, None)


async def test_what_is_read_is_the_history_of_the_events(stores):
    events = traffic()
    await stores.events.write(events)
    assert stores.history.first_event() == events[0].at_us
    read = stores.history.read(START, START + 120, single_events=7200)
    plain = History.of(events, START * MINUTE_US, (START + 120) * MINUTE_US)
    for minute in (START + 1, START + 60, START + 120):
        assert seen(read, minute) == seen(plain, minute)
    assert read.first_seen == plain.first_seen
    assert read.first_event_us == plain.first_event_us


async def test_counts_reach_further_back_than_single_events(stores):
    await stores.events.write(traffic())
    history = stores.history.read(START, START + 120, single_events=600)
    whole = stores.history.read(START, START + 120, single_events=7200)
    at, all_of_it = history.at(START + 120), whole.at(START + 120)
    assert at.counts(7200) == all_of_it.counts(7200)
    assert at.users(600) == all_of_it.users(600)
    assert (at.holds(600), at.holds(660), all_of_it.holds(7200)) == (True, False, True)


async def test_minutes_that_are_not_asked_for_do_not_count(stores):
    await stores.events.write(traffic())
    history = stores.history.read(START + 30, START + 60, single_events=1800)
    counts = history.at(START + 60).counts(7200)
    inside = [e for e in traffic() if START + 30 <= e.at_us // MINUTE_US < START + 60]
    assert (counts.requests, counts.failed) == (len(inside), sum(e.failure is not None for e in inside))


async def test_a_history_that_grows_is_the_one_that_is_read_anew_with_what_came_late(stores):
    """As late as a writer that was held up; what comes later still is noticed by the numbers of recorders (see
    tests/integration/test_alerting_live.py)."""
    events = traffic()
    held_back = [e for e in events if e.at_us // MINUTE_US == START + 97]
    await stores.events.write([e for e in events if e.at_us // MINUTE_US < START + 100 and e not in held_back])
    history = stores.history.read(START, START + 100, single_events=3600, imported=False)
    for end in (START + 101, START + 110, START + 120):
        known = [e for e in events if e.at_us // MINUTE_US in range(history.counts.end, end)]
        await stores.events.write([*known, *held_back])
        held_back = []
        history = stores.history.grown(history, end, keep=end - START, single_events=3600)
        anew = stores.history.read(START, end, single_events=3600)
        assert seen(history, end) == seen(anew, end)
        assert history.first_seen == anew.first_seen
        assert anew.late is None  # a store that reads it anew each time says the same
        assert history.source is None or list(history.late) == ([START + 97] if end == START + 101 else [])


async def test_people_are_those_of_the_aliases_and_erased_ones_have_no_name(open_stores):
    class Given:
        name = "people.csv"

        def version(self):
            return 1

        def read(self):
            return [("id-1", "ada@example.com"), ("id-2", "ada@example.com")]

    stores = await open_stores(AliasBook(Given()))
    at_us = START * MINUTE_US
    await stores.events.write(
        [
            made(at_us + n, user=user, path="/c", duration_us=9)
            for n, user in enumerate(("id-1", "id-2", "bob@example.com"))
        ]
    )
    read = stores.history.read(START, START + 1, single_events=60)
    assert read.at(START + 1).users(60) == {"ada@example.com", "bob@example.com"}
    assert await stores.events.erase_user("bob@example.com")
    left = stores.history.read(START, START + 1, single_events=60).at(START + 1)
    assert (left.counts(60).requests, "bob@example.com" in left.users(60)) == (3, False)


async def test_events_that_commit_out_of_order_are_each_seen_once(stores):
    """Two instances write at once: what happened first may be there last."""
    minute = START * MINUTE_US
    events = [made(minute + n * 1_000, user=f"u{n}@example.com", path="/c", duration_us=9) for n in range(30)]
    history = stores.history.read(START - 5, START, single_events=3600)
    for batch in (events[20:], events[5:10], events[:5], events[10:20]):
        await stores.events.write(batch)
        history = stores.history.grown(history, START + 1, keep=60, single_events=3600)
    assert list(history.columns.at_us) == [event.at_us for event in events]
    assert history.at(START + 1).counts(60).requests == 30


async def test_a_heartbeat_of_the_future_keeps_no_dead_app_alive(tmp_path):
    """Only SQLite has heartbeats."""
    stores = await backend(tmp_path / "guardian.db").open(NO_BOOK)
    rule = parse_rule("silent", {"kind": "tracker_silent"})
    await stores.events.write(traffic(minutes=30))
    end = START + 60
    for ahead in (timedelta(minutes=10), timedelta(days=3), timedelta(days=230 * 365)):
        at_us = end * MINUTE_US + ahead // timedelta(microseconds=1)
        with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as db:
            db.execute("REPLACE INTO guardian_recorder VALUES ('a', 0, ?, 5, 5, 0, '0.1.0')", (at_us,))
        history = stores.history.read(START, end, single_events=3600)
        [verdict] = TRACKER_SILENT.judge(rule, history.at(end), {})
        assert verdict.state == "firing"
        grown = stores.history.grown(history, end + 1, keep=61, single_events=3600)
        assert TRACKER_SILENT.judge(rule, grown.at(end + 1), {})[0].state == "firing"
    with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as db:
        db.execute("UPDATE guardian_recorder SET seen_us = ?", (end * MINUTE_US + 60_000_000,))
    history = stores.history.read(START, end, single_events=3600)
    assert TRACKER_SILENT.judge(rule, history.at(end), {})[0].state == "ok"
    await stores.close()
