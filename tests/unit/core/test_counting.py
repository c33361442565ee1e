"""Counting in arrays."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.counting import grouped_runs

far = st.one_of(st.integers(0, 5), st.integers(0, 3_000))
rows = st.lists(st.tuples(far, st.one_of(st.integers(-3, 9), st.integers(-1, 2_206)), st.integers(1, 2**40)))


@pytest.mark.parametrize("many", [1, 400])
@given(runs=st.lists(rows, max_size=6))
def test_runs_are_added_up_as_if_they_were_one_table(many, runs):
    runs = [[(key, other, n + count) for key, other, count in rows for n in range(many)] for rows in runs]
    columns = [np.array(rows, np.int64).reshape(-1, 3).T for rows in runs]
    expected = Counter()
    for key, other, count in (row for rows in runs for row in rows):
        expected[key, other] += count
    found = grouped_runs(iter(columns))
    assert found.dtype == np.int64
    assert found.tolist() == [[*keys, count] for keys, count in sorted(expected.items())]
    assert [rows.T.tolist() for rows in columns] == [[list(row) for row in rows] for rows in runs]
