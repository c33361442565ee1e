"""Schedules: which window each report covers and when it goes out, across zones and clock changes."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.schedule import parse_schedule


def local(text, zone="Europe/Zurich"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("every 2h", "every 2h UTC"),
        ("2h", "every 2h UTC"),
        ("every 30m Asia/Kolkata", "every 30m Asia/Kolkata"),
        ("every 120m", "every 2h UTC"),
        ("every 36h Europe/Zurich", "every 36h Europe/Zurich"),
        ("every 7m", "every 7m UTC"),
        ("daily at 08:00 Europe/Zurich", "daily at 08:00 Europe/Zurich"),
        ("Daily 8:00", "daily at 08:00 UTC"),
        ("weekly Monday 09:00", "weekly Monday 09:00 UTC"),
        ("weekly fri at 17:30 Asia/Tokyo", "weekly Friday 17:30 Asia/Tokyo"),
        ("monthly 1 09:00", "monthly 1 09:00 UTC"),
        ("monthly last", "monthly last 08:00 UTC"),
        ("monthly last Europe/Paris", "monthly last 08:00 Europe/Paris"),
        ("cron 0 9 * * 1-5", "cron 0 9 * * 1-5 UTC"),
        ("cron 0 9 * * 1-5 Europe/Zurich", "cron 0 9 * * 1-5 Europe/Zurich"),
    ],
)
def test_a_text_means_one_schedule_and_its_canonical_text_means_the_same(text, canonical):
    schedule = parse_schedule(text, "UTC")
    assert str(schedule) == canonical
    assert parse_schedule(canonical, "Asia/Tokyo") == schedule


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "'' is not a schedule: write for example 'every 2h'"),
        ("hourly", "'hourly' is not a schedule"),
        ("daily", "'daily' is not a schedule"),
        ("cron 0 9 * *", "is not a schedule"),
        ("every 0h", "'every 0h' names no length of time: write hours or minutes, as every 2h or every 30m"),
        ("every ²h", "names no length of time"),
        ("every 99999999999999999h", "names no length of time"),
        ("daily 25:00", "has no time of day where '25:00' stands: write it as 08:00"),
        ("weekly Blursday 09:00", "has no weekday where 'Blursday' stands: write it as Monday or Mon"),
        ("monthly 31 09:00", "names no day that each month has: write a day from 1 to 28, or 'last'"),
        ("cron 0 9 * * 9", "is not a crontab expression (Bad day-of-week)"),
        ("cron 0 0 30 2 *", "is not a crontab expression (Bad day-of-month)"),
        ("daily at 08:00 Europe/Zurichh", "is in the time zone 'Europe/Zurichh', which does not exist"),
        ("daily at 08:00 Europe/Zürich", "which does not exist: did you mean Europe/Zurich?"),
        ("daily at 08:00 New York", "'New York', which does not exist: did you mean America/New_York?"),
        ("daily at 08:00 UTC+2", "did you mean Etc/GMT-2?"),
        ("daily at 08:00 and more", "is not a schedule: write for example"),
        ("daily at 08:00 ../../etc/passwd", "which does not exist"),
        ("daily at 08:00 Europe", "which does not exist"),
    ],
)
def test_a_wrong_text_is_refused_with_the_cure(text, reason):
    with pytest.raises(ValueError) as error:
        parse_schedule(text, "UTC")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "now", "covers", "goes_out"),
    [
        ("every 2h", "2026-03-02 11:15", ("2026-03-02 10:00", "2026-03-02 12:00"), "2026-03-02 12:00"),
        ("every 2h", "2026-03-02 12:00", ("2026-03-02 12:00", "2026-03-02 14:00"), "2026-03-02 14:00"),
        ("daily 08:00", "2026-03-02 07:59", ("2026-03-01 00:00", "2026-03-02 00:00"), "2026-03-02 08:00"),
        ("daily 08:00", "2026-03-02 08:00", ("2026-03-02 00:00", "2026-03-03 00:00"), "2026-03-03 08:00"),
        ("daily 00:00", "2026-03-02 08:00", ("2026-03-02 00:00", "2026-03-03 00:00"), "2026-03-03 00:00"),
        ("weekly Monday 09:00", "2026-03-02 08:00", ("2026-02-23 00:00", "2026-03-02 00:00"), "2026-03-02 09:00"),
        ("weekly Sunday 09:00", "2026-03-02 08:00", ("2026-02-23 00:00", "2026-03-02 00:00"), "2026-03-08 09:00"),
        ("monthly 1 09:00", "2024-03-01 08:00", ("2024-02-01 00:00", "2024-03-01 00:00"), "2024-03-01 09:00"),
        ("monthly 28 09:00", "2024-03-01 08:00", ("2024-02-01 00:00", "2024-03-01 00:00"), "2024-03-28 09:00"),
        ("monthly last 09:00", "2024-02-10 08:00", ("2024-01-31 00:00", "2024-02-29 00:00"), "2024-02-29 09:00"),
        ("cron 0 9 * * 1-5", "2026-02-28 12:00", ("2026-02-27 09:00", "2026-03-02 09:00"), "2026-03-02 09:00"),
        ("cron 0 0 29 2 *", "2025-01-01 12:00", ("2024-02-29 00:00", "2028-02-29 00:00"), "2028-02-29 00:00"),
    ],
)
def test_the_next_report_covers_a_complete_calendar_window(text, now, covers, goes_out):
    fire, period = parse_schedule(text, "Europe/Zurich").upcoming(local(now))
    assert fire == local(goes_out)
    assert period == (local(covers[0]), local(covers[1]))


def hours(period):
    return (period.end - period.start) / timedelta(hours=1)


@pytest.mark.parametrize(
    ("day", "length"), [("2026-03-28", 24), ("2026-03-29", 23), ("2026-10-25", 25), ("2024-02-29", 24)]
)
def test_a_local_day_has_as_many_hours_as_its_clock_says(day, length):
    next_noon = local(day + " 12:00") + timedelta(days=1)
    assert hours(parse_schedule("daily 08:00", "Europe/Zurich").last_complete(next_noon)) == length


@pytest.mark.parametrize(
    ("text", "begin", "lengths"),
    [
        ("every 2h", "2026-03-29 00:00", [3, 2, 2, 2]),  # 02:00 is skipped, so this window goes on to 04:00
        ("every 2h", "2026-10-25 00:00", [2, 1, 2, 2]),  # the hour that comes twice begins a window each time
        ("every 6h", "2026-03-29 00:00", [5, 6, 6, 6]),
        ("every 6h", "2026-10-25 00:00", [7, 6, 6, 6]),
        ("every 12h", "2026-10-24 12:00", [12, 13, 12]),
        ("every 5h", "2026-03-28 23:00", [5, 5, 5]),
        ("daily 08:00", "2026-03-28 00:00", [24, 23, 24]),
        ("daily 08:00", "2026-10-24 00:00", [24, 25, 24]),
        ("daily 08:00", "2024-02-28 00:00", [24, 24, 24]),
        ("weekly Monday 08:00", "2026-03-23 00:00", [167, 168]),
        ("weekly Monday 08:00", "2026-10-19 00:00", [169, 168]),
        ("monthly 1 08:00", "2024-01-01 00:00", [744, 696, 743, 720]),
        ("monthly 1 08:00", "2025-01-01 00:00", [744, 672, 743, 720]),
        ("monthly 1 08:00", "2026-10-01 00:00", [745, 720, 744]),
        ("cron 0 9 * * *", "2026-03-28 09:00", [23, 24]),
        ("cron 0 9 * * *", "2026-10-24 09:00", [25, 24]),
    ],
)
def test_periods_have_the_length_that_the_local_calendar_gives_them(text, begin, lengths):
    schedule = parse_schedule(text, "Europe/Zurich")
    start = local(begin) if not text.startswith("every 5h") else schedule.last_complete(local(begin)).end
    due = schedule.due_after(start, start + timedelta(days=160))
    assert [hours(period) for period in due[: len(lengths)]] == lengths


def fires(text, zone, start, count):
    schedule, moment, seen = parse_schedule(text, zone), local(start, zone), []
    for _ in range(count):
        moment = schedule.upcoming(moment)[0]
        seen.append(f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M %Z}")
    return seen


def test_a_time_that_the_clock_skips_comes_once_and_later():
    seen = fires("daily 02:30", "Europe/Zurich", "2026-03-28 00:00", 3)
    assert seen == [
        "28 02:30 CET",
        "29 03:30 CEST",
        "30 02:30 CEST",
    ]


def test_a_time_that_comes_twice_counts_once():
    seen = fires("daily 02:30", "Europe/Zurich", "2026-10-24 00:00", 3)
    assert seen == [
        "24 02:30 CEST",
        "25 02:30 CEST",
        "26 02:30 CET",
    ]


def test_a_repeated_hour_is_two_windows_of_an_hour():
    seen = fires("every 1h", "Europe/Zurich", "2026-10-25 01:00", 4)
    assert seen == ["25 02:00 CEST", "25 02:00 CET", "25 03:00 CET", "25 04:00 CET"]


def test_a_day_without_midnight_begins_when_its_clock_does():
    period = parse_schedule("daily 08:00", "America/Sao_Paulo").last_complete(
        local("2018-11-05 12:00", "America/Sao_Paulo")
    )
    assert period == (local("2018-11-04 01:00", "America/Sao_Paulo"), local("2018-11-05 00:00", "America/Sao_Paulo"))


def test_missed_periods_come_oldest_first_and_only_when_their_time_has_come():
    schedule = parse_schedule("daily 08:00", "UTC")
    done = datetime(2026, 3, 2, tzinfo=UTC)
    due = schedule.due_after(done, datetime(2026, 3, 5, 7, 59, tzinfo=UTC))
    assert [period.start.day for period in due] == [2, 3]
    due = schedule.due_after(done, datetime(2026, 3, 5, 8, 0, tzinfo=UTC))
    assert [period.start.day for period in due] == [2, 3, 4]


def test_a_schedule_that_never_ran_owes_nothing():
    schedule = parse_schedule("every 2h", "UTC")
    now = datetime(2026, 3, 2, 11, 15, tzinfo=UTC)
    assert schedule.due_after(None, now) == []
    assert schedule.due_after(schedule.last_due(now).end, now) == []


def test_a_clock_that_went_back_owes_nothing():
    schedule = parse_schedule("every 2h", "UTC")
    assert schedule.due_after(datetime(2027, 1, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)) == []


ZONES = st.sampled_from(
    ["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo",
     "Pacific/Apia", "Africa/Casablanca", "America/Havana", "Asia/Gaza", "America/Asuncion", "Antarctica/Troll"]
)  # fmt: skip
CLOCKS = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))
TEXTS = st.one_of(
    st.sampled_from(
        ["every 1h", "every 2h", "every 30m", "every 8h", "every 24h", "every 5h", "every 36h", "every 7m"]
    ),
    st.builds("daily at {}".format, CLOCKS),
    st.builds("weekly {} {}".format, st.sampled_from(["Monday", "Friday", "Sunday"]), CLOCKS),
    st.builds("monthly {} {}".format, st.sampled_from([1, 15, 28, "last"]), CLOCKS),
    st.sampled_from(
        ["cron 0 9 * * 1-5", "cron 30 2 * * *", "cron */20 * * * *", "cron 0 0 1 * *", "cron 15 0,2,3 * * 0"]
    ),
)
MOMENTS = st.datetimes(datetime(2010, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


@settings(max_examples=400, deadline=None)
@given(TEXTS, ZONES, MOMENTS)
def test_periods_tile_time_and_each_ends_before_it_is_sent(text, zone, now):
    schedule = parse_schedule(text, zone)
    last = schedule.last_complete(now)
    assert last.start < last.end <= now
    anchor = schedule.last_due(now)
    assert schedule.fire(anchor) <= now < schedule.upcoming(now)[0]
    until = now + (anchor.end - anchor.start) * 4
    due = schedule.due_after(anchor.end, until)
    edges = [anchor, *due]
    assert all(a.end == b.start and b.start < b.end for a, b in pairwise(edges))
    assert all(period.end <= schedule.fire(period) <= until for period in due)
    sent = [schedule.fire(period) for period in edges]
    assert sent == sorted(set(sent))
    if due:
        assert schedule.upcoming(now) == (schedule.fire(due[0]), due[0])
    for period in due[:3]:
        assert schedule.last_complete(period.end) == period
        assert schedule.last_due(schedule.fire(period)) == period
