"""A damaged database: every command says so in one sentence with the cure, and a copy of a sound one is checked."""

import os
import random
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

import guardian.application.check.database
from guardian.application.judging.steps import alert_step
from guardian.application.reporting import send_due_reports
from guardian.application.root import open_application
from guardian.cli import main
from guardian.settings.loading import load_settings
from guardian.stores.sqlite import copying
from guardian.stores.sqlite.copying import find_damage
from tests.support.events import event as made
from tracker.event import Failure

pytestmark = pytest.mark.usefixtures("no_variables")

SETTINGS = """
database = "guardian.db"
admins = ["a@example.com"]
schedules = ["every 1h"]
[mail]
sender = "g@example.com"
[rules.errors]
kind = "error_rate"
"""
COMMANDS = (
    ["report", "--hours", "24"],
    ["outbox", "list"],
    ["outbox", "show", "1"],
    ["outbox", "retry", "1"],
    ["alerts", "list"],
    ["users", "export", "u1@example.com"],
    ["backtest"],
    ["preview", "--out", "report.html"],
    ["backup", "copy.db"],
    ["cleanup"],
)


@pytest.fixture(scope="module")
def recorded(made_once):
    """The bytes of a database with events, summaries, reports, mails and an incident."""
    return made_once("recorded", database_in)


def database_in(folder):
    import asyncio

    (folder / "guardian.toml").write_text(SETTINGS.replace('"guardian.db"', f'"{folder}/guardian.db"'))
    (folder / "guardian.toml").chmod(0o600)

    async def record():
        now, chance, events = datetime.now(UTC), random.Random(1), []
        for n in range(1500):
            at = now - timedelta(minutes=30 * 60 * chance.random())
            failure = Failure("Boom", "no", f"app.py:{n % 5} f") if chance.random() < 0.3 else None
            user, feature, status = f"u{n % 30}@example.com", f"feature{n % 7}", 500 if failure else 200
            at_us = int(at.timestamp() * 1e6)
            events.append(made(at_us, user=user, feature=feature, status=status, failure=failure))
        async with open_application(load_settings(folder / "guardian.toml")) as app:
            await app.repository.write(sorted(events, key=lambda event: event.at_us))
            await app.repository.seal(now)
            for ago in (4, 0):
                await send_due_reports(app, now=now - timedelta(hours=ago))
            for minute in range(5):
                await alert_step(app, now - timedelta(minutes=5 - minute), None)

    asyncio.run(record())
    return (folder / "guardian.db").read_bytes()


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """Runs a command in a folder of its own: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "guardian.toml").write_text(SETTINGS)
    (tmp_path / "guardian.toml").chmod(0o600)

    def called(*arguments):
        with pytest.raises(SystemExit) as left:
            main([*arguments])
        return left.value.code, *capfd.readouterr()

    return called


@pytest.mark.parametrize("seed", range(12))
def test_of_a_database_with_random_bytes_every_command_says_one_sentence(call, recorded, tmp_path, seed):
    chance, data = random.Random(seed), bytearray(recorded)
    for _ in range(chance.choice((1, 5, 40, 200))):
        data[chance.randrange(100, len(data))] = chance.randrange(256)
    if seed % 6 == 5:
        data = data[: chance.randrange(len(data))]
    (tmp_path / "guardian.db").write_bytes(data)
    code, said, errors = call("check")
    assert (code in (0, 1), errors) == (True, "")
    if find := re.search(r"database +(.*damaged.*)", said):
        assert "restore a backup" in find[1] and code == 1
    for command in COMMANDS:
        code, _, errors = call(*command)
        assert "Traceback" not in errors
        assert errors.count("\n") == (1 if code else 0), errors


def test_check_names_a_damaged_page_that_no_query_meets(call, recorded, tmp_path):
    (tmp_path / "guardian.db").write_bytes(recorded)
    with closing(sqlite3.connect(tmp_path / "guardian.db")) as db:
        sql = "SELECT pageno FROM dbstat WHERE name = 'guardian_session' AND pagetype = 'leaf' LIMIT 1"
        try:
            page = db.execute(sql).fetchone()[0]
        except sqlite3.OperationalError:  # SQLite without dbstat: the root will do
            page = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'guardian_session'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    data = bytearray((tmp_path / "guardian.db").read_bytes())
    data[(page - 1) * size : (page - 1) * size + 64] = os.urandom(64)
    (tmp_path / "guardian.db").write_bytes(data)
    code, said, _ = call("check")
    assert code == 1
    assert "guardian.db is damaged (" in said
    assert "stop the app and Guardian, and restore a backup (docs/operations.md)" in said


def test_a_look_at_a_database_that_takes_too_long_is_given_up_and_said(call, recorded, tmp_path, monkeypatch):
    (tmp_path / "guardian.db").write_bytes(recorded)
    assert find_damage(tmp_path / "guardian.db", seconds=60) is None
    monkeypatch.setattr(copying, "_STEPS", 10)
    with pytest.raises(TimeoutError):
        find_damage(tmp_path / "guardian.db", seconds=-1)
    monkeypatch.setattr(guardian.application.check.database, "LOOK_SECONDS", -1)
    code, said, _ = call("check")
    assert code == 0
    assert "'guardian backup FILE' makes a copy and looks at all of it" in said


def test_a_backup_is_whole_closed_to_others_and_overwrites_nothing(call, recorded, tmp_path):
    (tmp_path / "guardian.db").write_bytes(recorded)
    code, said, errors = call("backup", "copy.db")
    assert (code, errors) == (0, "")
    assert re.fullmatch(
        r"Wrote copy\.db, 0\.\d MB, and checked it\. To restore it, see docs/operations\.md\.", said.strip()
    )
    copy = tmp_path / "copy.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as db, closing(sqlite3.connect(tmp_path / "guardian.db")) as original:
        for table in ("guardian_request", "guardian_report", "guardian_outbox", "guardian_incident"):
            sql = f"SELECT * FROM {table}"
            assert db.execute(sql).fetchall() == original.execute(sql).fetchall() != []
    before = copy.read_bytes()
    code, _, errors = call("backup", "copy.db")
    assert code == 1
    assert errors == "guardian: copy.db is there, and is not overwritten: name another file, or move that one away\n"
    assert copy.read_bytes() == before
    code, said, _ = call("backup", "again.db", "--json")
    assert '"bytes"' in said
    assert {path.name for path in tmp_path.glob("*copy*")} == {"copy.db"}
    copy.replace(tmp_path / "guardian.db")
    for left in ("guardian.db-wal", "guardian.db-shm"):
        (tmp_path / left).unlink(missing_ok=True)
    assert call("report", "--hours", "24")[0] == 0


def test_no_backup_is_made_of_a_damaged_database_or_where_nobody_may_write(call, recorded, tmp_path):
    (tmp_path / "guardian.db").write_bytes(recorded[: len(recorded) // 2])
    code, _, errors = call("backup", "copy.db")
    assert (code, "restore a backup" in errors) == (1, True)
    assert list(tmp_path.glob("*copy*")) == []
    (tmp_path / "guardian.db").write_bytes(recorded)
    code, _, errors = call("backup", "missing/copy.db")
    assert (code, errors == "guardian: there is no folder missing: make it, or name a file elsewhere\n") == (1, True)
