"""Latencies by bin as columns say the same as a dictionary of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.histogram import Histogram, quantiles_of, quantiles_of_each
from guardian.core.summary import quantiles_ms

QS = (0.0, 0.5, 0.95, 0.99, 1.0)
bins = st.dictionaries(st.integers(-1, 1200), st.integers(1, 2**40), max_size=30)


def columns(counts):
    slots = sorted(counts)
    return Histogram(np.array(slots, np.int64), np.array([counts[slot] for slot in slots], np.int64))


@given(bins)
def test_a_histogram_equals_the_dictionary_of_its_bins(counts):
    found = columns(counts)
    assert found == counts
    assert counts == found
    assert found == columns(counts)
    assert (dict(found.items()), len(found), repr(found)) == (counts, len(counts), repr(dict(sorted(counts.items()))))
    assert found != {**counts, 1201: 1}


@given(st.lists(bins, max_size=4), st.data())
def test_quantiles_of_several_are_those_of_one_dictionary_of_all(parts, data):
    total = {}
    for part in parts:
        for slot, number in part.items():
            total[slot] = total.get(slot, 0) + number
    given = [columns(part) if data.draw(st.booleans()) else part for part in parts]
    assert quantiles_of(given, QS) == quantiles_ms(total, QS)


@given(st.lists(st.lists(bins, max_size=3), max_size=4), st.data())
def test_quantiles_of_each_group_are_those_of_the_group_alone(groups, data):
    given = [[columns(part) if data.draw(st.booleans()) else part for part in group] for group in groups]
    assert quantiles_of_each(given, QS) == [quantiles_of(group, QS) for group in given]


def test_without_latencies_there_are_no_quantiles():
    assert quantiles_of([], QS) == quantiles_of([{}], QS) == quantiles_of([{3: 0}], QS) == [None] * len(QS)
    assert quantiles_of_each([], QS) == []
