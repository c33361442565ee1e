"""Counts by the minute that grow, and are mended where something came late, are those of all requests at once."""

import random

import numpy as np
import pytest

from guardian.alerting.columns import MINUTE_US, Columns, MinuteCounts
from tests.support.events import event

START, KEPT = 29_560_000, 30


def requests(minute, names, chance):
    return [
        event(minute * MINUTE_US + n, feature=chance.choice(names), status=chance.choice((200, 404, 500)))
        for n in range(chance.randrange(4))
    ]


def counted(events, start, end):
    return MinuteCounts.of(Columns.of(events), start, end)


@pytest.mark.parametrize("seed", range(20))
def test_counts_that_grew_and_were_mended_are_those_of_all_requests(seed):
    chance, names = random.Random(seed), list("abc")
    events = requests(START, names, chance)
    counts = counted(events, START, START + 1)
    for minute in range(START + 1, START + 90):
        names += [f"new{minute}"] if chance.random() < 0.05 else []
        new = requests(minute, names, chance)
        events += new
        counts = counts.followed(counted(new, minute, minute + 1), KEPT)
        for late in {chance.randrange(counts.start, counts.end) for _ in range(chance.randrange(3))}:
            events += requests(late, names, chance)
            here = [e for e in events if e.at_us // MINUTE_US == late]
            counts = counts.mended(counted(here, late, late + 1))
        anew = counted(events, counts.start, counts.end)
        assert (counts.end, counts.features) == (minute + 1, anew.features)
        for feature in (None, *counts.features):
            sums = zip(counts.sums(feature), anew.sums(feature), strict=True)
            assert all(np.array_equal(np.diff(one), np.diff(other)) for one, other in sums)


def test_nothing_is_copied_for_a_late_request_nor_in_the_minute_after_it():
    chance = random.Random(1)
    counts = counted([event(START * MINUTE_US, feature=name) for name in "abc"], START, START + 1)
    for minute in range(START + 1, START + 3):
        counts = counts.followed(counted(requests(minute, "abc", chance), minute, minute + 1), KEPT)
    mended = counts.mended(counted([event(START * MINUTE_US, feature=name) for name in "abbc"], START, START + 1))
    after = mended.followed(counted([], START + 3, START + 4), KEPT)
    assert np.shares_memory(counts.running, mended.running)
    assert np.shares_memory(mended.running, after.running)
    assert after.requests(START, START + 1) == 4


def many(minute, number):
    """A minute of so many requests, all of one feature, of which half failed."""
    return MinuteCounts.of_rows(minute, np.array([[[number, number // 2, 0]]]), ["a"])


def test_more_requests_than_32_bits_hold_are_counted_exactly():
    counts = many(START, 2**30)
    for minute in range(START + 1, START + 20):
        counts = counts.followed(many(minute, 2**30), KEPT)
    counts = counts.mended(many(START + 3, 2**33))
    expected = [2**33 if minute == 3 else 2**30 for minute in range(20)]
    for feature in (None, "a"):
        requests, failed, _ = (np.diff(column).tolist() for column in counts.sums(feature))
        assert (requests, failed) == (expected, [number // 2 for number in expected])


def test_counts_of_few_requests_are_small_however_many_came_before():
    counts = many(START, 2**30)
    for minute in range(START + 1, START + 20 * KEPT):
        counts = counts.followed(many(minute, 2**24), KEPT)
    assert counts.running.dtype == np.int32
    assert counts.requests(counts.start, counts.end) == KEPT * 2**24
