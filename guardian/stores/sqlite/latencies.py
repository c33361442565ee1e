"""Latency histograms of a window in SQLite. Call it inside a transaction."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise

import numpy as np

from guardian.core.summary import bin_of
from guardian.core.time import micros
from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.counts import NOTHING
from guardian.stores.sqlite.covering import Cover, Piece, runs
from guardian.stores.sqlite.seals import Run
from guardian.stores.sqlite.totals import read_raw

_LEAST = -1
_BINS = bin_of(2**63 - 1) - _LEAST + 1
"""The first bin (`bin_of`), and the number of bins."""


Sums = Mapping[Piece, np.ndarray]
"""How many latencies of a piece fell into each bin, in order; floats, exact up to 2 ** 53."""


def read_latencies(db: sqlite3.Connection, edges: Sequence[datetime]) -> list[dict[int, int]]:
    """Between each two neighbouring edges, how many latencies fell into each bin. Raises WindowGone."""
    times = [micros(edge) for edge in edges]
    cover = Cover(db, [(times[0], times[-1])])
    return latencies_of(db, times, cover, cover.pieces(times[0], times[-1]), {})


def latencies_of(
    db: sqlite3.Connection, times: Sequence[int], cover: Cover, made: Sequence[Piece], known: Sums
) -> list[dict[int, int]]:
    """The same, given the pieces (`made`) of the whole window; pieces in `known` are not read again. A bucket that
    contains one edge is counted as a whole, and the shorter part on one side of the edge is subtracted: thirty days in
    a zone one hour ahead take 31 days and 31 hours, not 720 hours.
    """
    torn = dict(_torn(times, made))
    if not torn:
        return [_as_bins(_sums(db, inside, known)) for inside in cover.between(times, made)]
    parts = {at: _beside(db, cover, piece, at, known) for at, piece in torn.items()}
    found = []
    for first, last in pairwise(times):
        low, high = torn[first].end if first in torn else first, torn[last].start if last in torn else last
        sums = _sums(db, cover.between((low, high), made)[0] if low < high else [], known)
        sums = sums + parts[first][1] if first in torn else sums
        sums = sums + parts[last][0] if last in torn else sums
        found.append(_as_bins(sums))
    return found


def sums_of(made: Sequence[Piece], durations: Sequence[Run]) -> dict[Piece, np.ndarray]:
    """The histogram of each of these pieces, whose part DURATIONS was read."""
    found: dict[Piece, np.ndarray] = {piece: np.zeros(_BINS) for piece in made}
    piece_at = {piece.start: piece for piece in made}
    for starts, (_, slots, numbers), edges in durations:
        rows = np.repeat(np.arange(len(starts)), np.diff(edges))
        places, size = rows * _BINS + (slots - _LEAST), len(starts) * _BINS
        counts: np.ndarray = np.bincount(places, weights=numbers, minlength=size)
        for start, sums in zip(starts, counts.reshape(-1, _BINS), strict=True):
            found[piece_at[start]] = sums
    return found


def _as_bins(sums: np.ndarray) -> dict[int, int]:
    return {slot + _LEAST: int(sums[slot]) for slot in np.flatnonzero(sums).tolist()}


def _torn(times: Sequence[int], made: Sequence[Piece]) -> Iterator[tuple[int, Piece]]:
    """The edges that are the only one inside their sealed bucket, each with that bucket."""
    for piece in made:
        inside = times[bisect_right(times, piece.start) : bisect_left(times, piece.end)]
        if piece.span and len(inside) == 1:
            yield inside[0], piece


def _beside(db: sqlite3.Connection, cover: Cover, piece: Piece, at: int, known: Sums) -> tuple[np.ndarray, np.ndarray]:
    """The histograms of a bucket before and after an edge inside it."""
    whole, early = _sums(db, [piece], known), at - piece.start <= piece.end - at
    part = _sums(db, cover.pieces(piece.start, at) if early else cover.pieces(at, piece.end), {})
    return (part, whole - part) if early else (whole - part, part)


def _sums(db: sqlite3.Connection, made: Sequence[Piece], known: Sums) -> np.ndarray:
    """The histogram of all these pieces together."""
    if made and all(piece in known for piece in made):
        together: np.ndarray = sum((known[piece] for piece in made[1:]), known[made[0]])
        return together
    found = [list(NOTHING.T[1:])]
    for span, at, until in runs(made):
        if span:
            found.append(seals.columns(db, Part.DURATIONS, span, at, until, (1, 2)))
        else:
            found.append(list(read_raw(db, at, until).durations.T[1:]))
    slots, numbers = (np.concatenate(columns) for columns in zip(*found, strict=True))
    return np.bincount(slots - _LEAST, weights=numbers, minlength=_BINS)
