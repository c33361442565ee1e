"""How latencies were distributed through a window in SQLite. To be called inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np

from guardian.core.time import micros
from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.counts import runs
from guardian.stores.sqlite.totals import pieces, read_raw


def read_latencies(db: sqlite3.Connection, edges: Sequence[datetime]) -> list[dict[int, int]]:
    """Between each two neighbours of the edges, how many latencies fell into each bin. Raises WindowGone."""
    return [_between(db, micros(start), micros(end)) for start, end in pairwise(edges)]


def _between(db: sqlite3.Connection, start_us: int, end_us: int) -> dict[int, int]:
    bins: dict[int, int] = {}
    for span, at, until in runs(pieces(db, start_us, end_us)):
        if span:
            tables = [np.stack(t) for t in seals.columns(db, Part.DURATIONS, span, at, until, (1, 2))]
        else:
            tables = [read_raw(db, at, until).durations[:, 1:3].T]
        for slots, numbers in tables:
            for slot, number in zip(slots.tolist(), numbers.tolist(), strict=True):
                bins[slot] = bins.get(slot, 0) + number
    return bins
