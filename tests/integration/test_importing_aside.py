"""Large logs are read by a process of their own: the same comes of it, also where that process does not live."""

import gzip
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guardian.application.importing import reading, run
from guardian.application.importing.reading import How, read
from guardian.application.importing.run import Wanted, import_into
from guardian.core.time import micros
from guardian.stores.opening import backend
from tests.support.waiting import until

NOW = datetime(2026, 3, 3, tzinfo=UTC)


@pytest.fixture
def log(tmp_path, monkeypatch):
    """Of three blocks, more than a pipe holds, with bad lines, blank ones, one of the future, and the same line
    twice."""
    monkeypatch.setattr(run, "LEARN", 500)
    monkeypatch.setattr(run, "BATCH", 500)
    lines = []
    for number in range(30_000):
        at = NOW - timedelta(hours=9) + timedelta(seconds=number // 30 + (99_999 if number == 70 else 0))
        path = f"/api/threads/{number % 50}?q={number % 2}" if number % 7 else "/api/me"
        lines.append(f'10.0.0.1 - u{number % 40} [{at:%d/%b/%Y:%H:%M:%S +0000}] "GET {path} HTTP/1.1" 200 5 "-" "-"\n')
    lines[9], lines[2_000], lines[55] = "hello\n", "hello\r\n", " \n"
    path = tmp_path / "access.log"
    path.write_text("".join(lines))
    return path


def imported(log, folder):
    folder.mkdir()
    wanted = Wanted(files=[str(log)], zone=UTC, now_us=micros(NOW))
    seen = []
    outcome = import_into(
        backend(folder / "guardian.db"), wanted, lambda _, read: seen.append(read), lambda: None, dry_run=False
    )
    with closing(sqlite3.connect(folder / "guardian.db")) as db:
        rows = db.execute("SELECT * FROM feature_usage ORDER BY CAST(id AS INTEGER)").fetchall()
        sessions = db.execute(
            "SELECT user_email, session_start, session_end FROM user_sessions ORDER BY 1, 2"
        ).fetchall()
    return outcome, rows, sessions, seen[-1]


@pytest.fixture
def here(log, tmp_path):
    return imported(log, tmp_path / "here")


@pytest.fixture
def aside(here, monkeypatch):
    """From now on all files are large, on a machine of several processors."""
    monkeypatch.setattr(reading, "LARGE", 0)
    monkeypatch.setattr(reading.os, "cpu_count", lambda: 2)
    children, real = [], subprocess.Popen

    def started(*args, **options):
        children.append(real(*args, **options))
        return children[-1]

    monkeypatch.setattr(reading.subprocess, "Popen", started)
    return children


def test_the_same_comes_of_a_log_that_another_process_reads(log, here, aside, tmp_path):
    assert imported(log, tmp_path / "aside") == here
    assert here[0].bad == 3
    assert [child.returncode for child in aside] == [0]


def test_what_a_killed_reader_did_not_read_is_read_here(log, here, aside, tmp_path, monkeypatch):
    received, number = reading._received, []

    def killed(pipe):
        number.append(pipe)
        if len(number) == 2:
            aside[0].kill()
            aside[0].wait()
        return received(pipe)

    monkeypatch.setattr(reading, "_received", killed)
    assert imported(log, tmp_path / "aside") == here
    assert aside[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false"])
def test_where_no_process_can_be_started_all_is_read_here(log, here, aside, tmp_path, monkeypatch, program):
    monkeypatch.setattr(reading.sys, "executable", program)
    assert imported(log, tmp_path / "aside") == here


def test_a_damaged_file_is_said_to_be_damaged_whoever_reads_it(log, aside, tmp_path):
    path = tmp_path / "access.log.gz"
    path.write_bytes(gzip.compress(log.read_bytes())[:-40])
    with pytest.raises(ValueError, match="the compressed file is damaged or not whole"):
        imported(path, tmp_path / "aside")


def test_a_file_of_no_known_format_is_refused_whoever_reads_it(aside, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello\n")
    with pytest.raises(ValueError, match="no known format"):
        imported(path, tmp_path / "aside")


def test_a_reader_that_nobody_listens_to_any_more_is_ended(log, aside):
    several = read(str(log), How("combined", UTC, micros(NOW), b"k" * 16))
    next(several)
    several.close()
    assert aside[0].returncode == -signal.SIGKILL


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # one that has ended may still wait for somebody to ask how
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # it is gone since, or this is no Linux
        return not Path("/proc/self").exists()


def test_a_reader_ends_when_its_import_was_killed(tmp_path):
    log = tmp_path / "access.log"
    log.write_text('10.0.0.1 - u [02/Mar/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-"\n' * 100_000)
    program = """if True:
        import subprocess, sys, time
        from datetime import UTC
        from guardian.application.importing import reading
        reading.LARGE, reading.os.cpu_count = 0, lambda: 2
        real = subprocess.Popen
        def started(*args, **options):
            child = real(*args, **options)
            print(child.pid, flush=True)
            return child
        reading.subprocess.Popen = started
        several = reading.read(sys.argv[1], reading.How("combined", UTC, 2**62, b"k" * 16))
        next(several)
        print("read", flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", program, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        pid = int(process.stdout.readline())
        assert process.stdout.readline() == "read\n"
        assert alive(pid)
        process.kill()
    until(lambda: not alive(pid))
