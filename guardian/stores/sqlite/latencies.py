"""How latencies were distributed through a window in SQLite. To be called inside a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from guardian.core.time import micros
from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.counts import NOTHING
from guardian.stores.sqlite.covering import Piece, pieces_between, runs
from guardian.stores.sqlite.totals import read_raw

_LEAST = -1
"""The first bin (`bin_of`)."""


def read_latencies(db: sqlite3.Connection, edges: Sequence[datetime]) -> list[dict[int, int]]:
    """Between each two neighbours of the edges, how many latencies fell into each bin. Raises WindowGone."""
    times = [micros(edge) for edge in edges]
    return [_of(db, made) for made in pieces_between(db, times)]


def _of(db: sqlite3.Connection, made: Sequence[Piece]) -> dict[int, int]:
    found = [list(NOTHING.T[1:])]
    for span, at, until in runs(made):
        if span:
            found.append(seals.columns(db, Part.DURATIONS, span, at, until, (1, 2)))
        else:
            found.append(list(read_raw(db, at, until).durations.T[1:]))
    slots, numbers = (np.concatenate(columns) for columns in zip(*found, strict=True))
    sums = np.bincount(slots - _LEAST, weights=numbers)  # floats, exact up to 2 ** 53
    return {slot + _LEAST: int(sums[slot]) for slot in np.flatnonzero(sums).tolist()}
