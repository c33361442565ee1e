"""Several columns of a SQLite table that are read as one number each are those that were stored."""

import sqlite3

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.stores.sqlite.numbers import read_numbers, read_packed

WIDE = st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3)


def read(rows, packed):
    with sqlite3.connect(":memory:") as db:
        db.execute("CREATE TABLE guardian_request (id INTEGER PRIMARY KEY, a, b, c)")
        db.executemany("INSERT INTO guardian_request (a, b, c) VALUES (?, ?, ?)", rows)
        return [each.tolist() for each in read_packed(db, packed, "id > ?", (0,))]


@given(st.lists(st.tuples(WIDE, st.integers(0, 2**20 - 1), st.integers(0, 2**7 - 1)), max_size=8))
def test_packed_columns_are_those_that_were_stored(rows):
    for packed in ([("a", {"b": 20, "c": 7})], [("a", {"c": 7}), ("b", {})]):
        names = [name for top, others in packed for name in (top, *others)]
        assert read(rows, packed) == [[row["abc".index(name)] for row in rows] for name in names]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_just_within_64_bits_is_packed_and_one_beyond_is_not(sign, monkeypatch):
    unpacked = []
    monkeypatch.setattr(
        "guardian.stores.sqlite.numbers.read_numbers", lambda *asked: unpacked.append(1) or read_numbers(*asked)
    )
    for top, times in ((2**40 - 1, 0), (2**44, 1)):
        assert read([(sign * top, 5, 6)], [("a", {"b": 20, "c": 3})]) == [[sign * top], [5], [6]]
        assert len(unpacked) == times


def test_nothing_is_read_of_no_rows():
    assert read([], [("a", {"b": 3})]) == [[], []]
    assert read([(1, 0, 0)], [("a", {"b": 0})]) == [[1], [0]]
    assert np.array(read([(1, 0, 0)], [("a", {})])).dtype == np.int64
