"""The rows of single events by stretches of time: of one feature, those that failed, who met many errors at once."""

from __future__ import annotations

from bisect import bisect_left
from functools import cached_property

import numpy as np

from guardian.alerting.columns import Columns
from guardian.core.unlinked import is_unlinked
from tracker.event import ANONYMOUS

_STRETCHES = 12
"""So many windows of one history are sorted by feature each for itself."""


class Stretches:
    """The same columns, seen by stretches of time; what several rules ask for is worked out once."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    @cached_property
    def failed(self) -> np.ndarray:
        """Which rows of `columns` failed, in the order of time."""
        return np.flatnonzero(self.columns.failure >= 0)

    @cached_property
    def _of_features(self) -> dict[tuple[int, int], list[np.ndarray]]:
        """By the first and the last row of a stretch, the rows of each feature inside."""
        return {}

    def _by_feature(self, first: int, last: int) -> list[np.ndarray]:
        if (first, last) not in self._of_features:
            feature, number = self.columns.feature[first:last], len(self.columns.features)
            narrow = feature.astype(np.int16) if number < 2**15 else feature  # numpy sorts these by their digits
            order = np.argsort(narrow, kind="stable") + first
            ends = np.cumsum(np.bincount(feature, minlength=number))
            self._of_features[first, last] = np.split(order, ends[:-1]) if number else []
        return self._of_features[first, last]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.columns.features)}

    def rows(self, start_us: int, end_us: int, feature: str | None = None) -> np.ndarray | slice:
        """Which rows of `columns` lie in [start, end), of one feature or of all."""
        first, last = (int(row) for row in np.searchsorted(self.columns.at_us, (start_us, end_us)))
        if feature is None:
            return slice(first, last)
        code = self._places.get(feature)
        if code is None or first >= last:
            return slice(0, 0)
        if (0, len(self.columns)) not in self._of_features and len(self._of_features) < _STRETCHES:
            return self._by_feature(first, last)[code]
        # Many stretches: this is the past, minute by minute. All of it is sorted once.
        rows = self._by_feature(0, len(self.columns))[code]
        return rows[slice(*np.searchsorted(rows, (first, last)))]

    def failures_between(self, rows: slice) -> np.ndarray:
        """The rows of a stretch of `columns` that failed."""
        return self.failed[slice(*np.searchsorted(self.failed, (rows.start, rows.stop)))]

    def bursts(self, errors: int, window_us: int, start_us: int, end_us: int) -> dict[str, tuple[int, int]]:
        """The users for whom `errors` errors within `window_us` (both ends inclusive) were complete in [start, end):
        the times (µs) of the first and the last error of the newest such burst."""
        key = (errors, window_us)
        if key not in self._bursts:
            # One minute asks for little of the past; where more of them do, all of it is looked through once.
            self._bursts[key] = None
            first, last = np.searchsorted(self.columns.at_us, (start_us - window_us, end_us))
            at, who = _find_bursts(self.columns, self.failures_between(slice(first, last)), errors, window_us)
        else:
            found = self._bursts[key] or _find_bursts(self.columns, self.failed, errors, window_us)
            self._bursts[key] = at, who = found
        there = slice(bisect_left(at, start_us), bisect_left(at, end_us))
        return {user: (began, ended) for ended, (user, began) in zip(at[there], who[there], strict=True)}

    @cached_property
    def _bursts(self) -> dict[tuple[int, int], tuple[list[int], list[tuple[str, int]]] | None]:
        return {}


def _find_bursts(
    columns: Columns, failed: np.ndarray, errors: int, window_us: int
) -> tuple[list[int], list[tuple[str, int]]]:
    """Each error of these rows that completes a burst, in the order of time: when, and (whose, when it began)."""
    order = failed[np.argsort(columns.user[failed], kind="stable")]
    user, at = columns.user[order], columns.at_us[order]
    if len(at) < errors:
        return [], []
    last, first = slice(errors - 1, None), slice(None, len(at) - errors + 1)
    hits = np.flatnonzero((user[last] == user[first]) & (at[last] - at[first] <= window_us))
    found = sorted((int(at[i + errors - 1]), columns.users[user[i]], int(at[i])) for i in hits)
    found = [hit for hit in found if hit[1] != ANONYMOUS and not is_unlinked(hit[1])]
    return [ended for ended, _, _ in found], [(name, began) for _, name, began in found]
