"""The single events of lone hours are kept from one report to the next, and never longer than they are true."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.storage import WindowGone
from guardian.core.time import moment
from guardian.core.totals import Part
from guardian.stores.sqlite import bars, lone_events, lone_hours, retention, seal_layout, seal_marks, sealing, totals
from guardian.stores.sqlite.bars import read_bars
from guardian.stores.sqlite.buckets import AT_US, DAY, HOUR, MINUTES5, ids
from guardian.stores.sqlite.burying import _begin_anew
from guardian.stores.sqlite.counts import read_outcomes
from guardian.stores.sqlite.covering import Piece, pieces
from guardian.stores.sqlite.people import People
from guardian.stores.sqlite.tables import Tables
from guardian.stores.sqlite.totals import count_outcomes, read_raw, read_single
from tests.support.events import event
from tracker.event import NOT_MEASURED, Failure
from tracker.sqlite.connection import connect, undo
from tracker.sqlite.migrations import prepare
from tracker.sqlite.writer import write_events

MINUTE = 60_000_000
START = 1_700_000_100_000_000 // DAY * DAY + 22 * HOUR
PEOPLE = People()


def opened(path):
    db = connect(str(path))
    prepare(db)
    seal_layout.prepare(db)
    seal_marks.prepare(db)
    return db


@pytest.fixture
def db(tmp_path):
    with closing(opened(tmp_path / "guardian.db")) as db:
        yield db


@pytest.fixture
def kept(monkeypatch):
    """What this process keeps, which is nothing yet."""
    kept = lone_events.KeptHours()
    monkeypatch.setattr(totals, "kept_hours", kept)
    return kept


def at(minutes, user=0, status=200, latency=None, took=9):
    """An event that ends at this minute."""
    failure = Failure("HTTP 500", "Server Error") if status >= 400 else None
    when = START + int(minutes * MINUTE)
    return event(
        when, user=f"u{user}@x.org", path=f"/{user}", duration_us=took, status=status, failure=failure,
        latency_us=latency,
    )  # fmt: skip


def us(*minutes):
    return [START + int(minute * MINUTE) for minute in minutes]


def seal(db, minutes):
    return sealing.seal(db, START + int(minutes * MINUTE))


def told(db, low, high):
    """What is said of a window: the totals of its parts, its bars, and its outcomes."""
    db.execute("BEGIN")
    try:
        made = pieces(db, low, high)
        tables = Tables.read(db, PEOPLE, made)
        users = tables.times(np.ones(100, bool))
        edges = [moment(low), moment((low + high) // 2), moment(high)]
        return (
            [[*map(np.ndarray.tolist, users)], *(added(tables.columns(part)) for part in [*Part][2:])],
            read_bars(db, PEOPLE, edges, None) if low < high else [],
            read_outcomes(db, [(moment(low), moment(high))], only=None),
        )
    except WindowGone as gone:
        return str(gone)
    finally:
        undo(db)


def added(columns):
    found = {}
    for first, second, number in zip(*(column.tolist() for column in columns), strict=True):
        found[first, second] = found.get((first, second), 0) + number
    return sorted(found.items())


def statements(db):
    """The statements that read single events from here on."""
    found = []
    db.set_trace_callback(lambda sql: found.append(sql) if "FROM guardian_request" in sql else None)
    return found


def read(db, *minutes):
    """The requests of a window, as a report counts them."""
    db.execute("BEGIN")
    try:
        [outcomes] = read_outcomes(db, [tuple(map(moment, us(*minutes)))], only=None)
        parts = Tables.read(db, PEOPLE, pieces(db, *us(*minutes))).columns(Part.STATUSES)
    finally:
        undo(db)
    assert int(parts[2].sum()) == sum(outcomes.values())
    return sum(outcomes.values())


def test_an_hour_that_was_read_is_not_read_again_for_a_window_that_moved_on(db, kept):
    write_events(db, [at(n) for n in range(240)])
    seal(db, 300)
    assert read(db, 7, 180) == 173
    asked = statements(db)
    assert [read(db, minute, 180) for minute in (7, 7.5, 40, 59)] == [173, 172, 140, 121]
    assert asked == []


def test_the_outcomes_of_an_hour_are_kept_when_somebody_asks_again(db, kept):
    write_events(db, [at(n) for n in range(120)])
    seal(db, 300)
    [piece], asked = pieces(db, *us(7, 60)), statements(db)
    for minute in (7, 8, 9, 10):
        assert count_outcomes(db, piece._replace(start=us(minute)[0]), None) == {200: 60 - minute}
    assert len(asked) == 2


def test_a_short_piece_is_read_by_itself(db, kept):
    write_events(db, [at(n) for n in range(240)])
    seal(db, 300)
    asked = statements(db)
    assert read(db, 60, 123) == 63
    assert kept._known == {}
    assert len(asked) > 0


def test_what_is_not_sealed_is_read_each_time(db, kept):
    write_events(db, [at(n) for n in range(100)])
    seal(db, 92)
    assert read(db, 60, 100) == 40
    write_events(db, [at(95.5)])
    assert read(db, 60, 100) == 41


def test_an_event_that_comes_late_counts_at_once_and_after_its_hour_is_sealed_again(db, kept):
    write_events(db, [at(n) for n in range(240)])
    seal(db, 300)
    assert read(db, 7, 180) == 173
    write_events(db, [at(30.5)])
    assert read(db, 7, 180) == 174
    seal(db, 300)
    assert read(db, 7, 180) == 174


def test_nothing_is_kept_for_longer_than_the_marks_are_there(db, kept):
    write_events(db, [at(n) for n in range(240)])
    seal(db, 300)
    db.execute("DROP TABLE guardian_day_mark")
    for (name,) in db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%mark%'"
    ).fetchall():
        db.execute(f"DROP TRIGGER {name}")
    assert read(db, 7, 180) == 173
    write_events(db, [at(30.5)])
    seal(db, 300)
    assert read(db, 7, 180) == 174


def test_no_more_hours_are_kept_than_may_be(db, kept, monkeypatch):
    monkeypatch.setattr(lone_events, "MOST", 3)
    write_events(db, [at(n) for n in range(600)])
    seal(db, 700)
    for hour in range(9):
        assert read(db, hour * 60 + 7, hour * 60 + 90) == 83
        assert 0 < len(kept._known) <= 3


@pytest.mark.parametrize("number", [1, 2**33])
def test_numbers_of_any_size_are_kept_as_they_are(db, kept, number):
    write_events(db, [at(n) for n in range(120)])
    db.execute("UPDATE guardian_request SET user = ?, duration_us = ?, latency_us = ?", (number, number, number))
    seal(db, 300)
    db.execute("BEGIN")
    found = read_single(db, pieces(db, *us(7, 60))[0])
    assert found.users[0, [0, 1]].tolist() == [number, 53]
    assert_same(found, read_raw(db, *us(7, 60)))


def assert_same(found, expected):
    for table in ("users", "used", "statuses", "durations"):
        np.testing.assert_array_equal(getattr(found, table), getattr(expected, table))


EVENTS = st.lists(
    st.builds(
        at, st.integers(0, 130) | st.floats(0, 130), st.integers(0, 3), st.sampled_from([101, 200, 500]),
        st.sampled_from([None, 0, 5, NOT_MEASURED]), st.sampled_from([0, 9, 40 * MINUTE]),
    ),
    max_size=40,
)  # fmt: skip


@settings(deadline=None)
@given(EVENTS, st.lists(st.integers(0, HOUR), min_size=2, max_size=2).map(sorted), st.sampled_from([0, 1]))
def test_kept_events_have_the_totals_of_the_stored_ones(events, window, hour):
    low, high = (START + hour * HOUR + place for place in window)
    piece = Piece(low, high, 0, "mark")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db, pytest.MonkeyPatch.context() as patch:
        prepare(db)
        write_events(db, events)
        patch.setattr(lone_events, "_SHORT", 0)
        patch.setattr(totals, "kept_hours", lone_events.KeptHours())
        outcomes = [count_outcomes(db, piece, None) for _ in range(3)]
        assert_same(read_single(db, piece), read_raw(db, low, high))
        outcomes.append(count_outcomes(db, piece, None))
        assert outcomes == [count_outcomes(db, piece._replace(mark=None), None)] * 4


MOMENTS = st.integers(0, 400) | st.floats(0, 400)
WRITTEN = st.lists(st.builds(at, MOMENTS, st.integers(0, 3), st.sampled_from([200, 200, 404])), min_size=1, max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), WRITTEN),
        st.tuples(st.just("seal"), st.integers(0, 500)),
        st.tuples(st.just("purge"), st.integers(0, 300)),
        st.tuples(st.just("few"), st.sampled_from([0, 3, 6, 1_000])),
        st.tuples(st.just("begin anew"), st.integers(0, 3)),
        st.tuples(st.just("move away"), st.integers(0, 80)),
    ),
    max_size=8,
)


WINDOWS = st.lists(st.tuples(MOMENTS, MOMENTS).map(sorted), min_size=1, max_size=4)


@settings(max_examples=30, deadline=None)
@given(WRITTEN, STEPS, WINDOWS, st.sampled_from([0, HOUR // 4]))
def test_whoever_keeps_events_says_what_one_says_who_has_just_begun(tmp_path_factory, first, steps, windows, short):
    path, keeping = tmp_path_factory.mktemp("law") / "guardian.db", (lone_events.KeptHours(), bars.KeptBars())
    with (
        closing(opened(path)) as writer,
        closing(connect(str(path))) as reader,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(lone_events, "_SHORT", short)
        for what, value in [("write", first), ("seal", 500), *steps]:
            match what:
                case "write":
                    write_events(writer, value)
                case "seal":
                    seal(writer, value)
                case "purge":
                    retention.purge(writer, START + value * MINUTE, 0)
                case "few":
                    patch.setattr(lone_hours, "FEW", value)
                case "begin anew":
                    _anew(writer, value)
                case "move away":
                    _moved_away(writer, START + value * MINUTES5)
            for window in (us(*each) for each in [*windows, (7, 240.5), (62, 185)]):
                kept, new = (
                    _told_by(patch, reader, window, *each)
                    for each in (keeping, (lone_events.KeptHours(), bars.KeptBars()))
                )
                assert kept == new
                assert isinstance(kept, str) or plain(reader, *window) in (None, kept[2])


def _told_by(patch, db, window, hours, drawn):
    """What is said by somebody who keeps these."""
    patch.setattr(totals, "kept_hours", hours)
    patch.setattr(bars, "_kept", drawn)
    return told(db, *window)


def _anew(db, user):
    """As after a backup was put back in which somebody is there who was erased."""
    row = db.execute("SELECT id FROM guardian_user WHERE email = ?", (f"u{user}@x.org",)).fetchone()
    mine = () if row is None else db.execute("SELECT id FROM guardian_request WHERE user = ?", row).fetchall()
    if mine:
        db.execute("UPDATE guardian_user SET email = ? WHERE id = ?", (f"erased-{row[0]}", row[0]))
        _begin_anew(db, row[0], f"u{user}@x.org", mine[len(mine) // 2][0])


def _moved_away(db, start):
    """As `guardian migrate` replaces 5 minutes, by nothing."""
    db.execute("BEGIN IMMEDIATE")
    db.execute("DELETE FROM guardian_request WHERE id >= ? AND id < ?", ids(start, start + MINUTES5))
    db.execute("INSERT OR IGNORE INTO guardian_dirty VALUES (?)", (start,))
    db.execute("COMMIT")


def plain(db, low, high):
    """The outcomes of a window by plain SQL; None where events were deleted."""
    if db.execute("SELECT 1 FROM guardian_meta WHERE key = 'purged_until_us'").fetchone():
        return None
    sql = f"SELECT status, count(*) FROM guardian_request WHERE {AT_US} >= ? AND {AT_US} < ? GROUP BY 1"
    return [dict(db.execute(sql, (low, high)))]
