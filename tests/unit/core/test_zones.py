"""A time zone that does not exist is answered with the one that was meant."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.zones import nearest_zone


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Europe/Zürich", "Europe/Zurich"),
        ("Europe/Zurch", "Europe/Zurich"),
        ("europe/zurich", "Europe/Zurich"),
        ("Zürich", "Europe/Zurich"),
        ("Eurpe/Paris", "Europe/Paris"),
        ("Paris", "Europe/Paris"),
        ("Europe/New_York", "America/New_York"),
        ("New York", "America/New_York"),
        ("America/New York", "America/New_York"),
        ("america/new-york", "America/New_York"),
        ("America/Sao Paolo", "America/Sao_Paulo"),
        ("São Paulo", "America/Sao_Paulo"),
        ("Europe/Kiev ", "Europe/Kiev"),
        ("Asia\\Tokyo", "Asia/Tokyo"),
        ("Buenos Aires", "America/Buenos_Aires"),
        ("utc", "UTC"),
        ("UTC+2", "Etc/GMT-2"),
        ("GMT-05:00", "Etc/GMT+5"),
        ("+01:00", "Etc/GMT-1"),
        ("UTC+00:00", "UTC"),
        ("CET+1", "CET"),
        ("cest", "CET"),
        ("PST", "America/Los_Angeles"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("UTC+5:30", None),
        ("UTC+99", None),
        ("Mars/Base", None),
        ("", None),
        ("xyzzy", None),
    ],
)
def test_the_zone_that_was_meant_is_found(written, meant):
    assert nearest_zone(written) == meant


@given(st.text() | st.from_regex(r"[A-Za-z/_]{1,20}([+-]\d{1,2}(:\d\d)?)?", fullmatch=True))
def test_whatever_is_written_what_is_proposed_exists(written):
    found = nearest_zone(written)
    assert found is None or ZoneInfo(found)
