"""Bursts of errors in a history that grows: those that a history read anew has."""

import random

import numpy as np
import pytest

from guardian.alerting.columns import MINUTE_US, Columns
from guardian.alerting.stretches import Stretches
from tests.support.events import event
from tracker.event import ANONYMOUS, Failure

ERRORS, WINDOW_US = 3, 4 * MINUTE_US
NAMES = [ANONYMOUS, *(f"u{n}@example.com" for n in range(3))]
FEATURES, FAILURES = ["chat"], [("Boom", "app.py:1 f"), ("Bang", "app.py:2 f")]


def of_table(table):
    """The stretches of rows of (µs, user, outcome, failure); names are shared, as a store does."""
    at_us, user, status, failure = np.array(sorted(table), dtype=np.int64).reshape(-1, 4).T
    same = np.zeros(len(at_us), dtype=np.int64)
    return Stretches(Columns(at_us, user, same, status, same, failure, NAMES, FEATURES, FAILURES))


def told(stretches, end_us, lookback_us):
    """Who had a burst lately, with all their errors, and how often each failure came."""
    bursts = list(stretches.searched.bursts(ERRORS, WINDOW_US, end_us - lookback_us, end_us))
    errors = [
        stretches.searched.errors_of(name, last_us - WINDOW_US, end_us, ERRORS, WINDOW_US).tolist()
        for name, _, last_us in bursts
    ]
    counts = [each.tolist() for each in stretches.failures(stretches.stretch(end_us - lookback_us, end_us))]
    return bursts, errors, counts


@pytest.mark.parametrize("seed", range(12))
def test_bursts_of_a_history_that_grows_are_those_of_one_read_anew(seed):
    chance, table, before, found = random.Random(seed), [], None, 0
    lookback_us, kept_us = chance.choice((1, 4, 9)) * MINUTE_US, 15 * MINUTE_US
    minute = 0
    for _ in range(60):
        first, minute = minute, minute + chance.choice((1, 1, 1, 2, 30))
        late = [chance.randrange(max(0, first - 10), first)] if first and chance.random() < 0.2 else []
        for each in (*range(max(first, minute - 5), minute), *late):
            for _ in range(chance.choice((0, 1, 3, 6))):
                bad = chance.random() < 0.6
                row = (chance.choice((404, 500)), chance.randrange(2)) if bad else (200, -1)
                at_us = each * MINUTE_US + chance.choice((0, chance.randrange(MINUTE_US), MINUTE_US - 1))
                table.append((at_us, chance.randrange(len(NAMES)), *row))
        table = [row for row in table if row[0] >= minute * MINUTE_US - kept_us]
        grown = of_table(table)
        if before is not None:
            grown.follow(before, late)
        asked = [minute - 1, minute] if chance.random() < 0.2 else [minute]  # several minutes had passed
        for each in asked:
            there = told(grown, each * MINUTE_US, lookback_us)
            assert there == told(of_table(table), each * MINUTE_US, lookback_us)
            found += len(there[0])
        before = grown
    assert found > 5


def test_a_burst_is_told_as_long_as_it_is_looked_back_for_and_grows_with_each_error():
    boom = Failure("Boom", "no", "app.py:1 f")
    at = [MINUTE_US * n for n in (0, 1, 2, 3)]
    events = [event(at_us, user="ada@example.com", status=500, failure=boom) for at_us in at]
    columns = Columns.of(events)
    before, spans = None, []
    for minute in range(1, 9):
        rows = int(np.searchsorted(columns.at_us, minute * MINUTE_US))
        parts = (getattr(columns, name)[:rows] for name in ("at_us", "user", "feature", "status", "duration_us"))
        names = columns.users, columns.features, columns.failures
        stretches = Stretches(Columns(*parts, columns.failure[:rows], *names))
        if before is not None:
            stretches.follow(before, ())
        spans.append(list(stretches.searched.bursts(3, WINDOW_US, (minute - 3) * MINUTE_US, minute * MINUTE_US)))
        before = stretches
    first, second = ("ada@example.com", at[0], at[2]), ("ada@example.com", at[1], at[3])
    assert spans == [[], [], [first], [second], [second], [second], [], []]
