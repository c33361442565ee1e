"""Latencies by bin in arrays. A route has hundreds of bins; a dictionary of them is made only where one is looked
up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate, islice, pairwise
from math import ceil

import numpy as np

from guardian.core.summary import middle_ms

_LEAST = -1
"""The lowest bin that `bin_of` gives."""
_NONE = np.zeros(0, np.int64)


class Histogram(Mapping[int, int]):
    """How many latencies fell into each bin, made of the bins, ascending, and their counts. Equal to a dictionary with
    the same items."""

    def __init__(self, slots: np.ndarray, counts: np.ndarray) -> None:
        self.slots, self.counts = slots, counts

    def __len__(self) -> int:
        return len(self.slots)

    def __iter__(self) -> Iterator[int]:
        return iter(self._bins)

    def __getitem__(self, slot: int) -> int:
        return self._bins[slot]

    def __eq__(self, other: object) -> bool:
        return self._bins == (other._bins if isinstance(other, Histogram) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._bins)

    @cached_property
    def _bins(self) -> dict[int, int]:
        return dict(zip(self.slots.tolist(), self.counts.tolist(), strict=True))


def quantiles_of(histograms: Sequence[Mapping[int, int]], qs: Sequence[float]) -> list[float | None]:
    """Several quantiles of all these latencies together, in milliseconds, as `quantiles_ms` gives them of one
    dictionary."""
    return quantiles_of_each([histograms], qs)[0]


def quantiles_of_each(groups: Sequence[Sequence[Mapping[int, int]]], qs: Sequence[float]) -> list[list[float | None]]:
    """The same of each group of latencies, all of them looked up at once: numpy takes longer for each call than for
    the latencies of a group."""
    merged = list(map(_merged, groups))
    slots, counts = (np.concatenate([_NONE, *columns]) for columns in zip(*merged, (_NONE, _NONE), strict=True))
    sums = np.cumsum(counts)
    ends = accumulate(len(part) for part, _ in merged)
    until = [0, *(int(sums[end - 1]) if end else 0 for end in ends)]
    ranks = [low + max(1, ceil(q * (high - low))) for low, high in pairwise(until) if low < high for q in qs]
    values = map(middle_ms, slots[np.searchsorted(sums, ranks)].tolist())
    return [[*islice(values, len(qs))] if low < high else [None] * len(qs) for low, high in pairwise(until)]


def _merged(histograms: Sequence[Mapping[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """The bins of all these, ascending, and their counts."""
    parts = [each if isinstance(each, Histogram) else _of(each) for each in histograms if len(each)]
    if len(parts) == 1:
        return parts[0].slots, parts[0].counts
    if not parts:
        return _NONE, _NONE
    slots, counts = (np.concatenate(columns) for columns in zip(*((p.slots, p.counts) for p in parts), strict=True))
    sums = np.bincount(slots - _LEAST, weights=counts)  # floats, exact up to 2 ** 53
    found = np.flatnonzero(sums)
    return found + _LEAST, sums[found].astype(np.int64)


def _of(bins: Mapping[int, int]) -> Histogram:
    slots = sorted(bins)
    return Histogram(np.array(slots, np.int64), np.array([bins[slot] for slot in slots], np.int64))
