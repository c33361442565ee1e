"""The failed rows of a history by stretches of time; those of a minute are looked for once, however often it is judged
as a part of a longer stretch."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns

STRETCHES = 12
"""Up to this many stretches of a history are looked at one by one; with more, all of it is once."""
_LONGEST = 180
"""In stretches of up to so many minutes the rows are looked for minute by minute. That pays off where a history grows:
for a past of weeks that is read once, it would take longer than one look at all of it."""


class FailedRows:
    """The rows of `columns` that failed, in order of time."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._stretches = dict[tuple[int, int], np.ndarray]()
        self._minutes = dict[int, np.ndarray]()
        """By minute (since 1970), counted from the first row of the minute."""

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

    def follow(self, before: FailedRows, late: Collection[int]) -> None:
        """Take over the minutes of the history that this one was grown from, except for those that have gained events.
        Those from before the first event are forgotten."""
        at_us = self._columns.at_us
        first = int(at_us[0]) // MINUTE_US if len(at_us) else 0
        # Of the first minute, this history may have a part only.
        self._minutes = {at: each for at, each in before._minutes.items() if at > first and at not in late}

    def _find(self, first: int, end: int) -> np.ndarray:
        at_us = self._columns.at_us
        if first >= end:
            return np.empty(0, dtype=np.int64)
        minute, last = int(at_us[first]) // MINUTE_US, int(at_us[end - 1]) // MINUTE_US
        if last - minute > _LONGEST:
            return np.flatnonzero(self._columns.failure[first:end] >= 0) + first
        edges = np.searchsorted(at_us, np.arange(minute, last + 2) * MINUTE_US).tolist()
        parts = [self._of_minute(minute + n, *edges[n : n + 2]) for n in range(last + 1 - minute)]
        found = np.concatenate(parts)
        return found[slice(*np.searchsorted(found, (first, end)))]

    def _of_minute(self, minute: int, first: int, end: int) -> np.ndarray:
        if minute not in self._minutes:
            self._minutes[minute] = np.flatnonzero(self._columns.failure[first:end] >= 0)
        return self._minutes[minute] + first
