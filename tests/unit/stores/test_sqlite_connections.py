"""Connections to a SQLite file that are kept for the next work."""

import pytest

from guardian.stores.sqlite.connections import KEPT, Connections
from tracker.sqlite.connection import connect
from tracker.sqlite.database_file import FileChanged, OpenedFile


@pytest.fixture
def file(tmp_path):
    found = OpenedFile(str(tmp_path / "guardian.db"))
    connect(found.path).close()
    found.note()
    return found


@pytest.fixture
def connections(file):
    made = Connections(file)
    yield made
    made.drop()


def test_work_after_work_has_the_same_connection(connections):
    with connections.use() as first:
        pass
    with connections.use() as second:
        assert second is first


def test_work_beside_work_has_a_connection_of_its_own(connections):
    with connections.use() as first, connections.use() as second:
        assert second is not first


def test_no_more_than_a_few_are_kept(connections):
    with connections.use() as a, connections.use() as b, connections.use() as c:
        pass
    assert KEPT == 2
    with pytest.raises(Exception, match="closed"):
        a.execute("SELECT 1")
    assert [db.execute("SELECT 1").fetchone() for db in (b, c)] == [(1,), (1,)]


def test_one_whose_work_failed_or_left_a_transaction_open_is_closed(connections):
    with pytest.raises(ZeroDivisionError), connections.use() as failed:
        raise ZeroDivisionError
    with connections.use() as second:
        assert second is not failed
        second.execute("BEGIN")
    with connections.use() as third:
        assert third is not second
        assert not third.in_transaction


def test_after_a_drop_none_of_before_is_used(connections):
    with connections.use() as idle:
        pass
    with connections.use() as busy:
        connections.drop()
        assert busy is idle
        assert busy.execute("SELECT 1").fetchone() == (1,)
    with connections.use() as second:
        assert second is not busy


def test_a_file_that_was_replaced_is_not_read_through_a_kept_connection(connections, file, tmp_path):
    with connections.use():
        pass
    connect(str(tmp_path / "other.db")).close()
    (tmp_path / "other.db").replace(file.path)
    with pytest.raises(FileChanged), connections.use():
        pass
