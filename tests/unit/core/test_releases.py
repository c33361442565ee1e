from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.releases import Release, Since, judged
from guardian.core.summary import bin_of

AT, WEEK = datetime(2026, 3, 12, 14, tzinfo=UTC), timedelta(days=7)


def found(now, before, fast_ms=50, slow=(0, 0)):
    """A release with (requests, errors) since and before, of which so many were slow."""
    bins = [
        {bin_of(fast_ms * 1000): requests - late, bin_of(2_000_000): late}
        for (requests, _), late in zip((now, before), slow, strict=True)
    ]
    since = [
        Since(AT - back, AT - back + timedelta(days=1), *pair, 50.0) for back, pair in ((0 * WEEK, now), (WEEK, before))
    ]
    return Release("2.4.1", *since), *bins


@pytest.mark.parametrize(
    ("now", "before", "slow", "compared", "moved"),
    [
        ((1000, 30), (1000, 10), (0, 0), {"errors", "latency", "requests"}, {"errors"}),
        ((1000, 10), (1000, 30), (0, 0), {"errors", "latency", "requests"}, {"errors"}),
        ((1000, 10), (1000, 11), (0, 0), {"errors", "latency", "requests"}, set()),
        ((1000, 10), (1000, 10), (200, 10), {"errors", "latency", "requests"}, {"latency"}),
        ((1000, 10), (400, 4), (0, 0), {"errors", "latency", "requests"}, {"requests"}),
        ((1000, 30), (1000, 10), (200, 10), {"errors", "latency", "requests"}, {"errors", "latency"}),
        ((100, 12), (100, 5), (0, 0), {"latency", "requests"}, set()),  # may be chance: nothing is said of errors
        ((137, 10), (158, 6), (0, 0), {"latency", "requests"}, set()),
        ((137, 1), (158, 0), (0, 0), {"errors", "latency", "requests"}, set()),
        ((49, 40), (1000, 10), (0, 0), set(), set()),
        ((1000, 900), (49, 0), (0, 0), set(), set()),
    ],
)
def test_what_moved_since_a_release_is_told_from_what_held_and_from_what_nobody_knows(
    now, before, slow, compared, moved
):
    [release] = judged([found(now, before, slow=slow)])
    assert (set(release.compared), set(release.moved)) == (compared, moved)


def test_with_nothing_to_compare_nothing_is_said():
    release, now, _ = found((1000, 500), (1000, 0))
    alone = Release("2.4.1", release.since)
    assert judged([(alone, now, {})]) == (alone,)
    assert judged([]) == ()


def test_of_many_releases_each_must_be_less_likely():
    one = found((300, 18), (300, 4))
    assert judged([one])[0].moved == ("errors",)
    assert {each.moved for each in judged([one] * 10)} == {()}
