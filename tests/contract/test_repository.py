"""What every store of events must do; for SQLite, its totals are those of plain SQL over the published tables."""

import asyncio
import os
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from guardian.core.activity import ERRORS_PER_USER, Activity, reached
from guardian.core.quiet import LAST_THING, Visits, gone_quiet, quiet_window, regular
from guardian.core.report.features import latency
from guardian.core.roster import BACK, Roster
from guardian.core.storage import RecorderNote, Signs, StorageError, WindowGone
from guardian.core.summary import Summary, TimelineBar
from guardian.core.time import micros
from guardian.core.unlinked import is_unlinked
from guardian.stores.people.book import NO_BOOK
from guardian.stores.sqlite import lone_hours, pacing, retention, sealing, seals
from guardian.stores.sqlite.buckets import MINUTES5, SPANS
from guardian.stores.sqlite.events import SqliteRepository
from guardian.stores.sqlite.tables import AT_ONCE
from tests.support import older_seals
from tests.support.events import event as made
from tests.support.events import failures_in
from tests.support.rosters import chosen
from tests.support.stores import STORES, law_on
from tracker.event import Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.writer import write_events

DAY = datetime(2026, 3, 2, tzinfo=UTC)
NOW = DAY + timedelta(days=2)


def moment(minutes):
    return DAY + timedelta(minutes=minutes)


def event(minutes, user="ada@example.com", status=200, feature="chat", duration_ms=120):
    failure = None if status < 400 else Failure(f"HTTP {status}", "No such thing")
    return made(moment(minutes), user=user, feature=feature, status=status, ms=duration_ms, failure=failure)


@pytest.fixture
async def repository(stores):
    return stores.events


@pytest.fixture
def sql(tmp_path):
    """Plain SQL over the published tables, beside the repository."""
    with closing(sqlite3.connect(tmp_path / "guardian.db", isolation_level=None)) as db:
        yield lambda text, *values: db.execute(text, values).fetchall()


async def whole(repository, start=DAY - timedelta(days=30), end=DAY + timedelta(days=30)):
    return Summary.of([e async for chunk in repository.events(start, end) for e in chunk])


async def test_events_come_back_as_they_were_in_the_order_of_time(repository):
    noted = event(5)._replace(failure=Failure("Noted", "tool error"), latency_us=40_000)
    found = [event(3), event(1, status=404), event(2, "bob@example.com", 500), noted]
    assert await repository.write(found) == 4
    chunks = [chunk async for chunk in repository.events(DAY, NOW)]
    assert chunks == [sorted(found, key=lambda e: e.at_us)]
    failed = [chunk async for chunk in repository.events(DAY, NOW, failed_only=True)]
    assert failed == [[found[1], found[2], noted]]


async def test_windows_are_half_open(repository):
    await repository.write([event(1), event(2)])
    assert (await repository.summary(moment(1), moment(2))).requests == 1
    assert [len(chunk) async for chunk in repository.events(moment(1), moment(2))] == [1]
    assert await repository.newest_event() == moment(2)


@pytest.mark.parametrize("ahead", [timedelta(minutes=3), timedelta(days=3), timedelta(days=365 * 200)], ids=str)
async def test_an_event_of_the_future_is_counted_and_is_not_the_newest(repository, ahead):
    minutes = ahead // timedelta(minutes=1)
    await repository.write([event(1), event(2), event(2 + minutes), event(3 + minutes)])
    now = moment(2)
    assert await repository.newest_event(now) == moment(2)
    assert (await repository.stats(now)).newest == moment(2)
    assert await repository.events_ahead(now) == 2
    assert await repository.events_ahead(now + ahead) == 0
    assert await repository.newest_event() == moment(3 + minutes)


async def test_a_poison_event_costs_only_itself(repository):
    assert await repository.write([event(1), event(2, "\ud800"), event(3)]) == 2


async def test_nothing_stored_is_nothing_and_no_error(repository):
    assert await repository.seal(NOW) == 0
    assert await repository.summary(DAY, NOW) == Summary()
    assert await repository.timeline([DAY, NOW]) == (Summary(), [TimelineBar(DAY, 0, 0, 0)])
    stats = await repository.stats()
    assert (stats.events, stats.users, stats.oldest, stats.newest) == (0, 0, None, None)
    assert await repository.newest_event() is None
    assert await repository.export_user("ada@example.com") is None
    assert await repository.erase_user("ada@example.com") is False
    assert await repository.purge(events_before=NOW, summaries_before=NOW) == 0
    assert await repository.recorders() == []


async def test_sealing_writes_each_closed_bucket_once(repository, sqlite_file, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    await repository.write([event(1), event(61), event(60 * 25)])
    assert await repository.seal(moment(5)) == 0  # within the grace of 60 s
    assert await repository.seal(moment(6)) == 1
    assert await repository.seal(NOW) == 2 + 3 + 1  # 5 minutes, hours, one whole day
    assert await repository.seal(NOW) == 0
    with closing(connect(str(sqlite_file))) as db:
        assert [len(seals.starts(db, span, 0, 2**62)) for span in SPANS] == [1, 3, 3]


async def test_seals_hold_no_address(repository, sql):
    await repository.write([event(1)])
    await repository.seal(NOW)
    await repository.erase_user("ada@example.com")
    assert len((await repository.summary(DAY, NOW)).users) == 1
    assert "ada@example.com" not in (await repository.summary(DAY, NOW)).users


@pytest.mark.parametrize(("few", "rows"), [(0, 2 + 2 + 2), (lone_hours.FEW, 1 + 2 + 2)])
async def test_an_event_that_comes_late_counts_before_and_after_it_is_sealed_again(
    repository, sql, monkeypatch, few, rows
):
    monkeypatch.setattr(lone_hours, "FEW", few)
    await repository.write([event(1), event(200)])
    await repository.seal(NOW)
    await repository.write([event(2, "bob@example.com"), event(-600)])
    window = (DAY - timedelta(days=1), NOW)
    assert (await repository.summary(*window)).requests == 4
    assert await repository.seal(NOW) == rows  # of 5 minutes, of hours, of days
    assert sql("SELECT * FROM guardian_dirty") == []
    assert await repository.summary(*window) == await whole(repository)


@pytest.mark.parametrize(
    ("earlier", "late"),
    [([], 61), ([], 121), ([event(2)], 1)],
    ids=["before the bucket that closes", "into it", "into a stale one"],
)
async def test_an_event_that_comes_while_a_bucket_is_sealed_is_not_lost(
    repository, sqlite_file, monkeypatch, earlier, late
):
    await repository.write([event(0), event(120)])
    await repository.seal(moment(6))
    await repository.write(earlier)
    read = sealing.read_bucket

    def read_and_write(db, start):
        found = read(db, start)
        monkeypatch.setattr(sealing, "read_bucket", read)
        with closing(connect(str(sqlite_file))) as other:
            write_events(other, [event(late)])
        return found

    monkeypatch.setattr(sealing, "read_bucket", read_and_write)
    await repository.seal(NOW)
    monkeypatch.setattr(sealing, "read_bucket", read)
    assert await repository.summary(DAY, NOW) == await whole(repository)
    await repository.seal(NOW)
    assert await repository.summary(DAY, NOW) == await whole(repository)


async def test_two_that_seal_at_once_both_come_to_an_end(repository, monkeypatch, sqlite_file):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    await repository.write([event(n * 10) for n in range(20)])
    read = sealing.read_bucket

    def overtaken(db, start):
        monkeypatch.setattr(sealing, "read_bucket", read)
        with closing(connect(repository._path)) as other:
            sealing.seal(other, int(moment(100).timestamp()) * 1_000_000)
        return read(db, start)

    monkeypatch.setattr(sealing, "read_bucket", overtaken)
    await asyncio.wait_for(repository.seal(NOW), timeout=60)
    with closing(connect(str(sqlite_file))) as db:
        assert len(seals.starts(db, MINUTES5, 0, 2**62)) == 20
    assert await repository.summary(DAY, NOW) == await whole(repository)


minutes = st.one_of(st.integers(-200, 3000), st.integers(0, 20))
batches = st.lists(
    st.lists(
        st.builds(
            event,
            minutes,
            st.sampled_from(["ada@example.com", "bob@example.com", "anonymous"]),
            st.sampled_from([200, 404, 500]),
            st.sampled_from(["chat", "documents"]),
            st.integers(0, 3_000_000),
        ),
        min_size=1,
        max_size=8,
    ),
    max_size=5,
)


def test_seals_late_events_erasure_and_restarts_change_no_total(store, tmp_path_factory):
    @law_on(store, examples=40)
    @given(
        batches,
        st.lists(st.integers(-200, 3100), max_size=5),
        st.lists(st.integers(-300, 3100), min_size=2, max_size=4),
        st.sampled_from([0, 2, lone_hours.FEW]),
        st.sampled_from([1, 3, AT_ONCE]),
    )
    @example(LATE, [700, 1500, 2990], [-300, 123, 1441, 3100], 0, 1)
    @example(LATE, [700, 1500, 2990], [-300, 123, 1441, 3100], lone_hours.FEW, AT_ONCE)
    def law(batches, seals, edges, few, at_once):
        opener = STORES[store](tmp_path_factory.mktemp("law"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lone_hours, "FEW", few)
            patch.setattr("guardian.stores.sqlite.tables.AT_ONCE", at_once)
            asyncio.run(_seals_change_nothing(opener, batches, seals, sorted(edges)))

    law()


LATE = [
    [event(1, "bob@example.com", 500), event(600), event(601, "anonymous")],
    [event(650, "bob@example.com"), event(2, status=404), event(1400, feature="documents")],
    [event(1439, "anonymous", 404), event(700, "bob@example.com", 500), event(3)],
    [event(1, "bob@example.com"), event(2980, "bob@example.com", 404)],
]
"""Each batch but the first has events of buckets that are sealed, and two have some of a person who is erased."""


async def pages_have_everybody(repository, start, end, most):
    """Page after page has each person of the window once, in order, but nobody who was erased."""
    everybody, _ = await repository.activity([start, end])
    users, failures, after = [], {}, None
    while True:
        page = await repository.people(start, end, after=after, most=most)
        assert len(page.users) <= most
        users += page.users
        failures |= page.failures
        after = page.last
        if after is None:
            break
    kept = [user for user in everybody.users if not is_unlinked(user.name)]
    assert sorted(users) == sorted(kept)
    assert [user[1:3] for user in users] == [user[1:3] for user in kept]
    named = {user.name for user in kept}
    assert failures == {name: failed for name, failed in everybody.failures.items() if name in named}


def inside(events, start, end):
    return [each for each in events if micros(start) <= each.at_us < micros(end)]


async def pages_read_the_plain_columns(repository, events, ends, bars):
    """Bars, of everything and of a feature, and the roster are what the plain code counts of all single events."""
    assert await repository.bars(ends) == bars
    mine = [[e for e in inside(events, a, b) if e.feature == "chat"] for a, b in pairwise(ends)]
    assert await repository.bars(ends, features=["cha*"]) == [
        TimelineBar(start, len(part), sum(e.outcome >= 400 for e in part), len({e.user for e in part} - {"anonymous"}))
        for start, part in zip(ends, mine, strict=False)
    ]
    assert all(not bar.requests for bar in await repository.bars(ends, features=["none"]))
    whole_window = Summary.of(inside(events, ends[0], ends[-1]))
    assert await repository.reached(ends[0], ends[-1]) == reached(whole_window)
    for hours in (1, 24 * 8):
        since = (ends[0] - timedelta(hours=hours)).replace(minute=0, second=0)
        before = Summary.of(inside(events, since, ends[0])).users.items()
        seen = {name: user.last_us for name, user in before if name != "anonymous"}
        expected = Roster.of(whole_window, micros(ends[0]), seen)
        found = await repository.roster(ends[0], ends[-1], back=timedelta(hours=hours))
        assert found.rows(chosen(found)) == expected.rows(chosen(expected))


LONG_AGO = DAY - timedelta(days=90)
"""Before all events of these tests, and what they look back to."""


async def events_of(repository, start, end):
    return [e async for chunk in repository.events(start, end) for e in chunk]


async def equals_the_plain_activity(repository, events, ends, bars):
    """What is counted in arrays, of all people and of the first two, is what the plain code counts of all single
    events."""
    everything = inside(events, ends[0], ends[-1])
    assert await events_of(repository, ends[0], ends[-1]) == everything
    for features in ((), ("chat",)):
        mine = [e for e in everything if not features or e.feature in features]
        failures = {}
        for each in mine:
            if each.failure is not None:
                failures.setdefault(each.user, []).append(each)
        newest = {user: failed[-ERRORS_PER_USER:] for user, failed in failures.items()}
        for most in (None, 2, 1):
            expected = Activity.of(Summary.of(mine), newest, micros(ends[0]), most=most)
            found, shown = await repository.activity(ends, most=most, features=features)
            assert found == expected
            if most != 1:
                both, same_bars = await repository.activity(ends, most=most, features=features, latency=True)
                assert replace(both, latencies=()) == found and same_bars == shown
                assert list(both.latencies) == [latencies_of(mine, a, b) for a, b in pairwise(ends)]
            if most and not features:
                await pages_have_everybody(repository, ends[0], ends[-1], most)
            if not features:
                assert shown == bars
    await equals_the_plain_quiet(repository, events, ends[0], ends[-1])


def latencies_of(events, start, end):
    found = Counter()
    for route in Summary.of(inside(events, start, end)).routes.values():
        found.update(route.durations)
    return found


async def equals_the_plain_quiet(repository, events, start, end):
    """Who went quiet is who the plain code says did, of all single events."""
    begin, since, until = quiet_window(start, end)
    before = inside(events, begin, end)
    visits = [
        Visits(name, user.requests, user.first_start_us, user.last_us)
        for name, user in Summary.of(before).users.items()
        if name != "anonymous" and micros(since) <= user.last_us < micros(until)
    ]
    failed = {}
    for each in before:
        if each.failure and micros(since - LAST_THING) <= each.at_us < micros(until):
            failed[each.user] = [each]
    assert await repository.gone_quiet(start, end) == gone_quiet(regular(visits), failed)


def test_outcomes_of_windows_are_those_of_their_counts(store, tmp_path_factory):
    @law_on(store, examples=16)
    @given(
        st.lists(st.tuples(st.integers(0, 2800), st.sampled_from([200, 404, 500]), st.sampled_from("ab")), max_size=30),
        st.lists(st.tuples(st.integers(0, 2900), st.integers(1, 900)), max_size=4),
        st.integers(0, 2900),
        st.sampled_from([(), ("a*",), ("z",)]),
    )
    def law(rows, windows, sealed, features):
        opener = STORES[store](tmp_path_factory.mktemp("law"))
        windows = [(moment(at), moment(at + length)) for at, length in windows]
        asyncio.run(_outcomes_equal_counts(opener, rows, windows, moment(sealed), features))

    law()


async def _outcomes_equal_counts(opener, rows, windows, sealed, features):
    stores = await opener(NO_BOOK)
    await stores.events.write([event(minute, status=status, feature=name) for minute, status, name in sorted(rows)])
    await stores.events.seal(sealed)
    expected = [(await stores.events.counts(*window, features=features)).statuses() for window in windows]
    assert await stores.events.outcomes(windows, features=features) == expected
    await stores.close()


async def test_outcomes_end_with_the_window_of_which_something_is_gone(repository):
    await repository.write([event(-1), event(0), event(1500)])
    await repository.seal(NOW)
    await repository.purge(events_before=DAY, summaries_before=DAY)
    windows = [(moment(1440), moment(2880)), (moment(-2), moment(1440)), (moment(0), moment(1440))]
    assert await repository.outcomes(windows) == [{200: 1}]


def test_who_went_quiet_is_the_same_however_much_is_sealed(store, tmp_path_factory):
    @law_on(store, examples=16)
    @given(st.integers(0, 10**6), st.integers(1, 40), st.integers(0, 2 * 1440), st.sampled_from([1, 5, AT_ONCE]))
    def law(seed, hours, sealed_before, at_once):
        opener = STORES[store](tmp_path_factory.mktemp("law"))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("guardian.stores.sqlite.tables.AT_ONCE", at_once)
            asyncio.run(_quiet_equals_the_plain(opener, seed, hours, sealed_before))

    law()


async def _quiet_equals_the_plain(opener, seed, hours, sealed_before):
    """Seven people who come for some days, and meet an error now and then; a few stay away from some day on."""
    chance, found = np.random.default_rng(seed), []
    for person in range(7):
        last = int(chance.integers(2, 18)) * 1440
        for _ in range(int(chance.integers(8, 20))):
            minute, status = int(chance.integers(0, last)), int(chance.choice([200, 200, 500]))
            came = event(minute, f"u{person}@example.com", status)
            found.append(came._replace(at_us=came.at_us + int(chance.integers(0, 10**7))))
    found.sort()
    stores = await opener(NO_BOOK)
    end = DAY + timedelta(days=19, minutes=int(chance.integers(0, 1440)), seconds=7)
    await stores.events.write(found)
    events = await events_of(stores.events, LONG_AGO, end)
    for at in (end - timedelta(minutes=sealed_before), end):
        await stores.events.seal(at)
        for length in (timedelta(hours=hours), timedelta(days=hours)):
            await equals_the_plain_quiet(stores.events, events, end - length, end)
    await people_are_new_or_come_back(stores.events, events, end - timedelta(hours=hours), end)
    await stores.close()


async def people_are_new_or_come_back(repository, events, start, end):
    """Whoever stayed away for 7 days, and whoever was never there, whatever pieces the time before is made of."""
    since = (start - BACK).replace(minute=0, second=0)
    before = Summary.of(inside(events, since, start)).users
    now = Summary.of(inside(events, start, end))
    expected = Roster.of(now, micros(start), {name: user.last_us for name, user in before.items()})
    found = await repository.roster(start, end, back=BACK)
    assert found.rows(chosen(found)) == expected.rows(chosen(expected))


async def _seals_change_nothing(opener, batches, seals, edges):
    stores = await opener(NO_BOOK)
    repository = stores.events
    for place in range(max(len(batches), len(seals))):
        if place < len(batches):
            await repository.write(batches[place])
        if place < len(seals):
            await repository.seal(moment(seals[place]))
        if place == 2:
            await repository.erase_user("bob@example.com")
            await stores.close()
            stores = await opener(NO_BOOK)
            repository = stores.events
    ends = [moment(minute) for minute in edges]
    events = await events_of(repository, LONG_AGO, ends[-1])
    parts = [await whole(repository, a, b) for a, b in pairwise(ends)]
    assert parts == [Summary.of(inside(events, a, b)) for a, b in pairwise(ends)]
    bars = [
        TimelineBar(start, part.requests, part.errors, len(part.users.keys() - {"anonymous"}))
        for start, part in zip(ends, parts, strict=False)
    ]
    expected = (await whole(repository, ends[0], ends[-1]), bars)
    for at in (None, moment(4000)):
        if at:
            await repository.seal(at)
        assert await repository.timeline(ends) == expected
        assert await repository.counts(ends[0], ends[-1]) == expected[0].counts()
        assert await repository.counts(ends[0], ends[-1], edges=ends) == replace(expected[0].counts(), bars=tuple(bars))
        for bins, (start, end) in zip(await repository.latencies(ends), pairwise(ends), strict=True):
            found = Counter()
            for route in (await repository.summary(start, end)).routes.values():
                found.update(route.durations)
            assert bins == found
        await equals_the_plain_activity(repository, events, ends, bars)
        await pages_read_the_plain_columns(repository, events, ends, bars)
        assert (await repository.stats()).events == sum(map(len, batches))
    await stores.close()


async def test_the_number_of_events_is_right_after_a_purge_with_events_that_come_late(repository):
    await repository.write([event(m) for m in (1, 4, 7, 1500, 1600)])
    await repository.seal(moment(1700))
    await repository.purge(events_before=moment(5), summaries_before=DAY)
    await repository.write([event(2), event(8)])
    assert (await repository.stats()).events == 5


@pytest.mark.parametrize("layout", [older_seals.version_1, older_seals.parts])
async def test_summaries_of_older_layouts_are_converted_and_say_the_same(open_stores, sqlite_file, layout, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    stores = await open_stores()
    await stores.events.write([event(m, f"u{m % 7}@example.com", [200, 404][m % 2]) for m in range(0, 2800, 3)])
    await stores.events.seal(NOW)
    before = await stores.events.timeline([DAY, moment(1000), NOW])
    await stores.close()
    with closing(sqlite3.connect(sqlite_file, isolation_level=None)) as db:
        layout(db)
        db.execute("DELETE FROM guardian_request")
    stores = await open_stores()
    assert await stores.events.timeline([DAY, moment(1000), NOW]) == before


async def test_totals_are_those_of_plain_sql_over_the_published_tables(repository, sql):
    found = [event(n * 7 % 2900, f"u{n % 5}@example.com", [200, 200, 404, 500][n % 4], f"f{n % 3}") for n in range(600)]
    await repository.write(found)
    await repository.seal(moment(2000))
    start, end = moment(33), moment(2777)
    summary = await repository.summary(start, end)
    window = (start.isoformat(timespec="microseconds"), end.isoformat(timespec="microseconds"))
    where = "FROM feature_usage WHERE timestamp >= ? AND timestamp < ?"
    by_user = sql(f"SELECT user_email, count(*), sum(NOT success), sum(status_code >= 500) {where} GROUP BY 1", *window)
    assert {e: (u.requests, u.errors, u.server_errors) for e, u in summary.users.items()} == {
        row[0]: row[1:] for row in by_user
    }
    by_route = sql(f"SELECT feature_name, endpoint, method, status_code, count(*) {where} GROUP BY 1, 2, 3, 4", *window)
    assert {(*r, s, n) for r, t in summary.routes.items() for s, n in t.statuses.items()} == set(by_route)
    errors = sql("SELECT count(*) FROM user_errors WHERE timestamp >= ? AND timestamp < ?", *window)
    assert errors == [(summary.errors,)]


async def test_active_time_is_that_of_the_published_sessions(repository, sql):
    await repository.write([event(m) for m in (0, 10, 35, 80, 100, 200)])
    await repository.seal(moment(90))
    (seconds,) = sql("SELECT sum(duration_seconds) FROM user_sessions")[0]
    summary = await repository.summary(DAY - timedelta(hours=1), NOW)
    assert seconds == 35 * 60 + 20 * 60
    assert summary.users["ada@example.com"].active_us // 1_000_000 == seconds


async def test_the_newest_failures_of_each_user_oldest_first(repository):
    await repository.write([event(n, status=404) for n in range(22)] + [event(9, "bob@example.com", 500), event(30)])
    assert await failures_in(repository, DAY, NOW) == {
        "ada@example.com": [event(n, status=404) for n in range(2, 22)],
        "bob@example.com": [event(9, "bob@example.com", 500)],
    }


async def test_the_newest_steps_of_one_user_oldest_first(repository):
    await repository.write([event(n, status=404 if n == 3 else 200) for n in range(5)] + [event(4, "bob@example.com")])
    steps = await repository.steps("ada@example.com", DAY, moment(4), most=2)
    assert steps == [event(2), event(3, status=404)]
    assert await repository.steps("nobody@example.com", DAY, NOW, most=2) == []


async def test_everything_about_a_person_is_exported(repository):
    await repository.write([event(1), event(2, status=404), event(3, "bob@example.com")])
    found = await repository.export_user("ada@example.com")
    assert {name: len(rows) for name, rows in found.items()} == {
        "user_sessions": 1, "feature_usage": 2, "user_errors": 1,
    }  # fmt: skip
    assert found["user_errors"][0]["error_message"] == "No such thing"
    assert {row["user_email"] for rows in found.values() for row in rows} == {"ada@example.com"}


async def test_erasing_leaves_totals_and_no_trace_in_the_files(repository, tmp_path, sql):
    await repository.write([event(1), event(40), event(2, "bob@example.com")])
    await repository.seal(NOW)
    assert await repository.erase_user("ada@example.com") is True
    assert await repository.erase_user("ada@example.com") is False
    assert (await repository.summary(DAY, NOW)).requests == 3
    assert await repository.export_user("ada@example.com") is None
    assert sql("SELECT DISTINCT user_email FROM user_sessions") == [("bob@example.com",)]
    sql("PRAGMA wal_checkpoint(TRUNCATE)")
    for name in os.listdir(tmp_path):
        assert b"ada@example.com" not in (tmp_path / name).read_bytes()


async def test_a_person_who_comes_back_after_erasure_begins_anew(repository):
    await repository.write([event(1)])
    await repository.erase_user("ada@example.com")
    await repository.write([event(2)])
    found = await repository.export_user("ada@example.com")
    assert len(found["feature_usage"]) == 1


async def test_those_who_did_not_sign_in_are_no_person_to_erase(repository):
    await repository.write([event(1, "anonymous")])
    assert await repository.erase_user("anonymous") is False


async def test_purged_events_live_on_in_summaries(repository):
    await repository.write([event(n, f"u{n % 3}@example.com") for n in range(2880)])
    before = await repository.timeline([DAY, moment(1435), NOW])
    assert await repository.purge(events_before=moment(1436), summaries_before=DAY) == 1435
    assert (await repository.stats()).purged == 1435
    assert (await repository.stats()).totals_since == moment(0)
    assert (await repository.stats()).oldest == moment(1435)
    assert await repository.timeline([DAY, moment(1435), NOW]) == before


async def test_old_errors_lose_text_and_place_and_keep_their_kind(repository, open_stores):
    boom = Failure("KeyError", "no such thread", "app.py:7 chat")
    await repository.write([event(n, status=500)._replace(failure=boom) for n in (1, 2, 600)])
    asked = {"events_before": DAY, "errors_before": moment(60), "sessions_before": DAY}
    assert await repository.count_old(**asked) == (0, 2, 0)
    assert await repository.purge_errors(moment(60)) == 2
    assert await repository.purge_errors(moment(60)) == 0
    assert await repository.count_old(**asked) == (0, 0, 0)
    found = (await failures_in(repository, DAY, NOW))["ada@example.com"]
    assert [each.failure for each in found] == [Failure("KeyError", "KeyError")] * 2 + [boom]
    await repository.purge_errors(NOW)
    await (await open_stores()).events.write([event(700, status=500)._replace(failure=boom)])
    found = (await failures_in(repository, DAY, NOW))["ada@example.com"]
    assert found[-1].failure == boom, "who wrote the text before writes it again"


async def test_no_byte_of_an_old_text_is_left(repository, sqlite_file):
    await repository.write([event(1, status=500)._replace(failure=Failure("KeyError", "xyzzy", "plugh.py:7 chat"))])
    await repository.purge_errors(NOW)
    await repository.close()
    assert all(b"xyzzy" not in path.read_bytes() for path in sqlite_file.parent.iterdir())


async def test_sessions_go_when_they_are_old_and_not_with_their_events(repository, sql):
    await repository.write([event(1), event(1000)])
    await repository.purge(events_before=NOW, summaries_before=DAY)
    assert sql("SELECT count(*) FROM user_sessions") == [(2,)]
    asked = {"events_before": DAY, "errors_before": DAY, "sessions_before": moment(60)}
    assert await repository.count_old(**asked) == (0, 0, 1)
    assert await repository.purge_sessions(moment(60)) == 1
    assert sql("SELECT count(*) FROM user_sessions") == [(1,)]


async def test_a_window_that_begins_within_purged_minutes_is_refused_and_not_zero(repository):
    await repository.write([event(1), event(100)])
    await repository.purge(events_before=moment(60), summaries_before=DAY)
    with pytest.raises(WindowGone) as refused:
        await repository.summary(moment(2), NOW)
    assert str(refused.value) == (
        "the single events at the edge of this window have been deleted (see retention.events_days): "
        "let it begin and end at full 5 minutes"
    )
    assert (await repository.summary(moment(22), NOW)).requests == 1  # nothing had happened there


async def test_an_event_that_comes_after_its_bucket_was_purged_does_not_undo_the_summary(repository):
    await repository.write([event(1), event(2), event(100)])
    await repository.purge(events_before=moment(60), summaries_before=DAY)
    await repository.write([event(3)])
    assert (await repository.summary(DAY, NOW)).requests == 3
    await repository.seal(NOW)
    assert (await repository.summary(DAY, NOW)).requests == 3


async def test_what_comes_for_purged_minutes_counts_in_no_window_wherever_that_begins(repository):
    await repository.write([event(1), event(100)])
    await repository.purge(events_before=moment(60), summaries_before=DAY)
    await repository.write([event(23)])
    for start in (20, 22, 23):
        assert (await repository.summary(moment(start), NOW)).requests == 1
        assert (await repository.counts(moment(start), NOW)).requests == 1


async def test_old_summaries_go_by_whole_days_and_with_them_names_that_nothing_else_speaks_of(repository, sql):
    await repository.write([event(1, "old@example.com"), event(2), event(1441), event(1442, "anonymous")])
    await repository.purge(events_before=NOW, summaries_before=DAY + timedelta(hours=30))
    names = [name for (name,) in sql("SELECT email FROM guardian_user ORDER BY id")]
    assert [name for name in names if not name.startswith("erased-")] == ["ada@example.com", "anonymous"]
    assert (await repository.summary(DAY + timedelta(days=1), NOW)).requests == 2
    with pytest.raises(WindowGone, match="further than summaries are kept"):
        await repository.summary(DAY, NOW)


async def test_summaries_never_go_before_their_events(repository):
    await repository.write([event(1), event(1441)])
    await repository.purge(events_before=DAY, summaries_before=NOW)
    assert (await repository.summary(DAY, NOW)).requests == 2


async def test_a_purge_before_the_year_1970_or_of_nothing_old_deletes_nothing(repository):
    await repository.write([event(1)])
    begin = datetime.min.replace(tzinfo=UTC)
    assert await repository.purge(events_before=begin, summaries_before=begin) == 0
    assert (await repository.stats()).events == 1


async def test_a_purge_ends_where_the_file_cannot_shrink(tmp_path):
    with closing(sqlite3.connect(tmp_path / "host.db")) as db:
        db.execute("CREATE TABLE of_the_host (x)")  # made without auto_vacuum: pages are never given back
    repository = await SqliteRepository.open(tmp_path / "host.db")
    await repository.write([event(n, feature=f"f{n}") for n in range(2000)])
    assert await repository.purge(events_before=NOW, summaries_before=NOW) == 2000
    await repository.close()


async def test_the_file_shrinks_after_a_purge(repository, sqlite_file):
    await repository.write([event(n % 1440, f"u{n % 3}@example.com") for n in range(60_000)])
    full = (await repository.stats()).size_bytes
    assert await repository.purge(events_before=NOW, summaries_before=NOW) == 60_000
    assert sqlite_file.stat().st_size < full / 3


async def test_the_widest_window_there_is_has_an_answer(repository):
    await repository.write([event(1)])
    edges = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
    assert (await repository.summary(*edges)).requests == 1
    assert [len(chunk) async for chunk in repository.events(*edges)] == [1]


async def test_the_heartbeats_of_recorders_the_latest_first(repository, sql):
    for name, seen in (("a", 1), ("b", 2)):
        sql("INSERT INTO guardian_recorder VALUES (?, 0, ?, 5, 4, 1, '0.1.0')", name, seen * 1_000_000)
    assert [(r.id, r.accepted, r.stored, r.dropped) for r in await repository.recorders()] == [
        ("b", 5, 4, 1),
        ("a", 5, 4, 1),
    ]


async def test_a_heartbeat_of_the_future_hides_no_process(repository, sql):
    week, now = 7 * 86400 * 1_000_000, datetime(1970, 1, 20, tzinfo=UTC)
    at = int(now.timestamp()) * 1_000_000
    for name, seen in (("old", at - 2 * week), ("lives", at), ("ahead", at + 12_000 * week)):
        sql("INSERT INTO guardian_recorder VALUES (?, 0, ?, 5, 4, 1, '0.1.0')", name, seen)
    assert [r.id for r in await repository.recorders(now)] == ["ahead", "lives"]


async def test_what_the_recorders_could_not_make_out_since_a_moment_the_latest_first(repository, sql):
    assert await repository.recorder_notes(DAY) == []
    for name, minutes in (("a", -1), ("b", 0), ("c", 5)):
        at = int(moment(minutes).timestamp()) * 1_000_000
        sql("INSERT INTO guardian_recorder_note VALUES (?, 'token_refused', 'expired', 7, ?)", name, at)
    assert await repository.recorder_notes(DAY) == [
        RecorderNote("c", "token_refused", "expired", 7, moment(5)),
        RecorderNote("b", "token_refused", "expired", 7, DAY),
    ]
    await repository.purge(events_before=NOW, summaries_before=DAY)
    assert await repository.recorder_notes(DAY - timedelta(days=9)) != []  # nothing was recorded, nothing is old
    await repository.write([event(1), event(60 * 49)])
    await repository.purge(events_before=NOW, summaries_before=DAY)
    assert await repository.recorder_notes(DAY - timedelta(days=9)) == []


async def signs_one_by_one(repository, now, since):
    return Signs(
        await repository.recorders(now), await repository.newest_event(now), await repository.events_ahead(now),
        await repository.recorder_notes(since), await repository.unmerged_bytes(),
    )  # fmt: skip


async def test_the_signs_are_what_the_store_says_one_by_one(repository):
    assert await repository.signs(NOW, DAY) == Signs([], None, 0, [], await repository.unmerged_bytes())
    await repository.write([event(1), event(2), event(60 * 24 * 400)])
    found = await repository.signs(NOW, DAY)
    assert found == await signs_one_by_one(repository, NOW, DAY)
    assert (found.newest, found.ahead) == (moment(2), 1)


async def test_the_signs_have_the_recorders_and_notes_in_their_order(repository, sql):
    for name, minutes in (("a", -1), ("b", 0), ("c", 5)):
        at = int(moment(minutes).timestamp()) * 1_000_000
        sql("INSERT INTO guardian_recorder VALUES (?, ?, ?, 5, 4, 1, '0.1.0')", name, at - 1, at)
        sql("INSERT INTO guardian_recorder_note VALUES (?, 'token_refused', ?, 7, ?)", name, 'the "é" of it\n', at)
    found = await repository.signs(NOW, DAY)
    assert found == await signs_one_by_one(repository, NOW, DAY)
    assert [each.id for each in found.recorders] == ["c", "b", "a"]
    assert [each.recorder for each in found.notes] == ["c", "b"]


async def test_every_feature_that_was_ever_recorded_and_where(repository, store, tmp_path):
    assert await repository.feature_names() == set()
    await repository.write([event(1), event(2, feature="search"), event(3)])
    assert await repository.feature_names() == {"chat", "search"}
    place = (await repository.stats()).place
    assert place.startswith("firestore://") if store == "firestore" else place == str(tmp_path / "guardian.db")


async def test_an_answer_of_200_that_the_app_noted_as_failed_is_an_error_in_the_published_tables(repository, sql):
    await repository.write([event(1)._replace(failure=Failure("Noted", "tool error")), event(2)])
    assert sql("SELECT success, status_code FROM feature_usage ORDER BY id") == [(0, 200), (1, 200)]
    assert sql("SELECT error_code, error_message FROM user_errors") == [(200, "tool error")]
    summary = await repository.summary(DAY, NOW)
    assert (summary.requests, summary.errors, summary.users["ada@example.com"].server_errors) == (2, 1, 1)


async def test_a_connection_that_lasts_by_design_does_not_count_as_slow(repository):
    """Time to the first byte is what latency means for it; version 0.1 recorded none."""
    chats = [event(n / 10, duration_ms=40) for n in range(180)]
    lasting = [event(60 + n, status=101, feature="live", duration_ms=900_000) for n in range(20)]
    for sockets in (lasting, [each._replace(latency_us=3_000) for each in lasting]):
        await repository.write(chats + sockets)
        assert 39 < latency((await repository.summary(DAY, NOW)).routes.values()).p95 < 41
    await repository.seal(NOW)
    summary = await repository.summary(DAY, NOW)
    assert 39 < latency(summary.routes.values()).p95 < 41
    assert summary == await whole(repository)


async def test_a_file_that_is_no_database_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "guardian.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StorageError) as refused:
        await SqliteRepository.open(path)
    assert str(refused.value) == f"the database {path} cannot be opened: file is not a database"


async def test_a_folder_that_is_missing_is_refused_in_one_sentence(tmp_path):
    with pytest.raises(StorageError) as refused:
        await SqliteRepository.open(tmp_path / "no" / "guardian.db")
    assert str(refused.value) == (
        f"the database {tmp_path}/no/guardian.db cannot be opened: unable to open database file, since the folder "
        f"{tmp_path}/no does not exist: make it, or name another file"
    )


async def test_the_database_of_a_newer_version_is_refused(repository, sql, tmp_path):
    sql("INSERT INTO guardian_meta VALUES ('least_format', 99)")
    with pytest.raises(StorageError, match=r"the format 99.*upgrade usage-guardian"):
        await SqliteRepository.open(tmp_path / "guardian.db")


async def test_a_database_that_was_deleted_is_an_error_and_not_made_anew(repository, sqlite_file):
    os.unlink(sqlite_file)
    with pytest.raises(StorageError, match="is gone"):
        await repository.summary(DAY, NOW)
    assert not sqlite_file.exists()


async def test_a_damaged_summary_is_an_error_and_not_zeros(repository, sql):
    await repository.write([event(1)])
    await repository.seal(NOW)
    sql("UPDATE guardian_seal SET body = x'00'")
    with pytest.raises(StorageError, match="does not answer"):
        await repository.summary(DAY, NOW)


async def test_a_closed_repository_says_so_and_closes_twice(repository):
    await repository.close()
    await repository.close()
    with pytest.raises(StorageError, match="is closed"):
        await repository.stats()
    with pytest.raises(StorageError, match="is closed"):
        await repository.summary(DAY, NOW)


async def test_a_reader_never_makes_the_writer_wait(repository, sqlite_file):
    await repository.write([event(n) for n in range(200)])
    async for _ in repository.events(DAY, NOW):
        await repository.write([event(300)])
        with closing(sqlite3.connect(sqlite_file, timeout=0)) as db:
            assert db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0  # nothing holds the log
        break


async def test_an_export_is_the_rows_of_the_published_tables(repository, sql):
    boom = Failure("KeyError", "no such thread", "app.py:7 chat")
    events = [event(n, status=500)._replace(failure=boom) if n % 7 == 0 else event(n) for n in range(5_000)]
    noted = event(5_001)._replace(failure=Failure("note", "tool error"), duration_us=2_500)
    await repository.write([*events, noted, event(1, "bob@example.com")])
    found = await repository.export_user("ada@example.com")
    for table, rows in found.items():
        wanted = sql(f"SELECT * FROM {table} WHERE user_email = 'ada@example.com' ORDER BY CAST(id AS INTEGER)")
        assert [tuple(row.values()) for row in rows] == wanted
        columns = [name for (name,) in sql(f"SELECT name FROM pragma_table_info('{table}') ORDER BY cid")]
        assert list(rows[0]) == columns


async def test_an_export_comes_in_pieces_with_each_table_in_its_turn(repository):
    await repository.write([event(n) for n in range(5_000)])
    pieces = [(table, len(rows)) async for table, rows in repository.exported("Ada@example.com")]
    assert list(dict(pieces)) == ["user_sessions", "feature_usage", "user_errors"]
    assert sum(count for table, count in pieces if table == "feature_usage") == 5_000
    assert pieces[-1] == ("user_errors", 0)
    assert [piece async for piece in repository.exported("nobody@example.com")] == []


class Killed(sqlite3.Connection):
    """A connection whose process dies before it deletes events for the third time."""

    def execute(self, sql, *values):
        self.deletes = getattr(self, "deletes", 0) + sql.startswith("DELETE FROM guardian_request")
        if self.deletes == 3:
            raise KeyboardInterrupt
        return super().execute(sql, *values)


async def test_a_purge_that_is_killed_keeps_its_count_and_the_next_one_says_it(tmp_path, monkeypatch):
    """SQLite deletes in steps, so that it can die between two of them."""
    monkeypatch.setattr(pacing, "FIRST", 100)
    monkeypatch.setattr(pacing, "LEAST", 100)
    monkeypatch.setattr(pacing, "MOST", 100)
    repository = await SqliteRepository.open(tmp_path / "guardian.db")
    await repository.write([event(n) for n in range(1000)])
    await repository.seal(NOW)
    dying = sqlite3.connect(tmp_path / "guardian.db", isolation_level=None, factory=Killed)
    with closing(dying) as db, pytest.raises(KeyboardInterrupt):
        retention.purge(db, micros(moment(1000)), 0)
    assert (await repository.stats()).purged == 200
    assert (await repository.stats()).events == 800
    assert await repository.purge(events_before=moment(1000), summaries_before=DAY) == 1000
    assert (await repository.stats()).purged == 1000
    assert await repository.purge(events_before=moment(1000), summaries_before=DAY) == 0
    await repository.close()
