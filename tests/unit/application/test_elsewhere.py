"""Whether the app records into another file is found out from the files and processes that are there."""

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guardian.application.elsewhere import LOOKED_FOR, LookedAround, records_elsewhere
from guardian.core.time import micros
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def recording():
    """A living recorder's file, at this path: its last sign of life was so long before NOW."""
    writers = []

    def started(path, ago=timedelta(seconds=5)):
        writer = Writer(str(path))
        seen = micros(NOW - ago)
        writer.write([], heartbeat=lambda stored, poison: ("p1", seen, seen, 0, 0, 0, "0.2.0"))
        writers.append(writer)
        return path

    yield started
    for writer in writers:
        writer.close()


@pytest.fixture
def found(tmp_path):
    (tmp_path / "settings").mkdir()
    (tmp_path / "current").mkdir()

    def looked(proc=tmp_path / "none"):
        return records_elsewhere(tmp_path / "settings/guardian.db", [tmp_path / "current"], now=NOW, proc=proc)

    return looked


def test_a_living_recorder_in_a_folder_that_is_looked_at_is_found_the_latest_first(tmp_path, recording, found):
    late = recording(tmp_path / "settings/app.db", timedelta(minutes=1))
    latest = recording(tmp_path / "current/guardian.db")
    assert found() == [latest, late]


@pytest.mark.parametrize("ago", [timedelta(minutes=11), timedelta(minutes=-11)])
def test_one_that_is_no_longer_alive_is_not(tmp_path, recording, found, ago):
    recording(tmp_path / "current/guardian.db", ago)
    assert found() == []


def test_the_configured_file_itself_is_not_another_one_under_any_name(tmp_path, recording, found):
    recording(tmp_path / "settings/guardian.db")
    (tmp_path / "current/link.db").symlink_to(tmp_path / "settings/guardian.db")
    assert found() == []


def test_a_current_folder_that_was_deleted_is_no_hindrance(tmp_path, recording, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    path = recording(tmp_path / "app.db")
    looked = records_elsewhere(tmp_path / "guardian.db", [Path(), tmp_path / "none"], now=NOW, proc=tmp_path)
    assert looked == [path]
    assert records_elsewhere(Path("guardian.db"), [Path()], now=NOW, proc=tmp_path) == []


def test_other_files_are_left_alone_as_they_were(tmp_path, found):
    (tmp_path / "current/notes.db").write_bytes(b"no database" * 100)
    (tmp_path / "current/notes.db-wal").write_bytes(b"x")
    with closing(sqlite3.connect(tmp_path / "current/shop.db")) as db:
        db.execute("CREATE TABLE orders (id)")
        db.execute("PRAGMA journal_mode = WAL")
    before = sorted(os.listdir(tmp_path / "current"))
    assert found() == []
    assert sorted(os.listdir(tmp_path / "current")) == before


def test_an_app_whose_own_guardian_leads_is_another_app(tmp_path, recording, found):
    path = recording(tmp_path / "current/guardian.db")
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("CREATE TABLE guardian_lease (name, holder, token, expires_us)")
        assert found() == [path]
        db.execute("INSERT INTO guardian_lease VALUES ('lead', 'x', 1, ?)", (micros(NOW) + 1,))
    assert found() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs Linux")
def test_a_file_that_a_process_of_the_same_user_holds_open_is_found_wherever_it_lies(tmp_path, recording, found):
    (tmp_path / "far").mkdir()
    (tmp_path / "proc").mkdir()
    path = recording(tmp_path / "far/usage.sqlite3")
    os.symlink(f"/proc/{os.getpid()}", tmp_path / "proc/1")
    assert found(proc=tmp_path / "proc") == [path]


def test_files_are_looked_for_once_a_minute_whoever_asks():
    looks = []

    def look(now):
        looks.append(now)
        return [Path(f"{len(looks)}.db")]

    around, second = LookedAround(look), timedelta(seconds=1)
    assert [around(NOW), around(NOW + second), around(NOW + LOOKED_FOR - second)] == [[Path("1.db")]] * 3
    assert around(NOW + LOOKED_FOR) == [Path("2.db")]
    assert around(NOW) == [Path("3.db")]  # the clock was set back


def test_a_look_that_failed_is_made_again():
    def look(now):
        looks.append(now)
        if len(looks) == 1:
            raise OSError
        return []

    looks, around = [], LookedAround(look)
    with pytest.raises(OSError):
        around(NOW)
    assert around(NOW) == []
