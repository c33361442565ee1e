"""Failed rows, found minute by minute and taken over by the next history: always those that the columns say."""

import random

import numpy as np
import pytest

from guardian.alerting.columns import MINUTE_US, Columns
from guardian.alerting.failed import FailedRows


def of_table(table):
    """Columns of rows of (µs, failure)."""
    at_us, failure = np.array(table, dtype=np.int64).reshape(-1, 2).T
    same = np.zeros(len(at_us), dtype=np.int64)
    return Columns(at_us, same, same, same, same, failure, ["u"], ["chat"], [("Boom", "app.py:1 f")])


def asked(rows, columns, chance, number):
    """Whether some stretches have the failed rows that the columns say."""
    for _ in range(number):
        first, end = sorted((chance.randrange(len(columns) + 1), chance.randrange(len(columns) + 1)))
        there = [n for n in range(first, end) if columns.failure[n] >= 0]
        assert rows.between(slice(first, end)).tolist() == there
    return True


@pytest.mark.parametrize("questions", [2, 30], ids=["one minute asks", "a past is replayed"])
@pytest.mark.parametrize("long", [1, 9], ids=["hours", "days"])
def test_failed_rows_are_those_of_the_columns(questions, long):
    chance = random.Random(questions + long)
    table = sorted(
        (chance.randrange(60 * long) * MINUTE_US + chance.randrange(99), chance.choice((-1, 0))) for _ in range(300)
    )
    columns = of_table(table)
    rows = FailedRows(columns)
    assert asked(rows, columns, chance, questions)
    assert rows.every.tolist() == np.flatnonzero(columns.failure >= 0).tolist()
    assert asked(rows, columns, chance, questions)


def test_where_nothing_came_nothing_failed():
    rows = FailedRows(of_table([]))
    assert (rows.between(slice(0, 0)).tolist(), rows.every.tolist()) == ([], [])


@pytest.mark.parametrize("seed", range(8))
def test_failed_rows_of_a_history_that_grows_are_those_of_one_read_anew(seed):
    chance, table, before, kept_us = random.Random(seed), [], None, random.Random(seed).choice((7.5, 30)) * MINUTE_US
    for minute in range(1, 40):
        late = {max(0, minute - 1 - chance.randrange(12)) for _ in range(chance.choice((0, 0, 2)))} - {minute - 1}
        for each in (minute - 1, *late):
            for _ in range(chance.randrange(1, 6)):
                table.append((each * MINUTE_US + chance.randrange(MINUTE_US), chance.choice((-1, -1, 0))))
        table = sorted(row for row in table if row[0] >= minute * MINUTE_US - kept_us)
        columns = of_table(table)
        rows = FailedRows(columns)
        if before is not None:
            rows.follow(before, late)
        before = rows
        assert asked(rows, columns, chance, chance.choice((0, 1, 4)))
        if chance.random() < 0.2:
            assert rows.every.tolist() == np.flatnonzero(columns.failure >= 0).tolist()
