"""A report keeps what it read of sealed summaries, and says what is stored all the same."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.usage import UsageGuardian
from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event
from tracker.event import Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.writer import write_events

NOW = datetime(2026, 3, 31, 12, 3, 7, tzinfo=UTC)
FIRST = int((NOW - timedelta(days=4)).timestamp()) * 1_000_000
FAILURE = Failure("HTTP 500", "Server Error")


def some(number, user="ada@example.com", apart=97_000_000):
    return [event(FIRST + n * apart, user=user, status=500, failure=FAILURE) for n in range(number)]


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "guardian.db")
    with closing(connect(path)):
        pass
    return path


async def told(guardian):
    """What reports of several lengths say of the requests."""
    made = [await guardian.generate_report(hours) for hours in (24, 96)]
    return [(one["total_requests"], one["total_errors"], one["users"], one["timeline"]) for one in made]


async def opened(path):
    repository = await SqliteRepository.open(path)
    return repository, UsageGuardian(repository, clock=lambda: NOW)


async def test_a_backup_that_is_put_back_over_the_open_file_is_what_reports_are_of(path, tmp_path):
    repository, guardian = await opened(path)
    await repository.write(some(3_000))
    before = await told(guardian)
    backup = str(tmp_path / "backup.db")
    with closing(connect(path)) as db:
        db.execute("VACUUM INTO ?", (backup,))
    await repository.write(some(200, "bob@example.com", apart=300_000_001))
    after = await told(guardian)
    assert after != before
    with closing(connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copyfile(backup, path)
    assert await told(guardian) == before
    await repository.close()


@pytest.mark.parametrize("marks", [True, False])
async def test_what_another_process_seals_anew_is_read_anew(path, marks):
    repository, guardian = await opened(path)
    await repository.write(some(3_000))
    before = await told(guardian)
    with closing(sqlite3.connect(path)) as db:  # as a daemon that knows nothing of marks
        if not marks:
            db.execute("DROP TABLE guardian_day_mark")
            for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE '%mark%'"):
                db.execute(f"DROP TRIGGER {name}")
        db.commit()
        write_events(db, some(200, "bob@example.com", apart=300_000_001))
        db.commit()
    other, _ = await opened(path) if marks else (repository, guardian)
    await other.seal(NOW)
    found = await told(guardian)
    assert found != before
    assert [user["email"] for user in found[1][2]] == ["ada@example.com", "bob@example.com"]
    assert found[1][0] == before[1][0] + 200
    if other is not repository:
        await other.close()
    await repository.close()
