"""A report keeps what it read of sealed summaries, and says what is stored all the same."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from guardian.application.usage import UsageGuardian
from guardian.stores.people.book import NO_BOOK, AliasBook
from guardian.stores.sqlite import lone_hours
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


@pytest.fixture(params=[0, lone_hours.FEW], ids=["with 5 minutes", "lone hours"])
def path(tmp_path, request, monkeypatch):
    monkeypatch.setattr(lone_hours, "FEW", request.param)
    path = str(tmp_path / "guardian.db")
    with closing(connect(path)):
        pass
    return path


async def told(guardian):
    """What reports of several lengths say of the requests."""
    made = [await guardian.generate_report(hours) for hours in (24, 96)]
    return [(one["total_requests"], one["total_errors"], one["users"], one["timeline"]) for one in made]


async def opened(path, book=NO_BOOK):
    repository = await SqliteRepository.open(path, book=book)
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


class Source:
    """One person with two ids."""

    name = "people.csv"

    def version(self):
        return 1

    def read(self):
        return [("bob@example.com", "ada@example.com")]


async def test_the_bars_of_people_with_other_ids_are_counted_anew(path):
    found = []
    for book in (NO_BOOK, AliasBook(Source()), NO_BOOK):
        repository, guardian = await opened(path, book)
        if not found:
            await repository.write([*some(3_000), *some(3_000, "bob@example.com")])
        found.append(max(bar["active_users"] for bar in (await guardian.generate_report(24))["timeline"]))
        await repository.close()
    assert found == [2, 1, 2]


async def test_bars_that_were_drawn_before_are_the_same_in_a_window_that_moved_on(path):
    repository, _ = await opened(path)
    await repository.write([*some(3_000), *some(300, "bob@example.com", apart=1_000_000_007)])
    edges = [NOW.replace(minute=0, second=0) - timedelta(minutes=30 * n) for n in range(40, -1, -1)]
    first = await repository.bars(edges)
    late = event(int((NOW - timedelta(hours=5)).timestamp()) * 1_000_000, user="cid@example.com")
    await repository.write([late])
    second = await repository.bars(edges[2:])
    await repository.seal(NOW)
    third = await repository.bars(edges[2:])
    assert second == third
    differ = [n for n, (a, b) in enumerate(zip(first[2:], third, strict=True)) if a != b]
    assert len(differ) == 1
    assert (third[differ[0]].requests, third[differ[0]].active_users) == (
        first[2 + differ[0]].requests + 1,
        first[2 + differ[0]].active_users + 1,
    )
    await repository.close()
