"""Reading 5 minutes of single events for their summary."""

import sqlite3

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.stores.sqlite import sealing, seals
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
    expected = read_raw(db, START, START + MINUTES5)
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


def test_an_hour_and_a_day_of_one_bucket_have_its_bytes():
    db = stored(
        [event(START + n, user=f"u{n % 3}@example.com", path="/r", feature="f", duration_us=5) for n in range(9)]
    )
    seals.prepare(db)
    sealing.seal(db, START + 2 * DAY)
    bodies = [
        [(part, body) for _, part, body in seals.bodies(db, span, START // DAY * DAY, START // DAY * DAY + DAY)]
        for span in (MINUTES5, HOUR, DAY)
    ]
    assert bodies[0] and bodies == [bodies[0]] * 3
    assert seals.requests(db, DAY, START // DAY * DAY, START + DAY) == 9
    db.close()
