"""A disk that is full: SQLite rolls the transaction back itself, and what is said is why, not that nothing was left to
roll back."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.storage import StorageError
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event
from tracker.sqlite.connection import connect, undo
from tracker.sqlite.migrations import migrate, prepare
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 2, tzinfo=UTC)
FULL = "database or disk is full"


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "guardian.db"
    with closing(Writer(str(path))) as writer:
        writer.write([event(NOW - timedelta(hours=hours)) for hours in (1, 30, 300)])
    return path


def fill(path, change):
    """Let the next such change end as SQLite ends one on a full disk: the transaction is rolled back."""
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"CREATE TRIGGER full BEFORE {change} BEGIN SELECT RAISE(ROLLBACK, '{FULL}'); END")


async def purge(repository):
    await repository.purge(events_before=NOW - timedelta(days=2), summaries_before=NOW - timedelta(days=2))


@pytest.mark.parametrize(
    ("change", "work"),
    [
        ("INSERT ON guardian_seal", lambda repository: repository.seal(NOW)),
        ("UPDATE ON guardian_user", lambda repository: repository.erase_user("ada@example.com")),
        ("DELETE ON guardian_request", purge),
    ],
    ids=["seal", "erase", "purge"],
)
async def test_work_that_fills_the_disk_says_so(database, change, work):
    repository = await backend(database).open_events(NO_BOOK)
    try:
        await repository.seal(NOW - timedelta(days=3))
        fill(database, change)
        with pytest.raises(StorageError, match=FULL):
            await work(repository)
    finally:
        await repository.close()


def test_an_import_that_cannot_begin_on_a_full_disk_says_so(database):
    backend(database).imports().close()
    fill(database, "INSERT ON guardian_source")
    with pytest.raises(StorageError, match=FULL):
        backend(database).imports()


@pytest.mark.parametrize("make", [prepare, lambda db: migrate(db, [("a/1", "CREATE TABLE a (b)")], owner="a")])
def test_tables_that_find_no_room_say_so(tmp_path, make):
    with closing(connect(str(tmp_path / "guardian.db"))) as db:
        db.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError, match=FULL):
            make(db)
        assert not db.in_transaction


def test_undoing_where_nothing_was_begun_does_nothing(tmp_path):
    with closing(connect(str(tmp_path / "guardian.db"))) as db:
        undo(db)
        db.execute("BEGIN")
        undo(db)
        assert not db.in_transaction
