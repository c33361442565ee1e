"""Single events in arrays that grow at one end and lose events at the other: they are always those that came last."""

import random
import sqlite3

import numpy as np
import pytest

from guardian.alerting.columns import MINUTE_US, Columns
from guardian.stores.people.aliases import NO_ALIASES
from guardian.stores.sqlite.singles import Singles

NAMES = ("at_us", "user", "feature", "status", "duration_us", "failure")


@pytest.fixture
def singles():
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE guardian_meta (key TEXT, value TEXT)")
    yield Singles(db, NO_ALIASES)
    db.close()


def of_minute(minute, number, chance):
    """So many events of a minute, in order."""
    at_us = sorted(minute * MINUTE_US + chance.randrange(MINUTE_US) for _ in range(number))
    others = [[chance.randrange(99) for _ in range(number)] for _ in NAMES[1:]]
    return Columns(*map(np.array, (at_us, *others)), users=[], features=[], failures=[])


def rows(columns):
    return list(zip(*(getattr(columns, name).tolist() for name in NAMES), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_events_are_those_of_the_latest_minutes_however_many_come(singles, seed):
    chance, kept = random.Random(seed), 7
    known = {}
    for minute in range(120):
        if known and chance.random() < 0.3:
            late = chance.choice(list(known))
            known[late] = of_minute(late, len(known[late]) + chance.choice((1, 1, 200)), chance)
            singles.replace(late, known[late])
        known[minute] = of_minute(minute, chance.choice((0, 3, 40, 40, 900)), chance)
        singles.add(known[minute], minute + 1, (minute + 1 - kept) * MINUTE_US)
        known = {at: columns for at, columns in known.items() if at > minute - kept}
        assert rows(singles.columns) == [row for at in sorted(known) for row in rows(known[at])]


def test_events_are_copied_once_while_they_reach_back_further_each_minute(singles):
    chance, arrays, kept = random.Random(1), [], 60
    for minute in range(300):
        singles.add(of_minute(minute, 50, chance), minute + 1, (minute + 1 - kept) * MINUTE_US)
        array = singles.columns.at_us.base
        if minute > 4 and not any(array is each for each in arrays):
            arrays.append(array)
    assert len(arrays) <= 2
    assert len(arrays[-1]) < 2 * kept * 50


def test_arrays_that_a_storm_has_made_large_are_small_again_after_it(singles):
    chance, kept = random.Random(1), 5
    sizes = []
    for minute in range(300):
        number = 5_000 if 50 <= minute < 60 else 20
        singles.add(of_minute(minute, number, chance), minute + 1, (minute + 1 - kept) * MINUTE_US)
        sizes.append(len(singles.columns.at_us.base))
    assert max(sizes) >= 25_000
    assert sizes[-1] < 1_000


def test_numbers_that_need_more_bits_are_kept_as_they_are_and_so_are_the_others(singles):
    chance, known = random.Random(3), {}
    largest = {
        3: ("duration_us", 2**31),
        5: ("feature", 2**15),
        6: ("failure", 2**40),
        8: ("duration_us", -(2**31) - 1),
    }
    for minute in range(10):
        known[minute] = of_minute(minute, 20, chance)
        if minute in largest:
            name, number = largest[minute]
            getattr(known[minute], name)[7] = number
        singles.add(known[minute], minute + 1, 0)
    late = of_minute(2, 30, chance)
    late.user[4] = 2**31
    known[2] = late
    singles.replace(2, late)
    assert rows(singles.columns) == [row for at in sorted(known) for row in rows(known[at])]


def test_events_take_no_more_bytes_than_their_numbers_need(singles):
    chance = random.Random(3)
    for minute in range(10):
        singles.add(of_minute(minute, 20, chance), minute + 1, 0)
    assert sum(getattr(singles.columns, name).itemsize for name in NAMES) == 22
