"""How commands say times and texts."""

from datetime import UTC, datetime

from guardian.cli.console import local, printable


def test_a_time_says_its_offset_where_the_hour_comes_twice():
    assert local(datetime(2026, 10, 25, 0, 50, tzinfo=UTC), "Europe/Zurich") == "2026-10-25 02:50 UTC+2"
    assert local(datetime(2026, 10, 25, 1, 21, tzinfo=UTC), "Europe/Zurich") == "2026-10-25 02:21 UTC+1"
    assert local(datetime(2026, 3, 2, 12, 30, tzinfo=UTC), "Europe/Zurich") == "2026-03-02 13:30"
    assert local(None, "UTC") == "–"


def test_a_terminal_gets_ordinary_spaces_and_nothing_that_steers_it():
    assert printable("10\u00a0% of \u2068חיפוש\u2069, 1\u202f200\x1b[31m") == "10 % of חיפוש, 1 200�[31m"
