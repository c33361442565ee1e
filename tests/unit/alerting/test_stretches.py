"""Rows by stretches of time: whatever is asked for, and however often, it is what the events themselves say."""

import random
from dataclasses import replace

import numpy as np
import pytest

from guardian.alerting.columns import Columns
from guardian.alerting.stretches import Stretches
from tests.support.events import event
from tracker.event import Event, Failure


def traffic(number=400, seed=3):
    chance = random.Random(seed)
    for _ in range(number):
        status = chance.choice((200, 200, 204, 101, 404, 500))
        failure = Failure("Boom", "no", f"app.py:{chance.randrange(4)} f") if status >= 400 else None
        feature, took = chance.choice("abc"), chance.choice((chance.randrange(90_000), 2**50))
        latency = chance.choice((None, -1, took // 2))
        user = f"u{chance.randrange(5)}@example.com"
        yield Event(chance.randrange(1_000), user, f"/{feature}", "GET", feature, status, took, failure, latency)


def good(events, start, end, feature):
    inside = [e for e in events if start <= e.at_us < end and e.feature == feature]
    took = [e.duration_us if e.latency_us is None else e.latency_us for e in inside if e.status < 400]
    status = [e.status for e in inside if e.status < 400]
    return sorted(min(us, 2**48 - 1) for us, code in zip(took, status, strict=True) if code != 101 and us >= 0)


@pytest.mark.parametrize("questions", [3, 40], ids=["one minute asks", "a past is replayed"])
def test_durations_and_failures_are_those_of_the_events(questions):
    events = list(traffic())
    stretches, chance = Stretches(Columns.of(events)), random.Random(9)
    for _ in range(questions):
        start = chance.randrange(900)
        end = start + chance.randrange(300)
        for feature in ("a", "b", "never"):
            found = [min(int(us), 2**48 - 1) for us in stretches.good_us(start, end, feature)]
            assert found == good(events, start, end, feature)
            over = sum(us > 45_000 for us in found)
            assert stretches.timed(start, end, feature, 45_000) == (len(found), over)
        rows = stretches.rows(start, end)
        counts, server = stretches.failures(rows)
        for place in range(4):
            code = stretches.failure(("Boom", f"app.py:{place} f"))
            there = [e for e in events if start <= e.at_us < end and e.failure and f":{place}" in e.failure.location]
            assert (counts[code], server[code]) == (len(there), sum(e.status >= 500 for e in there))


def test_an_error_that_never_came_has_no_place():
    assert Stretches(Columns.of(traffic())).failure(("Boom", "elsewhere.py:1 f")) is None


def test_the_newest_burst_of_each_user_is_told():
    events = [
        event(at, user=user, feature="a", status=500, duration_us=9, failure=Failure("Boom", "no"))
        for at, user in ((10, "a@x.org"), (12, "b@x.org"), (14, "a@x.org"), (30, "a@x.org"), (33, "a@x.org"))
    ]
    searched = Stretches(Columns.of(events)).searched
    assert list(searched.bursts(2, 5, 0, 40)) == [("a@x.org", 30, 33)]
    assert list(searched.bursts(2, 5, 0, 20)) == [("a@x.org", 10, 14)]
    assert list(searched.bursts(2, 20, 0, 40)) == [("a@x.org", 30, 33)]


def test_whose_burst_was_complete_first_is_told_first_and_of_two_at_once_the_first_by_name():
    """Whatever the order in which the names were met."""
    who = ((1, "z@x.org"), (2, "b@x.org"), (3, "a@x.org"), (8, "a@x.org"), (8, "b@x.org"), (9, "z@x.org"))
    events = [
        event(at, user=user, feature="a", status=500, duration_us=9, failure=Failure("Boom", "no")) for at, user in who
    ]
    found = [("a@x.org", 3, 8), ("b@x.org", 2, 8), ("z@x.org", 1, 9)]
    assert list(Stretches(Columns.of(events)).searched.bursts(2, 20, 0, 40)) == found


def test_nobody_and_who_was_erased_have_no_bursts():
    names = ("anonymous", f"erased-{'0' * 16}", "erased-mike")
    events = [
        event(at, user=name, feature="a", status=500, duration_us=9, failure=Failure("Boom", "no"))
        for at in (1, 2)
        for name in names
    ]
    assert list(Stretches(Columns.of(events)).searched.bursts(2, 20, 0, 40)) == [("erased-mike", 1, 2)]


def test_a_user_is_found_among_those_who_came_since():
    """The history that grows shares its names."""
    before = Columns.of([event(1, user="a@x.org", feature="a", duration_us=9)])
    after = replace(before, users=before.users)
    stretches = Stretches(before)
    assert (stretches.people.place("a@x.org"), stretches.people.place("b@x.org")) == (0, -1)
    before.users.append("b@x.org")
    later = Stretches(after)
    later.follow(stretches, ())
    assert (later.people.place("a@x.org"), later.people.place("b@x.org"), later.people.place("c@x.org")) == (0, 1, -1)


@pytest.mark.parametrize("seed", range(8))
def test_counts_of_minutes_that_were_taken_over_are_those_of_the_events(seed):
    chance, minute_us, limit_us = random.Random(seed), 60_000_000, 500
    features, there, before = [], [], None
    for minute in range(1, 12):
        late = {chance.randrange(minute) for _ in range(chance.choice((0, 0, 2)))}
        for each in (minute - 1, *late):
            for _ in range(chance.randrange(9)):
                name = chance.choice("abc")
                if name not in features:
                    features.append(name)
                row = (each * minute_us + chance.randrange(minute_us), 0, features.index(name))
                there.append((*row, chance.choice((200, 101, 500)), chance.choice((-1, 400, 900)), -1))
        there.sort()
        table = np.array(there, dtype=np.int64).reshape(-1, 6).T
        stretches = Stretches(Columns(*table, users=["u"], features=features, failures=[]))
        if before is not None:
            stretches.follow(before, late)
        before = stretches
        for start, end in ((0, minute), (max(0, minute - 4), minute), (max(0, minute - 3) + 0.5, minute)):
            span = (int(start * minute_us), end * minute_us)
            for name in "abc":
                took = [row[4] for row in there if span[0] <= row[0] < span[1] and row[3] == 200 and row[4] >= 0
                        and features[row[2]] == name]  # fmt: skip
                assert stretches.timed(*span, name, limit_us) == (len(took), sum(each > limit_us for each in took))


def test_what_was_counted_by_other_numbers_of_features_is_not_taken_over():
    one, other = (Stretches(Columns.of([event_of(name)])) for name in ("docs", "chat"))
    assert one.timed(0, 60_000_000, "docs", 5) == (1, 1)
    other.follow(one, ())
    assert (other.timed(0, 60_000_000, "docs", 5), other.timed(0, 60_000_000, "chat", 5)) == ((0, 0), (1, 1))


def event_of(feature):
    return event(7, user="u@example.com", feature=feature, duration_us=9)


def test_the_failed_rows_of_one_user_are_those_of_the_events():
    columns = Columns.of(traffic())
    stretches = Stretches(columns)
    for first, last in ((0, len(columns)), (30, 200), (7, 7)):
        for code in (*range(len(columns.users)), -1):
            found = stretches.failed_of.between(code, slice(first, last)).tolist()
            assert found == [n for n in range(first, last) if columns.user[n] == code and columns.failure[n] >= 0]
