"""Users by their places: the same as sets of names, whatever lists the places are of."""

import random

import numpy as np
import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.history import History
from guardian.alerting.users import Gathered, Users
from tests.support.events import event
from tracker.event import ANONYMOUS

NAMES = [f"user{n}@example.com" for n in range(40)]


def some(chance, names):
    codes = sorted(chance.sample(range(len(names)), chance.randrange(min(8, len(names)) + 1)))
    return Users(np.array(codes, dtype=np.int64), names)


@pytest.mark.parametrize("seed", range(40))
def test_users_that_are_added_bit_by_bit_are_counted_as_the_set_of_their_names(seed):
    """From one list that grows, from another, and as plain names, which may be the same people."""
    chance, gathered, expected = random.Random(seed), Gathered(3), set()
    growing = NAMES[:10]
    for _ in range(30):
        growing += NAMES[len(growing) : len(growing) + chance.randrange(3)]
        other = chance.sample(NAMES, 15)
        users = chance.choice((some(chance, growing), some(chance, growing), some(chance, other)))
        found = set(users) if chance.random() < 0.3 else users
        gathered.add(found)
        expected |= set(users)
        assert (len(gathered), gathered.first) == (len(expected), tuple(sorted(expected)[:3]))


def test_users_are_a_set_of_names():
    users = Users(np.array([0, 2]), ["a", "b", "c"])
    assert users == {"a", "c"}
    assert {"a", "b"} - users == {"b"}
    assert users - {"a"} == {"c"}
    assert users | {"b"} == {"a", "b", "c"}
    assert "b" not in users
    assert sorted(users) == ["a", "c"]


@pytest.mark.parametrize("names", [(ANONYMOUS, "a"), ("a", ANONYMOUS), ("a",), (ANONYMOUS,)])
def test_nobody_is_none_of_the_users(names):
    events = [event(n, user=name, feature="c", duration_us=9) for n, name in enumerate(names)]
    snapshot = History.of(events, 0, MINUTE_US).at(1)
    assert snapshot.users(60) == {*names} - {ANONYMOUS}
    assert snapshot.has_users(1, 60) is ("a" in names)
    assert not snapshot.has_users(2, 60)
