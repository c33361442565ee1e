"""A database that is deleted, or replaced by a backup, under running daemons."""

import json
import logging
import os
import shutil
import sqlite3
import urllib.error
import urllib.request
from contextlib import AsyncExitStack, closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.judging.live import LiveHistory
from guardian.application.lead import renew_lead
from guardian.application.root import open_application
from guardian.application.scheduler import STEPS, run_step
from guardian.core.outgoing import Outgoing
from guardian.core.storage import StorageError
from guardian.stores.state import LeaseLost
from tests.faults.test_daemon_processes import (  # noqa: F401
    fill,
    inbox,
    pending,
    settings,
    start,
    stop,
)
from tests.support.api_client import bearer, calling, event, make_settings
from tests.support.ports import free_port
from tests.support.waiting import until

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
AT = NOW - timedelta(hours=1)
MAIL = [Outgoing("test/1", "a@example.com", b"From: g@example.com\r\n\r\n1\r\n")]


def back_up(path, to):
    with closing(sqlite3.connect(path)) as db, closing(sqlite3.connect(to)) as copy:
        db.backup(copy)
    return to


def ask(path, sql):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


@pytest.fixture
async def two(tmp_path):
    """Two processes' applications on one file, of which the first leads; and a backup of the file."""
    async with AsyncExitStack() as opened:
        apps = [
            await opened.enter_async_context(open_application(make_settings(tmp_path), clock=lambda: NOW))
            for _ in range(2)
        ]
        await apps[0].repository.write([event(AT)])
        assert await renew_lead(apps[0])
        assert not await renew_lead(apps[1])
        yield *apps, back_up(tmp_path / "guardian.db", tmp_path / "backup.db")


def replace(app, by):
    os.replace(by, app.settings.database)


def remove(app):
    for end in ("", "-wal", "-shm"):
        app.settings.database.with_name(f"guardian.db{end}").unlink()


async def test_after_a_restore_one_process_leads_on_the_new_file(two):
    first, second, backup = two
    await first.state.enqueue(MAIL, now=NOW)
    old = first.token
    replace(first, backup)
    for step in STEPS:
        await run_step(first, step)
    assert not first.health
    assert first.token is None
    assert "was replaced by another one" in first.trouble
    assert not await renew_lead(second)  # the backup has the lease of the first
    assert await renew_lead(first)
    assert not await renew_lead(second)
    assert first.trouble is second.trouble is None
    assert [app.token is not None for app in (first, second)] == [True, False]
    assert first.token != old
    with pytest.raises(LeaseLost):
        await first.state.enqueue(MAIL, now=NOW, token=old)
    assert await first.state.enqueue(MAIL, now=NOW, token=first.token) == 1
    assert ask(first.settings.database, "SELECT key FROM guardian_outbox") == [("test/1",)]


@pytest.mark.parametrize("how", [remove, replace], ids=["deleted", "replaced"])
async def test_nothing_is_done_on_a_file_that_is_no_longer_there(two, tmp_path, how):
    first, _, backup = two
    live = LiveHistory(first.stores.history, ())
    minute = int(NOW.timestamp()) // 60
    await live.until(minute, minute)
    how(*((first,) if how is remove else (first, backup)))
    before = ask(first.settings.database, "SELECT * FROM guardian_lease") if how is replace else None
    calls = {
        "enqueue": lambda: first.state.enqueue(MAIL, now=NOW),
        "read": lambda: first.state.outbox(),
        "lease": lambda: first.state.acquire_lease("daemon", first.holder, NOW, timedelta(seconds=30)),
        "write": lambda: first.repository.write([event(AT)]),
        "summary": lambda: first.repository.summary(AT, NOW),
        "stats": lambda: first.repository.stats(),
        "alerts": lambda: live.until(minute, minute),
        "report": lambda: first.usage.generate_report(hours=2),
    }
    for name, call in calls.items():
        with pytest.raises(StorageError, match=r"is gone: put it back|was replaced by another one"):
            await call()
            pytest.fail(f"{name} went through")
    if how is remove:
        assert not list(tmp_path.glob("guardian.db*"))
    else:
        assert ask(first.settings.database, "SELECT * FROM guardian_lease") == before
        assert ask(first.settings.database, "SELECT * FROM guardian_outbox") == []


async def test_a_deleted_database_is_not_made_anew_but_waited_for(two, tmp_path, caplog):
    first, second, backup = two
    caplog.set_level(logging.INFO)
    remove(first)
    for _ in range(3):
        for app in (first, second):
            assert not await renew_lead(app)
            for step in STEPS:
                await run_step(app, step)
    assert not list(tmp_path.glob("guardian.db*"))
    assert caplog.text.count("This process does nothing until its database is back") == 2
    replace(first, backup)
    assert await renew_lead(first)
    assert not await renew_lead(second)
    assert (await first.repository.stats()).events == 1
    assert caplog.text.count("This process begins on the database file that is there now") == 2


async def test_health_is_degraded_and_a_report_refused_meanwhile(two):
    first, _, backup = two
    async with calling(first, bearer()) as client:
        assert (await client.get("/api/usage/health")).json()["status"] == "ok"
        replace(first, backup)
        health = (await client.get("/api/usage/health")).json()
        assert health["status"] == "degraded"
        assert health["reasons"] == ["the database file is gone or was replaced by another one: see Guardian's log"]
        refused = await client.post("/api/guardian/send-report")
        assert refused.status_code == 503
        assert refused.json()["error"].endswith("was replaced by another one")
        await renew_lead(first)
        assert (await client.get("/api/usage/health")).json()["status"] == "ok"
        assert (await client.post("/api/guardian/send-report")).status_code == 200
    assert ask(first.settings.database, "SELECT status FROM guardian_outbox") == [("sent",)]


async def test_the_old_files_log_is_not_written_over_the_new_file(two, tmp_path):
    first, _, backup = two
    await first.repository.write([event(AT, user=f"user{n}@example.com") for n in range(500)])
    await first.state.enqueue(MAIL, now=NOW)
    assert (tmp_path / "guardian.db-wal").stat().st_size
    os.replace(first.settings.database, tmp_path / "old.db")
    replace(first, backup)
    assert await renew_lead(first)
    assert (await first.repository.stats()).events == 1
    assert await first.state.outbox() == []
    assert ask(first.settings.database, "PRAGMA integrity_check") == [("ok",)]
    assert ask(tmp_path / "old.db", "SELECT count(*) FROM guardian_request") == [(501,)]
    assert ask(tmp_path / "old.db", "SELECT count(*) FROM guardian_outbox") == [(1,)]


async def test_the_same_file_put_back_has_lost_nothing(two, tmp_path):
    first, _, _ = two
    await first.state.enqueue(MAIL, now=NOW)
    os.replace(first.settings.database, tmp_path / "away.db")
    assert not await renew_lead(first)
    os.replace(tmp_path / "away.db", first.settings.database)
    await renew_lead(first)
    assert first.trouble is None
    assert len(await first.state.outbox()) == 1
    assert first.token is not None


async def test_what_is_no_database_is_said_and_left_until_one_is_there(two, caplog):
    first, _, backup = two
    first.settings.database.with_name("other").write_bytes(b"this is no database" * 1000)
    replace(first, first.settings.database.with_name("other"))
    assert not await renew_lead(first)
    assert not await renew_lead(first)
    assert "file is not a database" in first.trouble
    replace(first, backup)
    assert await renew_lead(first)


async def test_a_replaced_file_is_begun_on_only_when_no_step_is_under_way(two):
    first, _, backup = two
    replace(first, backup)
    first.under_way.add("seal")
    assert not await renew_lead(first)
    assert first.token is None
    assert "was replaced" in first.trouble
    first.under_way.clear()
    assert await renew_lead(first)


def holds(child, path):
    """Whether the process has the file that lies at the path open, with its log, and no deleted one."""
    links = []
    for each in os.listdir(f"/proc/{child.pid}/fd"):
        with suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/{child.pid}/fd/{each}"))
    return {path, f"{path}-wal"} <= set(links) and not any(
        link.startswith(path) and "deleted" in link for link in links
    )


async def test_two_daemons_go_on_with_the_backup_and_double_nothing(settings, start, inbox, tmp_path):  # noqa: F811
    settings["api"] = {"host": "127.0.0.1", "port": free_port()}
    daemons = [start(settings), start(settings)]
    backup = back_up(settings["database"], tmp_path / "backup.db")

    def health():
        url = f"http://127.0.0.1:{settings['api']['port']}/api/usage/health"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["status"]

    assert health() == "ok"
    for path in tmp_path.glob("guardian.db*"):
        path.unlink()
    until(lambda: health() == "degraded")
    assert not list(tmp_path.glob("guardian.db*"))
    shutil.copy(backup, tmp_path / "copy.db")
    os.replace(tmp_path / "copy.db", settings["database"])
    until(lambda: all(holds(each, settings["database"]) for each in daemons))
    os.replace(backup, settings["database"])
    until(lambda: all(holds(each, settings["database"]) for each in daemons))
    until(lambda: health() == "ok")
    await fill(settings, 20)
    until(lambda: pending(settings) == 0)
    assert sorted(int(number) for _, number, _ in inbox.mails) == list(range(20))
    assert [stop(each) for each in daemons] == [0, 0]
    said = [each.said() for each in daemons]
    assert all("This process does nothing until its database is back" in text for text in said)
    assert all("This process begins on the database file that is there now" in text for text in said)
