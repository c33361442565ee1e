"""A recorder whose database fails it: the host goes on, and what can be saved is saved."""

import json
import logging
import os
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

from tests.support.events import event as made
from tests.support.waiting import until
from tracker import Recorder
from tracker.sqlite.writer import Writer
from tracker.writer_thread import WriterThread

T = 1_700_000_000_000_000


def event(number=0):
    return made(T + number)


def count(path):
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT count(*) FROM guardian_request").fetchone()[0]
    finally:
        db.close()


def newer(path):
    writer = Writer(str(path))
    writer.db.execute("INSERT INTO guardian_meta VALUES ('least_format', 99)")
    writer.close()


def not_a_database(path):
    path.write_bytes(b"this is a shopping list, not a database\n" * 100)


def corrupt(path):
    writer = Writer(str(path))
    writer.write([event(number) for number in range(2_000)])
    writer.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


@pytest.mark.parametrize("spoil", [newer, not_a_database, corrupt])
def test_a_database_that_cannot_be_used_is_said_in_one_line_and_drops_are_counted(tmp_path, caplog, spoil):
    path = tmp_path / "guardian.db"
    spoil(path)
    recorder = Recorder(path, flush_interval=0.01)
    recorder.add(event())
    assert recorder.flush()
    for number in range(5):
        recorder.add(event(number))
    assert recorder.close()
    assert recorder.stats() == (6, 0, 6, 0)
    [record] = caplog.records
    assert record.message.startswith(f"The tracker stops recording into {path}: ")
    assert record.message.endswith(" The app goes on.")
    assert "\n" not in record.message


def test_a_folder_that_is_missing_is_tried_again_until_it_is_there(tmp_path, caplog):
    path = tmp_path / "later" / "guardian.db"
    recorder = Recorder(path, flush_interval=0.01)
    recorder.add(event())
    assert not recorder.flush(timeout=0.3)
    path.parent.mkdir()
    assert recorder.flush(timeout=60)
    assert recorder.close()
    assert recorder.stats() == (1, 1, 0, 0)


def test_a_database_that_stays_locked_is_said_once(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("tracker.pacing.BACKOFF", (0.001, 0.001, 0.001))
    monkeypatch.setattr("tracker.sqlite.sink.LOCK_SECONDS", 0.01)
    path = tmp_path / "guardian.db"
    Writer(str(path)).close()
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    recorder = Recorder(path, flush_interval=0.001)
    recorder.add(event())
    until(lambda: caplog.records)
    assert recorder.stats().queued == 1
    lock.execute("ROLLBACK")
    lock.close()
    assert recorder.flush()
    recorder.close()
    assert [record.message.split(str(path))[0] for record in caplog.records] == [
        "The tracker cannot write to ",
        "The tracker writes to ",
    ]


def run(code, *arguments, **options):
    """Run code in a Python of its own; what it printed as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True, text=True, timeout=300, **options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


PRELUDE = """
    import json, os, resource, sys
    from tracker import Event, Recorder
    def event(number=0):
        return Event(1_700_000_000_000_000 + number, "ada@example.com", "/chat", "GET", "chat", 200, 1_000)
    path = sys.argv[1]
"""


def test_a_full_disk_costs_nothing_that_the_buffer_can_hold(tmp_path):
    found = run(
        PRELUDE
        + """
    recorder = Recorder(path, flush_interval=0.01, buffer_size=20_000)
    recorder.add(event())
    assert recorder.flush()
    # The kernel refuses to let the file grow (EFBIG): for SQLite, the disk is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
    for number in range(1, 20_000):
        recorder.add(event(number))
    full = recorder.flush(timeout=1)
    between = recorder.stats()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    again = recorder.flush(timeout=60)
    print(json.dumps([full, between, again, recorder.stats()]))
    """,
        tmp_path / "guardian.db",
    )
    full, between, again, after = found
    assert (full, again) == (False, True)
    assert between[3] > 0 and between[2] == 0, "the disk was full, and the buffer held"
    assert after == [20_000, 20_000, 0, 0]
    assert count(tmp_path / "guardian.db") == 20_000


def test_a_forked_child_starts_empty_and_writes_for_itself(tmp_path):
    found = run(
        PRELUDE
        + """
    recorder = Recorder(path, flush_interval=3600)
    for number in range(10):
        recorder.add(event(number))   # still in the parent's buffer when it forks
    parent = recorder.id
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        before = recorder.stats()
        for number in range(7):
            recorder.add(event(number))
        stored = recorder.flush()
        os.write(writing, json.dumps([before, stored, recorder.stats(), recorder.id != parent]).encode())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    theirs = json.loads(os.read(reading, 65536))
    recorder.close()
    print(json.dumps([status, theirs, recorder.stats()]))
    """,
        tmp_path / "guardian.db",
    )
    assert found == [0, [[0, 0, 0, 0], True, [7, 7, 0, 0], True], [10, 10, 0, 0]]
    assert count(tmp_path / "guardian.db") == 17


def test_a_child_forked_while_the_writer_is_at_work_harms_neither_side(tmp_path):
    found = run(
        PRELUDE
        + """
    recorder = Recorder(path, flush_interval=0.001, batch_size=20)
    children, number = [], 0
    for _ in range(15):
        for _ in range(100):
            recorder.add(event(number)); number += 1
        child = os.fork()
        if child == 0:
            for extra in range(10):
                recorder.add(event(number + extra))
            os._exit(0 if recorder.flush(60) and recorder.close() and recorder.stats() == (10, 10, 0, 0) else 1)
        children.append(child)
    statuses = {os.waitpid(child, 0)[1] for child in children}
    recorder.flush(60)
    recorder.close()
    print(json.dumps([sorted(statuses), recorder.stats()]))
    """,
        tmp_path / "guardian.db",
    )
    assert found == [[0], [1_500, 1_500, 0, 0]]
    assert count(tmp_path / "guardian.db") == 1_650
    db = sqlite3.connect(tmp_path / "guardian.db")
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise RuntimeError"])
def test_a_process_that_ends_by_itself_stores_what_waits(tmp_path, ending):
    code = (
        PRELUDE
        + f"""
    recorder = Recorder(path, flush_interval=3600)
    for number in range(1_234):
        recorder.add(event(number))
    {ending}
    """
    )
    subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "guardian.db")], capture_output=True)
    assert count(tmp_path / "guardian.db") == 1_234


def test_kill_9_loses_nothing_that_had_been_stored_and_leaves_a_sound_database(tmp_path):
    path = tmp_path / "guardian.db"
    code = (
        PRELUDE
        + """
    import time
    recorder = Recorder(path, flush_interval=0.01)
    for number in range(1_000_000):
        recorder.add(event(number))
        if number % 10 == 0:
            print(recorder.stats().stored, flush=True)
        time.sleep(0.0002)
    """
    )
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], stdout=subprocess.PIPE, text=True
    )
    with child.stdout as output:
        stored = next(number for number in map(int, output) if number >= 700)
        child.kill()
        child.wait()
    assert count(path) >= stored
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()


# A file that is not where it was


def remove(path):
    for each in path.parent.glob("guardian.db*"):
        each.unlink()


def put_backup(path):
    backup = path.with_name("backup.db")
    Writer(str(backup)).close()
    os.replace(backup, path)


def put_backup_and_leave_no_log(path):
    remove(path)
    put_backup(path)


@pytest.mark.parametrize("replace", [remove, put_backup, put_backup_and_leave_no_log])
def test_a_file_that_is_removed_or_replaced_is_noticed_counted_and_said(tmp_path, caplog, replace):
    path = tmp_path / "guardian.db"
    recorder = Recorder(path, flush_interval=0.01)
    for number in range(50):
        recorder.add(event(number))
    assert recorder.flush()
    replace(path)
    for number in range(50, 150):
        recorder.add(event(number))
    assert recorder.flush()
    assert count(path) == 100
    assert recorder.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("SELECT kind, count FROM guardian_recorder_note").fetchall() == [("file", 1)]
    assert [record.message for record in caplog.records] == [
        f"The file {path} was removed or replaced: the tracker goes on in a new one."
    ]


def test_what_went_into_a_file_that_was_removed_meanwhile_is_stored_again(tmp_path, monkeypatch):
    path = tmp_path / "guardian.db"
    recorder = Recorder(path, flush_interval=0.01)
    recorder.add(event())
    assert recorder.flush()
    write = Writer.write

    def removed_meanwhile(self, *arguments, **more):
        stored = write(self, *arguments, **more)
        monkeypatch.setattr(Writer, "write", write)
        remove(path)
        return stored

    monkeypatch.setattr(Writer, "write", removed_meanwhile)
    recorder.add(event(1))
    assert recorder.flush()
    assert recorder.close()
    assert count(path) == 1
    assert recorder.stats() == (2, 2, 0, 0)


# The end of a process


def test_a_request_that_is_given_up_after_the_end_waits_until_it_is_stored(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.recorder._LATE_SECONDS", 60)
    path = tmp_path / "guardian.db"
    recorder = Recorder(path)
    recorder.add(event())
    assert recorder.close()
    recorder.add(event(1))
    recorder.hurry()
    assert count(path) == 2
    assert recorder.close()


def test_while_another_app_of_the_process_runs_the_end_of_one_is_no_end(tmp_path):
    recorder = Recorder(tmp_path / "guardian.db")
    recorder.open()
    recorder.open()
    recorder.add(event())
    assert recorder.drain()
    recorder.release()
    recorder.add(event(1))
    assert recorder._writer.ended_at is None and recorder._writer.thread is not None
    assert recorder.drain()
    recorder.release()
    assert recorder._writer.ended_at is not None
    assert recorder.close()
    assert count(tmp_path / "guardian.db") == 2


def test_requests_after_the_end_wait_for_a_locked_database_only_for_a_moment(tmp_path):
    path = tmp_path / "guardian.db"
    Writer(str(path)).close()
    recorder = Recorder(path)
    recorder.close()
    recorder._late = 0.02
    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        for number in range(100):
            recorder.add(event(number))
            recorder.hurry()
        assert recorder._late <= 0  # spent: from here on nobody waits
        lock.execute("ROLLBACK")
    assert recorder.flush()
    assert count(path) == 100
    recorder.close()


def test_an_end_in_vain_says_what_is_lost_and_a_second_one_takes_no_more_time(tmp_path, caplog):
    path = tmp_path / "guardian.db"
    Writer(str(path)).close()
    recorder = Recorder(path)
    recorder._patience = 0.2
    with closing(sqlite3.connect(path, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        recorder.add(event())
        assert not recorder.close()
        assert recorder._patience <= 0.05
        assert not recorder.close()
        lock.execute("ROLLBACK")
    lost = f"1 events could not be stored into {path} within"
    assert [record.message[: len(lost)] for record in caplog.records if record.levelname == "ERROR"] == [lost, lost]
    recorder._patience = 60
    assert recorder.flush() and recorder.close()


def test_what_could_not_be_made_out_is_kept_by_reason_with_the_heartbeat(tmp_path, caplog):
    path = tmp_path / "guardian.db"
    recorder = Recorder(path, flush_interval=0.01)
    for _ in range(3):
        recorder.note("token_refused", "the token has expired")
    recorder.add_lost("KeyError")
    recorder.add(event())
    assert recorder.flush()
    for number in range(300):
        recorder.note("token_refused", f"reason {number}")
    recorder.add(event(1))
    assert recorder.flush()
    recorder.close()
    with closing(sqlite3.connect(path)) as db:
        rows = dict(db.execute("SELECT kind || ' ' || detail, count FROM guardian_recorder_note"))
    assert rows["token_refused the token has expired"] == 3
    assert rows["unrecorded KeyError"] == 1
    assert len(rows) == 101
    assert rows["token_refused (other)"] == 202
    assert len(caplog.records) <= 101


# The host's own ways


def test_a_log_handler_that_raises_costs_no_event(tmp_path, monkeypatch):
    class Raises(logging.Handler):
        def emit(self, record):
            raise RuntimeError("no disk for logs")

    log = logging.getLogger("tracker")
    monkeypatch.setattr(log, "handlers", [Raises()])
    monkeypatch.setattr(log, "level", logging.DEBUG)
    recorder = Recorder(tmp_path / "guardian.db", flush_interval=0.01)
    recorder.open()
    recorder.add(event())
    assert recorder.flush()
    remove(tmp_path / "guardian.db")
    recorder.add(event(1))
    assert recorder.flush()
    assert recorder.close()


def test_a_writer_that_dies_is_started_anew_by_the_next_event(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "guardian.db", flush_interval=0.01)
    rest, calls = WriterThread.rest, []

    def dies(self, failures):
        calls.append(failures)
        if len(calls) == 1:
            raise MemoryError
        rest(self, failures)

    monkeypatch.setattr(WriterThread, "rest", dies)
    recorder.add(event())
    until(lambda: recorder._writer.thread is None)
    recorder.add(event(1))
    assert recorder.flush()
    assert recorder.close()
    assert count(tmp_path / "guardian.db") == 2


def test_a_recorder_that_nobody_holds_ends_without_a_lock_of_its_own(tmp_path):
    recorder = Recorder(tmp_path / "guardian.db", flush_interval=0.01)
    recorder.add(event())
    assert recorder.flush()
    thread = recorder._writer.thread
    with recorder._buffer.lock:  # as where the garbage collector runs in whoever holds it
        recorder.abandon()
    thread.join(60)
    assert not thread.is_alive()


def test_behind_a_link_the_log_of_a_replaced_file_does_not_reach_the_new_one(tmp_path):
    real, link = tmp_path / "data" / "real.db", tmp_path / "guardian.db"
    real.parent.mkdir()
    link.symlink_to(real)
    recorders = [Recorder(link, flush_interval=0.01) for _ in range(2)]
    for recorder in recorders:
        recorder.add(event())
        assert recorder.flush()
    backup = tmp_path / "backup.db"
    Writer(str(backup)).close()
    os.replace(backup, real)
    for number in range(1, 201):
        for recorder in recorders:
            recorder.add(event(number))
    assert all(recorder.flush() for recorder in recorders)
    assert all(recorder.close() for recorder in recorders)
    assert count(link) == 400
    with closing(sqlite3.connect(link)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_file_that_was_seen_half_way_in_a_restore_is_used_when_it_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("tracker.writer_thread._HOPE_SECONDS", 0.05)
    path = tmp_path / "guardian.db"
    Writer(str(tmp_path / "backup.db")).close()
    path.write_bytes((tmp_path / "backup.db").read_bytes()[:5000])
    recorder = Recorder(path, flush_interval=0.01)
    recorder.add(event())
    until(lambda: recorder.stats().dropped == 1)
    os.replace(tmp_path / "backup.db", path)

    def stored():
        recorder.add(event(1))
        return recorder.flush() and recorder.stats().stored

    until(stored)
    assert recorder.close()
    assert count(path) == recorder.stats().stored
