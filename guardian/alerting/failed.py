"""The failed rows of a history in any stretch of time. Each minute is searched once, however many longer stretches it
is a part of."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns

STRETCHES = 12
"""Up to this many stretches of a history are looked at one by one; beyond that, the whole history is, once."""
_LONGEST = 180
"""Stretches of at most this many minutes are searched minute by minute. That pays off where a history grows; a past of
weeks, which is read once, is searched faster as a whole."""


class FailedRows:
    """The rows of `columns` that failed, in order of time."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._stretches = dict[tuple[int, int], np.ndarray]()
        self._minutes = dict[int, np.ndarray]()
        """By minute (since 1970): its failed rows, counted from its first row."""
        self._counts = dict[int, tuple[np.ndarray, np.ndarray]]()
        """By minute: its `counts`."""

    @cached_property
    def every(self) -> np.ndarray:
        """All of them."""
        return self._find(0, len(self._columns))

    def between(self, rows: slice) -> np.ndarray:
        """Those in a stretch of `columns`."""
        key = (rows.start, rows.stop)
        if "every" in self.__dict__ or (len(self._stretches) >= STRETCHES and key not in self._stretches):
            return self.every[slice(*np.searchsorted(self.every, key))]
        if key not in self._stretches:
            self._stretches[key] = self._find(*key)
        return self._stretches[key]

    def counts(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """How often each failure (by its index in `columns.failures`) came in a stretch of `columns`, and how often as
        a server error."""
        edges = self._edges(rows.start, rows.stop)
        if "every" in self.__dict__ or edges is None or (edges[1][0], edges[1][-1]) != (rows.start, rows.stop):
            return self._counted(self.between(rows))
        minute, ends = edges
        size = len(self._columns.failures)
        counts = np.zeros((2, size), dtype=np.int64)
        for n in range(len(ends) - 1):
            if minute + n not in self._counts:
                self._counts[minute + n] = self._counted(self._of_minute(minute + n, *ends[n : n + 2]))
            for total, more in zip(counts, self._counts[minute + n], strict=True):
                total[: len(more)] += more
        return counts[0], counts[1]

    def _counted(self, failed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes, server = self._columns.failure[failed], self._columns.status[failed] >= 500
        size = len(self._columns.failures)
        return np.bincount(codes, minlength=size), np.bincount(codes[server], minlength=size)

    def follow(self, before: FailedRows, late: Collection[int]) -> None:
        """Take over the minutes of the history that this one was grown from, except those that have gained events
        (`late`) and those from before the first event."""
        at_us = self._columns.at_us
        first = int(at_us[0]) // MINUTE_US if len(at_us) else 0
        # Of the first minute, this history may have a part only.
        kept = [at for at in before._minutes if at > first and at not in late]
        self._minutes = {at: before._minutes[at] for at in kept}
        self._counts = {at: before._counts[at] for at in kept if at in before._counts}

    def _find(self, first: int, end: int) -> np.ndarray:
        edges = self._edges(first, end)
        if edges is None:
            return np.flatnonzero(self._columns.failure[first:end] >= 0) + first
        minute, ends = edges
        found = np.concatenate([self._of_minute(minute + n, *ends[n : n + 2]) for n in range(len(ends) - 1)])
        return found[slice(*np.searchsorted(found, (first, end)))]

    def _edges(self, first: int, end: int) -> tuple[int, list[int]] | None:
        """The minute of the first of these rows, and where it and each later one of them begin, with the end of the
        last; None where there are no rows, or too many minutes."""
        at_us = self._columns.at_us
        if first >= end:
            return None
        minute, last = int(at_us[first]) // MINUTE_US, int(at_us[end - 1]) // MINUTE_US
        if last - minute > _LONGEST:
            return None
        return minute, np.searchsorted(at_us, np.arange(minute, last + 2) * MINUTE_US).tolist()

    def _of_minute(self, minute: int, first: int, end: int) -> np.ndarray:
        if minute not in self._minutes:
            self._minutes[minute] = np.flatnonzero(self._columns.failure[first:end] >= 0)
        return self._minutes[minute] + first
