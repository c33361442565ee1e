from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from guardian.alerting.maintenance import Recurring
from guardian.application.judging.live import surroundings
from guardian.core.cadence import Cron
from guardian.settings.schema import MaintenanceSettings, Settings

ZURICH = ZoneInfo("Europe/Zurich")
SUNDAYS = Recurring(Cron("0 2 * * sun"), timedelta(minutes=90), ZURICH)


@pytest.mark.parametrize(
    "now, covered",
    [
        ("2026-03-15T00:59:59+00:00", False),
        ("2026-03-15T01:00:00+00:00", True),  # 02:00 in Zurich in winter
        ("2026-03-15T02:29:59+00:00", True),
        ("2026-03-15T02:30:00+00:00", False),
        ("2026-03-16T01:30:00+00:00", False),  # a Monday
        ("2026-07-05T00:00:00+00:00", True),  # 02:00 in summer
        ("2026-03-29T01:00:00+00:00", True),  # that night 02:00 becomes 03:00
        ("2026-03-29T00:59:59+00:00", False),
    ],
)
def test_a_window_that_comes_each_week_follows_the_local_clock(now, covered):
    assert SUNDAYS.covers(datetime.fromisoformat(now)) is covered


def test_a_window_may_reach_over_midnight_and_over_days():
    long = Recurring(Cron("0 22 * * fri"), timedelta(days=2, hours=8), ZURICH)
    assert long.covers(datetime(2026, 3, 15, 20, tzinfo=UTC))
    assert not long.covers(datetime(2026, 3, 16, 5, tzinfo=UTC))


def test_the_windows_of_the_settings_are_those_of_the_rules():
    spans = [{"start": "2026-03-16T22:00:00+01:00", "end": "2026-03-16T23:00:00+01:00"},
             {"cron": "0 2 * * sun", "duration": "90m"}]  # fmt: skip
    once, weekly = surroundings(Settings(alerts={"maintenance": spans}, timezone="Europe/Zurich")).maintenance
    assert weekly == SUNDAYS
    assert [once.covers(datetime(2026, 3, 16, hour, tzinfo=UTC)) for hour in (20, 21, 22)] == [False, True, False]


@pytest.mark.parametrize(
    "table, words",
    [
        ({}, "needs start and end, or cron and duration"),
        ({"cron": "0 2 * * sun"}, "needs start and end, or cron and duration"),
        ({"start": "2026-03-16T22:00:00Z", "duration": "1h"}, "needs start and end, or cron and duration"),
        ({"start": "2026-03-16T22:00:00Z", "end": "2026-03-16T22:00:00Z"}, "end lies before start"),
        ({"cron": "0 2 * *", "duration": "1h"}, "is not a crontab expression"),
        ({"cron": "0 2 31 2 *", "duration": "1h"}, "is not a crontab expression"),
        ({"cron": "0 2 * * sun", "duration": "8d"}, "8d is too long: write 7d or less"),
    ],
)
def test_half_a_window_is_refused(table, words):
    with pytest.raises(ValidationError, match=words):
        MaintenanceSettings.model_validate(table)
