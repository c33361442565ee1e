"""A sample of a window with many requests has the beginnings of its hundred stretches, each standing for all of its."""

import sqlite3
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.stores.people.aliases import NO_ALIASES
from guardian.stores.sqlite.sampling import read_sample
from tests.support.events import event
from tracker.event import Failure
from tracker.sqlite.migrations import prepare
from tracker.sqlite.writer import write_events

START = 1_700_000_000_000_000
MOMENTS = st.lists(st.integers(-50, 5_000), max_size=300)
FAILURE = Failure("HTTP 500", "Server Error")


def expected(moments, end, most):
    """The moments that are in the sample, and how many requests each stands for."""
    inside = sorted(at for at in moments if 0 <= at < end)
    if len(inside) <= most:
        return inside, [1.0] * len(inside)
    found, weights, some = [], [], max(most // 100, 1)
    for first, last in pairwise(np.linspace(START, START + end, 101).astype(np.int64).tolist()):
        part = [at for at in inside if first <= START + at < last]
        times = (last - first) / max(START + part[some] - first, 1) if len(part) > some else 1.0
        found += part[:some]
        weights += [times] * len(part[:some])
    return found, weights


@given(MOMENTS, MOMENTS, st.integers(1, 5_000), st.sampled_from([20, 100, 440]))
def test_a_sample_has_the_first_requests_of_each_stretch(good, failed, end, most):
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as db:
        prepare(db)
        write_events(db, [event(START + at) for at in good])
        write_events(db, [event(START + at, status=500, failure=FAILURE) for at in failed])
        sample = read_sample(db, START, START + end, most, NO_ALIASES)
    wanted = [expected(moments, end, most // 2) for moments in (failed, good)]
    assert (sample.at_us - START).tolist() == [at for moments, _ in wanted for at in moments]
    assert sample.weight.tolist() == pytest.approx([each for _, weights in wanted for each in weights])
