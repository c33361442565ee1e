"""What is believed of times that were noted by a clock which has been set since."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.clock import LONGEST_LOOK, SLACK, ClockWatch, Waits, is_over, was_ahead

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("wall_seconds", "monotonic_seconds", "step"),
    [(5, 5, 0), (5, 14, 0), (-3595, 5, -3600), (3605, 5, 3600), (60, 60, 0), (65, 5, 60)],
)
def test_a_clock_that_was_set_is_noticed(wall_seconds, monotonic_seconds, step):
    watch = ClockWatch(NOW, 100.0)
    moved = watch.stepped(NOW + timedelta(seconds=wall_seconds), 100.0 + monotonic_seconds)
    assert moved.total_seconds() == pytest.approx(step)
    later = NOW + timedelta(seconds=wall_seconds + 5)
    assert watch.stepped(later, 105.0 + monotonic_seconds) == timedelta(0)


@pytest.mark.parametrize(
    ("until", "over"),
    [
        (NOW - SECOND, True),
        (NOW, True),
        (NOW + SECOND, False),
        (NOW + DAY, False),
        (NOW + DAY + SECOND, True),
        (NOW + 84_000 * DAY, True),
    ],
)
def test_a_wait_ends_when_it_ends_and_at_once_where_nobody_would_wait_so_long(until, over):
    assert is_over(until, NOW, DAY) is over


@pytest.mark.parametrize(
    ("noted", "ahead"), [(NOW - DAY, False), (NOW + SLACK, False), (NOW + SLACK + SECOND, True), (NOW + DAY, True)]
)
def test_what_happened_in_the_future_was_noted_by_a_clock_that_was_ahead(noted, ahead):
    assert was_ahead(noted, NOW) is ahead


def test_what_waits_is_counted_by_looks_and_a_sleep_between_two_of_them_counts_little():
    waits = Waits()
    assert waits.look(["a"], NOW) == {"a": 0 * SECOND}
    assert waits.look(["a", "b"], NOW + 60 * SECOND) == {"a": 60 * SECOND, "b": 0 * SECOND}
    assert waits.look(["a", "b"], NOW + DAY) == {"a": 60 * SECOND + LONGEST_LOOK, "b": LONGEST_LOOK}
    assert waits.look(["b"], NOW) == {"b": LONGEST_LOOK}
    assert waits.look(["a", "b"], NOW + SECOND) == {"a": 0 * SECOND, "b": LONGEST_LOOK + SECOND}
