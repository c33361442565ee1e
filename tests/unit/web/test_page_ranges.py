from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from guardian.web.pages.ranges import BAD_TIME, TOO_LONG, read_range

NOW = datetime(2026, 3, 17, 8, 0, tzinfo=UTC)
ZURICH = ZoneInfo("Europe/Zurich")


@pytest.mark.parametrize(("key", "hours"), [("2h", 2), ("24h", 24), ("7d", 168), ("30d", 720)])
def test_a_named_range_ends_now(key, hours):
    found = read_range({"range": key}, NOW, ZURICH)
    assert (found.start, found.end, found.hours) == (NOW - timedelta(hours=hours), NOW, hours)


def test_a_window_of_ones_own_is_read_in_the_zone_of_the_page():
    found = read_range({"range": "own", "start": "2026-03-16T09:00", "end": "2026-03-16T10:00"}, NOW, ZURICH)
    assert (found.start, found.end) == (datetime(2026, 3, 16, 8, tzinfo=UTC), datetime(2026, 3, 16, 9, tzinfo=UTC))


def test_the_address_of_a_range_leads_to_the_same_range_in_every_zone():
    found = read_range({"range": "own", "start": "2026-03-16T09:00", "end": "2026-03-16T10:00"}, NOW, ZURICH)
    assert read_range(found.query, NOW, ZoneInfo("Asia/Tokyo")) == found


@pytest.mark.parametrize(
    "query",
    [
        {"range": "own"},
        {"range": "own", "start": "x", "end": "y"},
        {"range": "own", "start": "2026-03-17T10:00", "end": "2026-03-16T10:00"},
        {"range": "own", "start": "0001-01-01T00:00", "end": "2026-03-16T10:00"},
        {"range": "own", "start": "9999-12-31T23:59-23:59", "end": "2026-03-16T10:00"},
        {"range": "<script>"},
    ],
)
def test_a_window_that_is_none_shows_the_last_day_and_says_so(query):
    found = read_range(query, NOW, ZURICH)
    assert (found.key, found.trouble) == ("24h", BAD_TIME)


def test_a_window_that_is_too_long_says_so():
    found = read_range({"range": "own", "start": "2020-01-01T00:00", "end": "2026-03-16T10:00"}, NOW, ZURICH)
    assert (found.key, found.trouble) == ("24h", TOO_LONG)


def test_what_lies_ahead_is_cut_off():
    found = read_range({"range": "own", "start": "2026-03-17T01:00", "end": "2027-01-01T00:00"}, NOW, ZURICH)
    assert found.end == NOW


def test_comparing_can_be_switched_off_in_the_address():
    assert read_range({"compare": "off"}, NOW, ZURICH).query == {"compare": "off"}
    assert read_range({}, NOW, ZURICH).query == {}
