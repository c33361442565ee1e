"""Latencies by bin in arrays. A route has hundreds of bins; a dictionary of them is made only where one is looked
up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from math import ceil

import numpy as np

from guardian.core.summary import middle_ms

_LEAST = -1
"""The lowest bin that `bin_of` gives."""


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
    parts = [each if isinstance(each, Histogram) else _of(each) for each in histograms if len(each)]
    if not parts:
        return [None] * len(qs)
    slots, counts = (np.concatenate(columns) for columns in zip(*((p.slots, p.counts) for p in parts), strict=True))
    sums = np.cumsum(np.bincount(slots - _LEAST, weights=counts))  # floats, exact up to 2 ** 53
    if not sums[-1]:
        return [None] * len(qs)
    places = np.searchsorted(sums, [max(1, ceil(q * int(sums[-1]))) for q in qs])
    return [middle_ms(place + _LEAST) for place in places.tolist()]


def _of(bins: Mapping[int, int]) -> Histogram:
    return Histogram(*(np.fromiter(column, np.int64, len(bins)) for column in (bins.keys(), bins.values())))
