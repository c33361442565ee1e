"""Old sessions in SQLite: found without an index of their ends, wherever they lie."""

import random

import pytest

from guardian.stores.sqlite import retention
from guardian.stores.sqlite.retention import purge_sessions
from tracker.sqlite.connection import connect
from tracker.sqlite.migrations import prepare
from tracker.sqlite.schema import TRACKER_MIGRATIONS
from tracker.sqlite.writer import Writer

_COLUMNS = "INSERT INTO guardian_session (user, start_us, end_us) VALUES (?, ?, ?)"


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.setattr("guardian.stores.sqlite.pacing.sleep", lambda _: None)
    db = connect(str(tmp_path / "guardian.db"))
    prepare(db)
    yield db
    db.close()


@pytest.mark.parametrize("at_once", [1, 7, 50_000])
def test_old_sessions_are_deleted_wherever_they_lie_and_no_others(db, monkeypatch, at_once):
    monkeypatch.setattr(retention, "_AT_ONCE", at_once)
    ends = list(range(300))
    random.Random(3).shuffle(ends)
    db.executemany(_COLUMNS, [(end % 5, max(end - 10, 0), end) for end in ends])
    assert purge_sessions(db, 120) == 120
    assert sorted(end for (end,) in db.execute("SELECT end_us FROM guardian_session")) == list(range(120, 300))
    assert purge_sessions(db, 120) == 0


def test_a_session_that_went_on_after_it_was_found_stays(db, monkeypatch):
    db.executemany(_COLUMNS, [(1, 0, 5), (2, 0, 6)])

    def steps(step):
        db.execute("UPDATE guardian_session SET end_us = 500 WHERE user = 2")
        return step(100)

    monkeypatch.setattr(retention, "in_portions", steps)
    assert purge_sessions(db, 100) == 1
    assert db.execute("SELECT user, end_us FROM guardian_session").fetchall() == [(2, 500)]


def test_a_database_from_before_loses_the_index_of_ends_and_keeps_its_sessions(tmp_path):
    path = str(tmp_path / "guardian.db")
    db = connect(path)
    db.execute("CREATE TABLE guardian_migration (name TEXT PRIMARY KEY, applied_at TEXT NOT NULL)")
    for name, sql in TRACKER_MIGRATIONS:
        if name != "events/0006_sessions":
            db.executescript(sql)
            db.execute("INSERT INTO guardian_migration VALUES (?, '')", (name,))
    db.execute(_COLUMNS, (1, 2, 3))
    there = "SELECT count(*) FROM sqlite_schema WHERE name = 'guardian_session_end'"
    assert db.execute(there).fetchone() == (1,)
    db.close()
    writer = Writer(path)
    assert writer.db.execute(there).fetchone() == (0,)
    assert writer.db.execute("SELECT user, start_us, end_us FROM guardian_session").fetchall() == [(1, 2, 3)]
    writer.close()
