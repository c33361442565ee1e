"""Summaries of older layouts come into today's table, whatever happens meanwhile."""

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.stores.sqlite import seal_layout, sealing
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, SPANS
from guardian.stores.sqlite.seal_keys import seal_key, seal_range, seal_start
from guardian.stores.sqlite.seals import FAILED, STORED
from tests.support import older_seals
from tests.support.events import event
from tracker.event import Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.migrations import NewerDatabase, migrate, prepare
from tracker.sqlite.writer import write_events

START = 1_700_000_100_000_000 // DAY * DAY
LAYOUTS = pytest.mark.parametrize("layout", [older_seals.version_1, older_seals.parts])
FAILURE = Failure("HTTP 500", "Server Error")


@pytest.fixture
def path(tmp_path):
    """A file with sealed summaries of two days."""
    path = str(tmp_path / "guardian.db")
    with closing(connect(path)) as db:
        prepare(db)
        seal_layout.prepare(db)
        users = [f"u{n % 3}@example.com" for n in range(60)]
        write_events(
            db,
            [event(START + n * 7 * MINUTES5, user=user, status=500, failure=FAILURE) for n, user in enumerate(users)],
        )
        sealing.seal(db, START + 3 * DAY)
    return path


def rows(db):
    sql = "SELECT id, requests, body FROM guardian_seal WHERE id < ? ORDER BY id"
    return db.execute(sql, (seal_key(FAILED, MINUTES5, 0),)).fetchall()


class Killed(Exception):
    pass


@LAYOUTS
@pytest.mark.parametrize("after", range(4))
def test_a_killed_conversion_goes_on_where_it_stopped(path, layout, after, monkeypatch):
    monkeypatch.setattr(seal_layout, "_OLD", 20)
    with closing(connect(path)) as db:
        before = rows(db)
        layout(db)

        move, left = seal_layout._move, iter(range(after))

        def few(db, rows):
            if next(left, None) is None:
                raise Killed
            return move(db, 30)

        with monkeypatch.context() as patch:
            patch.setattr(seal_layout, "_move", few)
            with pytest.raises(Killed):
                seal_layout.prepare(db)
        names = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
        assert names.isdisjoint({"guardian_seal", "guardian_summary_part"}), "no version finds half of them"
    with closing(connect(path)) as db:
        seal_layout.prepare(db)
        assert rows(db) == before


@LAYOUTS
def test_two_that_convert_at_once_both_come_to_an_end(path, layout, monkeypatch):
    with closing(connect(path)) as db, closing(connect(path)) as other:
        before = rows(db)
        layout(db)

        move = seal_layout._move

        def overtaken(db, rows):
            monkeypatch.undo()
            move(db, 10)
            seal_layout.prepare(other)
            return move(db, 10)

        monkeypatch.setattr(seal_layout, "_move", overtaken)
        seal_layout.prepare(db)
        assert rows(db) == before


@LAYOUTS
@pytest.mark.parametrize("question", [1, 2, 5])
def test_whoever_is_overtaken_between_looking_for_a_table_and_reading_it_goes_on(path, layout, question, monkeypatch):
    with closing(connect(path)) as db, closing(connect(path)) as other:
        before = rows(db)
        layout(db)

        tables, left = seal_layout._tables, iter(range(question))

        def overtaken(db):
            found = tables(db)
            if next(left, None) == question - 1:
                seal_layout.prepare(other)
            return found

        monkeypatch.setattr(seal_layout, "_tables", overtaken)
        seal_layout.prepare(db)
        assert next(left, None) is None
        assert rows(db) == before


def test_columns_of_failed_requests_are_made_anew_where_summaries_are_converted(path):
    with closing(connect(path)) as db:
        sql, asked = "SELECT * FROM guardian_seal WHERE id >= ? AND id < ?", seal_range(FAILED, DAY, 0, 2**62)
        before = db.execute(sql, asked).fetchall()
        older_seals.parts(db)
        seal_layout.prepare(db)
        assert not db.execute(sql, asked).fetchall()
        sealing.seal(db, START + 3 * DAY)
        assert db.execute(sql, asked).fetchall() == before


def test_an_older_daemon_refuses_the_file_and_one_that_runs_fails(path):
    with closing(connect(path)) as db:
        with pytest.raises(NewerDatabase):
            migrate(db, [("summaries/0001_parts", "")], owner="summaries")
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            db.execute("SELECT * FROM guardian_summary_part")


def test_a_prepared_file_waits_for_no_lock(path):
    with closing(connect(path)) as db, closing(connect(path, timeout=0)) as other:
        db.execute("BEGIN IMMEDIATE")
        seal_layout.prepare(other)


buckets = st.tuples(
    st.sampled_from(STORED), st.sampled_from(SPANS), st.integers(0, 2**53 // DAY).map(lambda day: day * DAY)
)


@given(buckets, buckets, st.integers(0, 23))
def test_keys_are_in_the_order_of_part_length_and_start(one, another, hour):
    part, span, start = one
    start += hour * HOUR if span < DAY else 0
    key = seal_key(part, span, start)
    assert seal_start(key) == start
    first, end = seal_range(part, span, start - 1, start + 1)
    assert (first, end) == (key, key + 1)
    one = (part, SPANS[::-1].index(span), start)
    two = (another[0], SPANS[::-1].index(another[1]), another[2])
    assert (key < seal_key(*another)) == (one < two)
    assert seal_range(part, span, -(2**62), 2**62)[1] - seal_range(part, span, -(2**62), 2**62)[0] == 2**25
