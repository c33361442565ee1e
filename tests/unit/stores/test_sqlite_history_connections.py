"""How many times the rules' history opens its SQLite file."""

import asyncio

import pytest

from guardian.core.storage import StorageError
from guardian.stores.sqlite import connections
from guardian.stores.sqlite.history import SqliteHistory
from tests.support.events import event
from tracker.sqlite.writer import Writer

AT = 1_773_650_000_000_000


@pytest.fixture
def path(tmp_path):
    writer = Writer(str(tmp_path / "guardian.db"))
    assert writer.write([event(AT)]) == 1
    writer.close()
    return tmp_path / "guardian.db"


@pytest.fixture
def opened(monkeypatch):
    """The connections that were opened, in order."""
    found, connect = [], connections.connect

    def noting(*args, **kwargs):
        found.append(connect(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(connections, "connect", noting)
    return found


def is_open(db):
    try:
        return db.execute("SELECT 1").fetchone() == (1,)
    except Exception:
        return False


def test_the_daemon_opens_the_file_once_for_all_minutes_and_closes_it_at_its_end(path, opened):
    history = SqliteHistory(path, keep=True)
    assert [history.first_event() for _ in range(3)] == [AT, AT, AT]
    assert [is_open(db) for db in opened] == [True]
    asyncio.run(history.close())
    assert not is_open(opened[0])


def test_what_is_asked_after_the_end_leaves_nothing_open(path, opened):
    history = SqliteHistory(path, keep=True)
    asyncio.run(history.close())
    asyncio.run(history.close())
    assert history.first_event() == AT
    assert [is_open(db) for db in opened] == [False]


def test_who_reads_once_leaves_nothing_open(path, opened):
    assert SqliteHistory(path).first_event() == AT
    assert [is_open(db) for db in opened] == [False]


def test_a_replaced_file_is_an_error_until_it_is_reopened(path, opened, tmp_path):
    history = SqliteHistory(path, keep=True)
    assert history.first_event() == AT
    writer = Writer(str(tmp_path / "other.db"))
    writer.write([event(AT + 9)])
    writer.close()
    (tmp_path / "other.db").replace(path)
    with pytest.raises(StorageError, match="replaced"):
        history.first_event()
    asyncio.run(history.reopen())
    assert history.first_event() == AT + 9
    assert [is_open(db) for db in opened] == [False, True]
    asyncio.run(history.close())
