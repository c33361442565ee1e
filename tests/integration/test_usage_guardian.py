import asyncio
import json
import os
import shutil
import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from guardian import UsageGuardian
from guardian.core.storage import StorageError
from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event as made
from tracker.event import Failure

NOW = datetime(2026, 3, 31, 12, 3, 7, 250_000, tzinfo=UTC)


def event(ago, user="ada@example.com", status=200, feature="chat_message"):
    failure = None if status < 400 else Failure(f"HTTP {status}", "File too large")
    return made(
        NOW - ago,
        path=f"/api/{feature}",
        method="POST",
        ms=250,
        user=user,
        feature=feature,
        status=status,
        failure=failure,
    )


@pytest.fixture
async def repository(tmp_path):
    found = await SqliteRepository.open(tmp_path / "guardian.db")
    yield found
    await found.close()


@pytest.fixture(scope="module")
def weeks(made_once):
    """A database of some weeks that are sealed, made once: to seal them takes longer than any report on them."""

    async def fill(path):
        repository = await SqliteRepository.open(path)
        await repository.write(some_weeks())
        await repository.seal(NOW)
        await repository.close()

        return path

    return made_once("weeks", lambda folder: asyncio.run(fill(folder / "guardian.db")))


@pytest.fixture
def some_weeks_before(weeks, tmp_path):
    """To be asked for before the repository, which then has them."""
    shutil.copy(weeks, tmp_path / "guardian.db")


@pytest.fixture
def guardian(repository, tmp_path):
    return UsageGuardian(repository, reports_dir=tmp_path / "reports", clock=lambda: NOW)


def some_weeks():
    """Four requests at a time: each five minutes with traffic take time to seal."""
    return [
        event(timedelta(seconds=n // 4 * 4 * 1733 + n % 4 * 31), f"u{n % 7}@example.com" if n % 9 else "anonymous",
              [200, 201, 200, 413, 200, 500][n % 6], f"f{n % 12}")
        for n in range(4000)
    ]  # fmt: skip


@pytest.mark.parametrize("hours", [1, 2, 24, 167, 720])
async def test_a_report_says_what_plain_sql_over_the_published_tables_says(
    some_weeks_before, guardian, tmp_path, hours
):
    report = await guardian.generate_report(hours=hours)
    with closing(sqlite3.connect(tmp_path / "guardian.db")) as db:

        def sql(text, start, end):
            window = [t.isoformat(timespec="microseconds") for t in (start, end)]
            return db.execute(text.replace("WINDOW", "timestamp >= ? AND timestamp < ?"), window).fetchall()

        start = NOW - timedelta(hours=hours)
        totals = (
            "SELECT count(DISTINCT CASE WHEN user_email != 'anonymous' THEN user_email END), count(*), "
            "coalesce(sum(NOT success), 0) FROM feature_usage WHERE WINDOW"
        )
        for part, window in ((report, (start, NOW)), (report["previous"], (start - (NOW - start), start))):
            assert (part["active_users"], part["total_requests"], part["total_errors"]) == sql(totals, *window)[0]
        users = (
            "SELECT user_email, count(*), sum(NOT success) FROM feature_usage "
            "WHERE WINDOW AND user_email != 'anonymous' GROUP BY 1 ORDER BY 3 DESC, 2 DESC, 1"
        )
        assert [(u["email"], u["requests_count"], u["errors_count"]) for u in report["users"]] == sql(users, start, NOW)
        features = (
            "SELECT feature_name, count(*) FROM feature_usage WHERE WINDOW GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 10"
        )
        assert [(f["name"], f["count"]) for f in report["top_features"]] == sql(features, start, NOW)
        codes = "SELECT CAST(status_code AS TEXT), count(*) FROM feature_usage WHERE WINDOW AND NOT success GROUP BY 1"
        assert report["error_breakdown"] == dict(sql(codes, start, NOW))
        newest = (
            "SELECT endpoint, error_message, timestamp, error_code FROM user_errors WHERE WINDOW AND user_email = '{}' "
            "ORDER BY timestamp DESC LIMIT 20"
        )
        for user in report["users"]:
            rows = [
                (e["endpoint"], e["error"], datetime.fromisoformat(e["timestamp"]), e["code"]) for e in user["errors"]
            ]
            expected = sql(newest.format(user["email"]), start, NOW)
            assert rows == [(a, b, datetime.fromisoformat(c), d) for a, b, c, d in reversed(expected)]
    assert sum(bar["requests"] for bar in report["timeline"]) == report["total_requests"]
    assert len(report["timeline"]) <= 50
    assert report["privacy"]["events"] == 4000


async def test_the_report_is_saved_whole_and_for_its_owner_only(guardian, repository, tmp_path):
    await repository.write([event(timedelta(minutes=5))])
    report, path = await guardian.generate_and_save_report(hours=6)
    assert path == tmp_path / "reports" / "usage_report.json"
    assert json.loads(path.read_text()) == report
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["usage_report.json"]


async def test_a_report_that_cannot_be_saved_leaves_the_old_one(guardian, repository, monkeypatch):
    await guardian.generate_and_save_report(hours=1)
    _, path = await guardian.generate_and_save_report(hours=2)
    old = path.read_text()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        await guardian.generate_and_save_report(hours=3)
    assert path.read_text() == old
    assert os.listdir(path.parent) == ["usage_report.json"]


async def test_a_window_of_ones_own_in_any_zone(guardian, repository):
    await repository.write([event(timedelta(hours=1)), event(timedelta(hours=3))])
    east = datetime.fromisoformat("2026-03-31T12:00:00+02:00")
    report = await guardian.generate_report(start_time=east, end_time=east + timedelta(hours=2))
    assert report["total_requests"] == 1
    assert report["period_start"] == "2026-03-31T10:00:00+00:00"


async def test_a_failing_store_is_an_error_and_never_a_report_of_zeros(guardian, repository, tmp_path):
    await repository.write([event(timedelta(hours=1))])
    with closing(sqlite3.connect(tmp_path / "guardian.db")) as db:
        db.execute("ALTER TABLE guardian_request RENAME TO elsewhere")
    with pytest.raises(StorageError, match="does not answer"):
        await guardian.generate_and_save_report(hours=2)
    assert not (tmp_path / "reports").exists()


async def test_reports_that_reach_back_behind_retention_stay_true(some_weeks_before, guardian, repository):
    await repository.write([event(timedelta(hours=720, minutes=2))])
    before = await guardian.generate_report(hours=720)
    await repository.purge(events_before=NOW - timedelta(days=7), summaries_before=NOW - timedelta(days=700))
    report = await guardian.generate_report(hours=720)
    # The window now begins at full 5 minutes, and says so; the one before it is as long.
    assert report["period_start"] == "2026-03-01T12:00:00+00:00"
    assert report["previous"]["period_start"] == "2026-01-30T12:00:00+00:00"
    assert report["total_requests"] - before["total_requests"] == 1
    short = await guardian.generate_report(hours=2)
    assert short["period_start"] == "2026-03-31T10:03:07.250000+00:00"


async def test_a_window_before_that_is_no_longer_stored_is_none(some_weeks_before, guardian, repository):
    await repository.purge(events_before=NOW - timedelta(days=7), summaries_before=NOW - timedelta(days=31))
    report = await guardian.generate_report(hours=720)
    assert report["previous"] is None
    assert report["total_requests"] > 1000


async def test_an_erased_person_is_in_no_new_report(guardian, repository):
    await repository.write([event(timedelta(minutes=5), status=413), event(timedelta(days=2))])
    await guardian.generate_report(hours=720)
    await repository.erase_user("ada@example.com")
    report = await guardian.generate_report(hours=720)
    assert "ada@example.com" not in json.dumps(report)
    assert (report["active_users"], report["total_requests"]) == (1, 2)


async def test_who_needs_help_is_shown_with_their_last_steps_up_to_the_newest_error(guardian, repository):
    hour = timedelta(hours=1)
    minute = timedelta(minutes=1)
    await repository.write(
        [
            event(hour + 40 * minute, feature="too_long_ago"),
            *(event(hour + n * minute, feature=f"step_{n}", status=413 if n < 4 else 200) for n in range(9, 0, -1)),
            event(hour - minute, feature="after"),
            event(hour, "bob@example.com", 200),
        ]
    )
    report = await guardian.generate_report(hours=2)
    assert [each["email"] for each in report["help"]] == ["ada@example.com"]
    steps = report["help"][0]["steps"]
    assert [(step["feature"], step["code"]) for step in steps] == [
        ("step_6", 200), ("step_5", 200), ("step_4", 200), ("step_3", 413), ("step_2", 413), ("step_1", 413),
    ]  # fmt: skip
    assert steps[-1]["timestamp"] == "2026-03-31T11:02:07.250000+00:00"


async def test_who_stopped_after_an_error_is_named_in_the_report_of_that_day(guardian, repository):
    day, hour = timedelta(days=1), timedelta(hours=1)
    for user, status in (("ada@example.com", 500), ("bob@example.com", 200)):
        await repository.write([event(3 * day + hour + n * hour * 9, user) for n in range(12, 0, -1)])
        await repository.write([event(3 * day + hour, user, status)])
    report = await guardian.generate_report(hours=2)
    assert report["gone_quiet"] == [
        {
            "email": "ada@example.com",
            "last_seen": "2026-03-28T11:03:07.250000+00:00",
            "requests_count": 13,
            "error": {
                "endpoint": "/api/chat_message", "error": "File too large",
                "timestamp": "2026-03-28T11:03:07.250000+00:00", "code": 500,
            },
        }
    ]  # fmt: skip
    later = UsageGuardian(repository, clock=lambda: NOW + 2 * hour)
    assert (await later.generate_report(hours=2))["gone_quiet"] == []


async def test_nobody_is_said_to_be_quiet_where_retention_has_deleted_what_would_tell(guardian, repository):
    await repository.write([event(timedelta(days=3, hours=1 + 9 * n)) for n in range(12, 0, -1)])
    await repository.write([event(timedelta(days=3, hours=1), status=500)])
    await repository.purge(events_before=NOW - timedelta(days=1), summaries_before=NOW - timedelta(days=5))
    assert (await guardian.generate_report(hours=2))["gone_quiet"] == []


async def test_a_report_says_the_same_where_nothing_was_summarised_before_it(repository, guardian, tmp_path):
    await repository.write(some_weeks()[:400])
    unsealed = UsageGuardian(repository, reports_dir=tmp_path / "reports", clock=lambda: NOW, seals=False)
    reports = [await unsealed.generate_report(hours=720)]
    assert (await repository.stats()).totals_since is None
    reports.append(await guardian.generate_report(hours=720))
    assert (await repository.stats()).totals_since is not None
    for report in reports:
        del report["privacy"]["size_bytes"], report["privacy"]["totals_since"]
    assert reports[0] == reports[1]
