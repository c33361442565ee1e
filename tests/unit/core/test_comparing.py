"""With what a report is compared: periods that were recorded in full, days with the same weekday."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from guardian.core.report.comparing import by_weekday, compare, earlier_periods, recorded_since, usual_rate
from guardian.core.storage import RecorderHealth, StorageStats

ZURICH = ZoneInfo("Europe/Zurich")
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
INSTALLED = MONDAY + 17 * HOUR


@pytest.mark.parametrize(
    ("length", "weekday"),
    [(2 * HOUR, False), (23 * HOUR, True), (DAY, True), (3 * DAY, True), (7 * DAY - HOUR, False), (30 * DAY, False)],
)
def test_days_are_compared_with_the_same_weekday_and_other_periods_with_the_one_before(length, weekday):
    assert by_weekday(MONDAY, MONDAY + length) == weekday


def test_a_day_of_the_week_before_has_the_same_times_by_the_clock():
    # On 29 March 2026 the clock of Zurich goes from 2 to 3: that Sunday has 23 hours, the one before 24.
    sunday = (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
    found = earlier_periods(*sunday, ZURICH)
    assert found[0] == (datetime(2026, 3, 21, 23, tzinfo=UTC), datetime(2026, 3, 22, 23, tzinfo=UTC))
    assert len(found) == 8


def test_long_periods_follow_each_other():
    assert earlier_periods(MONDAY, MONDAY + 30 * DAY, ZURICH)[1] == (MONDAY - 60 * DAY, MONDAY - 30 * DAY)


@pytest.mark.parametrize(
    ("before", "weekday", "kind"),
    [
        (MONDAY, True, "nothing"),  # Tuesday, installed on Monday at 17:00
        (MONDAY, False, "nothing"),
        (INSTALLED, False, "before"),
        (INSTALLED - timedelta(minutes=1), False, "nothing"),
    ],
)
def test_what_was_not_recorded_in_full_is_compared_with_nothing(before, weekday, kind):
    week_before = (before - 7 * DAY, before - 6 * DAY)
    assert compare(before, week_before, weekday=weekday, since=INSTALLED).kind == kind


def test_the_same_weekday_is_compared_with_once_it_was_recorded_in_full():
    first = (MONDAY + DAY, MONDAY + 2 * DAY)
    assert compare(MONDAY, first, weekday=True, since=INSTALLED).kind == "weekday"
    assert compare(MONDAY, first, weekday=True, since=None).kind == "nothing"


def test_recording_began_with_the_first_event_or_sign_of_life_that_is_known():
    stats = StorageStats(5, 1, MONDAY + 20 * HOUR, MONDAY + DAY, 1)
    alive = RecorderHealth("r", INSTALLED, MONDAY + DAY, 5, 5, 0, "1")
    assert recorded_since(stats, []) == MONDAY + 20 * HOUR
    assert recorded_since(stats, [alive]) == INSTALLED
    assert recorded_since(StorageStats(0, 0, None, None, 1), []) is None


def test_where_retention_has_deleted_events_the_totals_say_since_when_all_is_known():
    stats = StorageStats(5, 1, MONDAY, MONDAY + DAY, 1, purged=9, totals_since=MONDAY - 30 * DAY)
    alive = RecorderHealth("r", MONDAY - 90 * DAY, MONDAY + DAY, 5, 5, 0, "1")
    assert recorded_since(stats, [alive]) == MONDAY - 30 * DAY


def day(good, bad=0):
    return {outcome: number for outcome, number in ((200, good), (500, bad)) if number}


def test_the_usual_rate_is_the_median_of_periods_that_had_requests():
    assert usual_rate([day(99, 1), day(0), day(90, 10), day(98, 2)]) == 0.02
    assert usual_rate([day(99, 1), day(0), day(90, 10)]) is None
