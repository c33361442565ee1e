"""What is kept of sealed summaries is what is stored, whoever changes it: each change gives its day another mark."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core import codec
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite import seal_layout, seal_marks, seals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, SPANS
from guardian.stores.sqlite.seal_keys import seal_key, seal_range, seal_start
from tracker.sqlite.migrations import prepare

KEY = seal_key(Part.USED, HOUR, 3 * DAY + 5 * HOUR)


def made(name=":memory:"):
    db = sqlite3.connect(name, isolation_level=None)
    prepare(db)
    seal_layout.prepare(db)
    seal_marks.prepare(db)
    return db


@pytest.fixture
def db():
    with closing(made()) as db:
        yield db


def marks(db):
    known = seal_marks.read_marks(db, 0, 10 * DAY)
    return [known[day] for day in range(10)]


def changed(before, after):
    return [day for day, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]


@pytest.mark.parametrize(
    "change",
    [
        f"INSERT INTO guardian_seal VALUES ({KEY + 1}, 1, x'02')",
        f"INSERT OR IGNORE INTO guardian_seal VALUES ({KEY + 1}, 1, x'02')",
        f"REPLACE INTO guardian_seal VALUES ({KEY}, 1, x'02')",
        f"INSERT INTO guardian_seal VALUES ({KEY}, 1, x'02') ON CONFLICT DO UPDATE SET body = excluded.body",
        "UPDATE guardian_seal SET body = x'03'",
        f"UPDATE OR IGNORE guardian_seal SET id = {KEY + 1}",
        "DELETE FROM guardian_seal",
    ],
)
def test_whatever_changes_a_row_gives_its_day_another_mark_each_time(db, change):
    db.execute(f"INSERT INTO guardian_seal VALUES ({KEY}, 1, x'01')")
    before = marks(db)
    db.execute(change)
    assert changed(before, marks(db)) == [3]


def test_a_row_that_moves_to_another_day_changes_both(db):
    db.execute(f"INSERT INTO guardian_seal VALUES ({KEY}, 1, x'01')")
    before = marks(db)
    db.execute("UPDATE guardian_seal SET id = id + ?", (2 * DAY // MINUTES5,))
    assert changed(before, marks(db)) == [3, 5]


def test_what_is_rolled_back_leaves_the_mark(db):
    before = marks(db)
    db.execute("BEGIN")
    db.execute(f"INSERT INTO guardian_seal VALUES ({KEY}, 1, x'01')")
    db.execute("ROLLBACK")
    assert changed(before, marks(db)) == []


def test_days_of_two_databases_have_no_mark_in_common(db):
    with closing(made()) as other:
        assert changed(marks(db), marks(other)) == list(range(10))


def test_without_the_table_of_marks_nothing_counts_as_unchanged(db):
    db.execute("DROP TABLE guardian_day_mark")
    assert changed(marks(db), marks(db)) == list(range(10))


def test_marks_begin_anew_where_a_trigger_was_missing(db):
    before = marks(db)
    seal_marks.prepare(db)
    assert changed(before, marks(db)) == []
    db.execute("DROP TRIGGER guardian_day_mark_gone")
    seal_marks.prepare(db)
    assert changed(before, marks(db)) == list(range(10))


def test_nothing_counts_as_unchanged_where_the_table_of_summaries_was_made_anew_without_its_triggers(db):
    db.execute(f"INSERT INTO guardian_seal VALUES ({KEY}, 1, x'01')")
    (table,) = db.execute("SELECT sql FROM sqlite_schema WHERE name = 'guardian_seal'").fetchone()
    db.execute("DROP TABLE guardian_seal")
    db.execute(table)
    assert changed(marks(db), marks(db)) == list(range(10))
    seal_marks.prepare(db)
    assert changed(marks(db), marks(db)) == []


def test_another_error_of_the_database_is_none_of_a_missing_table(db):
    db.execute("ALTER TABLE guardian_day_mark RENAME COLUMN mark TO other")
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        marks(db)


def test_a_bucket_that_another_process_seals_while_some_are_read_is_among_them_or_not(tmp_path, monkeypatch):
    totals, listed = Totals.of(np.array([[3 * DAY + 1, 1, 1, 200, 5, 5]])), seals.starts
    with closing(made(tmp_path / "guardian.db")) as db, closing(made(tmp_path / "guardian.db")) as other:
        db.execute("PRAGMA journal_mode = WAL")
        seals.put(db, MINUTES5, 3 * DAY, totals)

        def starts(*asked):
            found = listed(*asked)
            seals.put(other, MINUTES5, 3 * DAY + MINUTES5, totals)
            return found

        monkeypatch.setattr(seals, "starts", starts)
        assert [at for at, _ in seals.read_run(db, MINUTES5, 3 * DAY, 3 * DAY + HOUR)] == [3 * DAY]
        assert len(list(seals.read_run(db, MINUTES5, 3 * DAY, 3 * DAY + HOUR))) == 2


STARTS = st.integers(0, 3 * DAY // MINUTES5 - 1).map(lambda place: place * MINUTES5)
CHANGES = st.tuples(st.sampled_from(SPANS), STARTS, st.integers(0, 3))
RANGES = st.tuples(st.sampled_from(SPANS), STARTS, STARTS | st.sampled_from([2**61, 500 * DAY])) | st.tuples(
    st.sampled_from(SPANS), st.just(-(2**61)), STARTS
)


@given(st.lists(st.tuples(st.lists(CHANGES, max_size=3), st.lists(RANGES, min_size=1, max_size=3)), max_size=8))
def test_readers_of_two_databases_find_what_is_stored_whatever_was_kept(steps):
    with closing(made()) as one, closing(made()) as other:
        for n, (changes, ranges) in enumerate(steps):
            for db in (one, other):
                for span, start, value in changes:
                    keys = [seal_key(part, span, start // span * span) for part in (Part.STATUSES, Part.USED)]
                    if not value:
                        db.executemany("DELETE FROM guardian_seal WHERE id = ?", [(key,) for key in keys])
                        continue
                    body = codec.pack([np.array([value, n], np.int64)])
                    db.executemany("REPLACE INTO guardian_seal VALUES (?, 1, ?)", [(key, body) for key in keys])
                stored = seals.tables_in(db, Part.USED, ranges)
                expected = [
                    db.execute(
                        "SELECT id, body FROM guardian_seal WHERE id >= ? AND id < ? ORDER BY id",
                        seal_range(Part.USED, *each),
                    ).fetchall()
                    for each in ranges
                ]
                assert [each.starts for each in stored] == [[seal_start(key) for key, _ in rows] for rows in expected]
                assert [[codec.joined([table], (0,))[0][0].tolist() for table in each.tables] for each in stored] == [
                    [codec.unpack(body)[0].tolist() for _, body in rows] for rows in expected
                ]
                assert seals.starts_in(db, ranges) == [each.starts for each in stored]
