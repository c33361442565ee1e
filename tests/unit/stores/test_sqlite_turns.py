"""Where the write-ahead log is long, reads wait until it has begun anew, for a second at most."""

import itertools
import sqlite3
import threading

import pytest

from guardian.stores.sqlite import turns
from guardian.stores.sqlite.connections import Connections
from guardian.stores.sqlite.log import log_bytes
from guardian.stores.sqlite.pacing import LONG
from guardian.stores.sqlite.turns import FIRST_PAUSE, LAST_PAUSE, LONGEST, Turns
from tests.support.waiting import until
from tracker.sqlite.connection import connect
from tracker.sqlite.database_file import OpenedFile

LIMIT = 200_000


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(turns, "LOG_LIMIT", LIMIT)
    return str(tmp_path / "guardian.db")


@pytest.fixture
def writer(path):
    """A host app's connection, which never moves the log by itself: it always meets somebody who reads."""
    db = connect(path)
    db.execute("PRAGMA wal_autocheckpoint = 0")
    db.execute("CREATE TABLE noted (text)")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield db
    db.close()


def lengthen(writer):
    """Write until the log is longer than it may be; how many rows that takes."""
    rows = 0
    while log_bytes(writer.execute("PRAGMA database_list").fetchone()[2]) <= LIMIT:
        writer.execute("INSERT INTO noted VALUES (?)", ("x" * 3000,))
        rows += 1
    return rows


class Time:
    """A clock that goes on while somebody waits, and does then what it was told to."""

    def __init__(self):
        self.now, self.waited, self.then = 100.0, 0, lambda: None

    def clock(self):
        return self.now

    def wait(self, seconds):
        assert seconds == LONG
        self.now += seconds
        self.waited += 1
        self.then()


def reading(path):
    """A connection in the midst of a read."""
    db = connect(path)
    db.execute("BEGIN")
    db.execute("SELECT count(*) FROM noted").fetchone()
    return db


def turns_of(path):
    time = Time()
    return Turns(path, clock=time.clock, wait=time.wait), time


def test_a_short_log_lets_every_read_begin_at_once_and_is_left_as_it_is(path, writer):
    writer.execute("INSERT INTO noted VALUES ('x')")
    before, (given, time) = log_bytes(path), turns_of(path)
    with connect(path) as db:
        given.give(db)
    assert (time.waited, log_bytes(path)) == (0, before)
    assert before > 0


def test_a_long_log_that_nobody_reads_is_begun_anew_without_a_wait(path, writer):
    rows, (given, time) = lengthen(writer), turns_of(path)
    with connect(path) as db:
        given.give(db)
        assert (time.waited, log_bytes(path)) == (0, 0)
        assert db.execute("SELECT count(*) FROM noted").fetchone() == (rows,)


def test_a_read_waits_until_those_under_way_have_ended_and_then_the_log_is_begun_anew(path, writer):
    under_way = reading(path)
    lengthen(writer)
    given, time = turns_of(path)
    time.then = lambda: under_way.close() if time.waited == 3 else None
    with connect(path) as db:
        given.give(db)
    assert (time.waited, log_bytes(path)) == (3, 0)


def test_who_read_the_newest_state_is_waited_for_as_well(path, writer):
    lengthen(writer)
    under_way = reading(path)
    given, time = turns_of(path)
    time.then = lambda: under_way.close() if time.waited == 3 else None
    with connect(path) as db:
        given.give(db)
    assert (time.waited, log_bytes(path)) == (3, 0)


def test_a_read_that_lasts_is_waited_for_a_second_and_the_next_turn_comes_later_and_later(path, writer):
    foreign = reading(path)
    lengthen(writer)
    given, time = turns_of(path)
    with connect(path) as db:
        pause = FIRST_PAUSE
        for _ in range(10):
            began = time.now
            given.give(db)
            assert LONGEST <= time.now - began < LONGEST + 2 * LONG
            ended, waited = time.now, time.waited
            for later in (0.0, pause / 2, pause - 0.01):
                time.now = ended + later
                given.give(db)
            assert time.waited == waited, f"a read waited again within {pause} s"
            time.now, pause = ended + pause + 0.01, min(2 * pause, LAST_PAUSE)
        foreign.close()
        waited = time.waited
        given.give(db)
        assert (time.waited, log_bytes(path)) == (waited, 0)
        again = reading(path)
        lengthen(writer)
        given.give(db)
        time.now += FIRST_PAUSE + 0.01
        before = time.waited
        given.give(db)
        assert time.waited > before, "after a turn that was taken the pauses begin anew"
        again.close()


def test_what_somebody_else_has_begun_anew_is_not_waited_for(path, writer):
    under_way = reading(path)
    lengthen(writer)
    given, time = turns_of(path)

    def other_process():
        under_way.close()
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    time.then = other_process
    with connect(path) as db:
        given.give(db)
    assert (time.waited, log_bytes(path)) == (1, 0)


def test_a_writer_in_the_midst_of_its_work_is_never_held_up_and_is_waited_for(path, writer):
    lengthen(writer)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO noted VALUES ('mine')")
    given, time = turns_of(path)
    time.then = lambda: writer.execute("COMMIT") if time.waited == 2 else None
    with connect(path) as db:
        given.give(db)
        assert db.execute("PRAGMA busy_timeout").fetchone() == (5000,), "its own waits are as before"
    assert (time.waited, log_bytes(path)) == (2, 0)


def test_a_log_that_cannot_be_moved_is_no_reason_not_to_read(path, writer, monkeypatch):
    lengthen(writer)

    def full(db):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(turns, "cut_once", full)
    given, time = turns_of(path)
    with connect(path) as db:
        given.give(db)
    assert time.waited > 0


def test_the_log_of_a_database_behind_a_link_is_the_one_beside_the_file(path, writer, tmp_path):
    lengthen(writer)
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "linked.db"
    link.symlink_to(path)
    assert log_bytes(str(link)) == log_bytes(path) > LIMIT
    given, _ = turns_of(str(link))
    with connect(str(link)) as db:
        given.give(db)
    assert log_bytes(path) == 0


def test_readers_without_a_gap_of_several_threads_leave_the_log_its_moments(path, writer):
    """Each read ends only when another one has begun; a writer writes on beside them."""
    file = OpenedFile(path)
    file.note()
    kept, over, longest = [Connections(file), Connections(file)], threading.Event(), 0
    begun = itertools.count()
    under_way, failures = [next(begun)], []

    def read_on(connections):
        try:
            while not over.is_set():
                with connections.use() as db:
                    db.execute("BEGIN")
                    db.execute("SELECT count(*) FROM noted").fetchone()
                    mine = under_way[0] = next(begun)
                    # As long as another one of these reads, but not while all of those wait for the log.
                    for _ in range(20):
                        if under_way[0] != mine or over.wait(0.001):
                            break
                    db.execute("ROLLBACK")
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=read_on, args=(each,)) for each in (*kept, *kept)]
    for thread in threads:
        thread.start()
    cuts, before = 0, 0

    def written():
        nonlocal cuts, before, longest
        writer.execute("INSERT INTO noted VALUES (?)", ("x" * 3000,))
        now = log_bytes(path)
        cuts, longest, before = cuts + (now < before), max(longest, now), now
        return cuts >= 5 or failures

    try:
        until(written)
    finally:
        over.set()
        for thread in threads:
            thread.join()
        for each in kept:
            each.drop()
    assert not failures
    assert cuts >= 5
