"""Reading 5 minutes of single events for their summary."""

import sqlite3

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.totals import Part
from guardian.stores.sqlite import lone_hours, seal_layout, sealing, seals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5
from guardian.stores.sqlite.totals import read_raw
from tests.support.events import event
from tracker.event import NOT_MEASURED, Event, Failure
from tracker.sqlite.migrations import prepare
from tracker.sqlite.writer import write_events

START = 1_700_000_100_000_000 // MINUTES5 * MINUTES5
TABLES = ("users", "used", "statuses", "durations")


def stored(events):
    db = sqlite3.connect(":memory:", isolation_level=None)
    prepare(db)
    write_events(db, events)
    return db


EVENTS = st.builds(
    lambda at, user, route, status, took, latency: Event(
        START + at, f"u{user}@example.com", f"/r{route}", "GET", "f", status, took,
        Failure("HTTP 500", "Server Error") if status >= 400 else None, latency,
    ),
    st.integers(-1_000, 1_000) | st.integers(0, MINUTES5), st.integers(0, 3), st.integers(0, 2),
    st.sampled_from([101, 200, 500]), st.integers(0, 10**10), st.sampled_from([None, 0, NOT_MEASURED]),
)  # fmt: skip


@given(st.lists(EVENTS, max_size=30), st.integers(1, 50))
def test_a_bucket_has_the_totals_of_its_events_however_many_are_read_at_once(events, at_once):
    db = stored(events)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sealing, "CHUNK", at_once)
        found = sealing.read_bucket(db, START)
    expected = read_raw(db, START, START + MINUTES5, range(1, 9))  # row by row
    for table in TABLES:
        np.testing.assert_array_equal(getattr(found, table), getattr(expected, table))
    db.close()


@pytest.mark.parametrize("value", ["'many'", "1.5", "NULL", "x'01'"])
def test_a_row_that_holds_no_number_is_refused(value):
    db = stored([event(START + n, path="/r", feature="f", duration_us=5) for n in range(3)])
    db.execute("PRAGMA writable_schema = ON")  # a column that may hold anything, as one of a damaged file may
    db.execute("UPDATE sqlite_schema SET sql = replace(sql, 'status INTEGER NOT NULL', 'status')")
    db.execute("PRAGMA writable_schema = RESET")
    db.execute(f"UPDATE guardian_request SET status = {value} WHERE id = (SELECT max(id) FROM guardian_request)")
    with pytest.raises(ValueError):
        sealing.read_bucket(db, START)
    db.close()


def test_an_hour_and_a_day_of_one_bucket_have_its_bytes(monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    db = stored(
        [event(START + n, user=f"u{n % 3}@example.com", path="/r", feature="f", duration_us=5) for n in range(9)]
    )
    seal_layout.prepare(db)
    sealing.seal(db, START + 2 * DAY)
    bodies = [
        [(part, body) for _, part, body in seals.bodies(db, span, START // DAY * DAY, START // DAY * DAY + DAY)]
        for span in (MINUTES5, HOUR, DAY)
    ]
    assert bodies[0] and bodies == [bodies[0]] * 3
    assert seals.requests(db, DAY, START // DAY * DAY, START + DAY) == 9
    db.close()


VISITS = st.lists(
    st.builds(
        lambda at, user, status, took: Event(
            START // DAY * DAY + at * 60_000_000, f"u{user}@example.com", "/r", "GET", "f", status, took,
            Failure("HTTP 500", "Server Error") if status >= 400 else None,
        ),
        st.integers(30, 250), st.integers(0, 3), st.sampled_from([200, 500]), st.integers(0, 10**9),
    ),
    max_size=30,
)  # fmt: skip


def summaries(db):
    return db.execute("SELECT id, requests, body FROM guardian_seal ORDER BY id").fetchall()


@given(VISITS, st.lists(st.integers(0, 300), max_size=3), st.integers(0, 30), st.sampled_from([0, 3, 1_000]))
def test_hours_at_once_leave_what_5_minutes_at_a_time_leave(events, moments, at_once, few):
    found = []
    for chunk, times in ((-1, range(0, 310, 5)), (at_once, sorted(moments)), (sealing.CHUNK, ())):
        db = stored(events)
        seal_layout.prepare(db)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sealing, "_AT_ONCE", chunk)
            patch.setattr(lone_hours, "FEW", few)
            for minutes in (*times, 310):
                sealing.seal(db, START // DAY * DAY + minutes * 60_000_000)
            sealing.join(db, START // DAY * DAY)
        found.append(summaries(db))
        assert db.execute("SELECT value FROM guardian_meta WHERE key = 'sealed_until_us'").fetchone() or not events
        db.close()
    assert found[0] == found[1] == found[2]


def late(db, monkeypatch, event):
    """Stores an event while an hour is being read."""
    read = sealing._read_buckets

    def read_and_write(*args):
        found = read(*args)
        monkeypatch.setattr(sealing, "_read_buckets", read)
        write_events(db, [event])
        return found

    monkeypatch.setattr(sealing, "_read_buckets", read_and_write)


@pytest.mark.parametrize("few", [0, 1_000])
@pytest.mark.parametrize("minutes", [-70, 0, 22, 58])
def test_an_event_that_comes_while_an_hour_is_summarised_is_not_lost(monkeypatch, minutes, few):
    monkeypatch.setattr(lone_hours, "FEW", few)
    hour = START // HOUR * HOUR
    events = [Event(hour + n * MINUTES5, "ada@example.com", "/r", "GET", "f", 200, 5) for n in range(12)]
    more = Event(hour + minutes * 60_000_000, "bob@example.com", "/r", "GET", "f", 200, 5)
    db, expected = stored(events), stored([*events, more])
    for each in (db, expected):
        seal_layout.prepare(each)
    late(db, monkeypatch, more)
    sealing.seal(db, hour + DAY)
    sealing.seal(db, hour + DAY)
    sealing.seal(expected, hour + DAY)
    assert summaries(db) == summaries(expected)
    db.close()
    expected.close()


def test_an_hour_whose_beginning_was_purged_has_no_summary_of_what_is_left():
    hour = START // HOUR * HOUR
    db = stored([Event(hour + n * MINUTES5, "ada@example.com", "/r", "GET", "f", 200, 5) for n in range(12)])
    seal_layout.prepare(db)
    db.execute("INSERT INTO guardian_meta VALUES ('purged_until_us', ?)", (hour + 2 * MINUTES5,))
    sealing.seal(db, hour + HOUR + MINUTES5)
    assert seals.starts(db, MINUTES5, hour, hour + HOUR) == [hour + n * MINUTES5 for n in range(2, 12)]
    db.close()


def test_buckets_of_several_ranges_come_in_their_order_whatever_order_sqlite_takes(monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", 0)
    day = START // DAY * DAY
    db = stored([event(day + n * MINUTES5, path="/r", feature="f") for n in range(30)])
    seal_layout.prepare(db)
    sealing.seal(db, day + 2 * DAY)
    db.execute("PRAGMA reverse_unordered_selects = ON")
    ranges = [(MINUTES5, day, day + HOUR), (HOUR, day, day + DAY)]
    expected = [list(range(day, day + HOUR, MINUTES5)), [day, day + HOUR, day + 2 * HOUR]]
    assert seals.starts_in(db, ranges) == expected
    stored_in = seals.tables_in(db, Part.STATUSES, ranges)
    assert [(each.starts, [table.rows for table in each.tables]) for each in stored_in] == [
        (starts, [1] * len(starts)) for starts in expected
    ]
    db.close()
