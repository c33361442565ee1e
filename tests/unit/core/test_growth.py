"""How fast a store grows, and when the disk is full."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.growth import Growth, growth
from guardian.core.storage import StorageStats

NOW = datetime(2026, 3, 30, 12, 0, tzinfo=UTC)
MB = 1_000_000


def grows(days, events, lately, size_mb, *, free_mb, purged=0, events_days=90):
    oldest = NOW - timedelta(days=days)
    stats = StorageStats(events, 10, oldest, NOW, size_mb * MB, purged=purged)
    return growth(stats, lately, NOW, events_days=events_days, free=free_mb * MB)


def test_a_file_grows_until_retention_takes_as_much_as_comes():
    assert grows(30, 300, 70, 30, free_mb=1_000) == Growth(1.0 * MB, 90.0 * MB, None)


def test_a_disk_that_is_full_before_that_is_full_in_so_many_days():
    assert grows(30, 300, 70, 30, free_mb=20).full_in == pytest.approx(20)


def test_where_retention_has_deleted_already_nothing_more_is_needed():
    assert grows(90, 900, 70, 90, free_mb=1, purged=500) == Growth(1.0 * MB, 90.0 * MB, None)


def test_what_came_lately_counts_and_not_what_came_long_ago():
    assert grows(30, 300, 0, 30, free_mb=0) == Growth(0.0, 30.0 * MB, None)


def test_less_than_a_week_is_told_from_what_there_is():
    assert grows(2, 100, 100, 10, free_mb=10**6).a_day == pytest.approx(5 * MB)


@pytest.mark.parametrize("days", [0, 0.2])
def test_a_few_hours_tell_nothing(days):
    assert grows(days, 10, 10, 1, free_mb=1) is None


def test_an_empty_store_tells_nothing():
    assert growth(StorageStats(0, 0, None, None, 4096), 0, NOW, events_days=90, free=1) is None
