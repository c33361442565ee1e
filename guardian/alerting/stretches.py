"""Single events by stretches of time: the rows of one feature, the failed ones, and the users who met many errors at
once."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

import numpy as np

from guardian.alerting.bursts import BurstSearch
from guardian.alerting.columns import MINUTE_US, Columns
from guardian.alerting.failed import STRETCHES, FailedRows
from guardian.alerting.users import OfUsers, People, Users
from tracker.event import ANONYMOUS

_LONGEST = 48
"""The bits that a duration in microseconds may take in a combined sort key: nine years."""


class Stretches:
    """Looks up `columns` by stretches of time, and remembers what several rules ask for."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self._counted: tuple[tuple[int, int], tuple[np.ndarray, np.ndarray]] | None = None
        self._last = 0, 0, slice(0, 0)  # the latest answer of `stretch`
        self._counted_users: tuple[tuple[int, int, int] | None, Users] = None, Users(np.empty(0, np.int64), ())
        self._named = 0  # so many of the users are known to be somebody

    @cached_property
    def failed(self) -> FailedRows:
        """The failed rows of `columns`."""
        return FailedRows(self.columns)

    @cached_property
    def failed_of(self) -> OfUsers:
        """The failed rows, grouped by user."""
        return OfUsers(self.columns, self.failed.every)

    @cached_property
    def searched(self) -> BurstSearch:
        """Who met many errors at once."""
        return BurstSearch(self)

    @cached_property
    def people(self) -> People:
        """Where the users stand in `columns.users`."""
        return People(self.columns.users)

    @cached_property
    def _of_features(self) -> dict[tuple[int, int], list[np.ndarray]]:
        """For the stretch of rows [first, last), the rows of each feature."""
        return {}

    def _by_feature(self, first: int, last: int) -> list[np.ndarray]:
        if (first, last) not in self._of_features:
            feature, number = self.columns.feature[first:last], len(self.columns.features)
            narrow = feature.astype(np.int16) if number < 2**15 else feature  # numpy uses a radix sort for these
            order = np.argsort(narrow, kind="stable") + first
            ends = np.cumsum(np.bincount(feature, minlength=number))
            self._of_features[first, last] = np.split(order, ends[:-1]) if number else []
        return self._of_features[first, last]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.columns.features)}

    def stretch(self, start_us: int, end_us: int) -> slice:
        """The rows of `columns` in [start, end), of all features. Often the same one is asked for again and again."""
        known = self._last
        if known[:2] != (start_us, end_us):
            first, last = np.searchsorted(self.columns.at_us, (start_us, end_us))
            known = self._last = start_us, end_us, slice(int(first), max(int(first), int(last)))
        return known[2]

    def rows(self, start_us: int, end_us: int, feature: str | None = None) -> np.ndarray | slice:
        """The rows of `columns` in [start, end), of one feature or of all."""
        stretch = self.stretch(start_us, end_us)
        first, last = stretch.start, stretch.stop
        if feature is None:
            return stretch
        code = self._places.get(feature)
        if code is None or first >= last:
            return slice(0, 0)
        if (0, len(self.columns)) not in self._of_features and len(self._of_features) < STRETCHES:
            return self._by_feature(first, last)[code]
        # Many stretches mean that the past is judged minute by minute: sort all of it once.
        rows = self._by_feature(0, len(self.columns))[code]
        return rows[slice(*np.searchsorted(rows, (first, last)))]

    def users(self, rows: np.ndarray | slice, lowest: int = 0) -> Users:
        """The users of these rows, without anonymous ones. With `lowest`, only rows with at least that outcome. The
        latest answer is kept, since several incidents ask for the same stretch in a row."""
        key = (rows.start, rows.stop, lowest) if isinstance(rows, slice) else None
        if key is None or self._counted_users[0] != key:
            self._counted_users = key, self._users(rows, lowest)
        return self._counted_users[1]

    def _users(self, rows: np.ndarray | slice, lowest: int) -> Users:
        codes, names = self.columns.user[rows], self.columns.users
        there = np.zeros(len(names), dtype=bool)
        there[codes[self.columns.status[rows] >= lowest] if lowest else codes] = True
        there[self.nobody] = False
        return Users(np.flatnonzero(there), names)

    @cached_property
    def nobody(self) -> slice:
        """The index of the anonymous user in `columns.users`, in an array; empty where there are no anonymous
        requests."""
        names = self.columns.users
        place = names.index(ANONYMOUS, self._named) if ANONYMOUS in names[self._named :] else len(names)
        return slice(place, place + 1)

    def failures(self, rows: slice) -> tuple[np.ndarray, np.ndarray]:
        """See `FailedRows.counts`. The latest answer is kept."""
        key = (rows.start, rows.stop)
        if self._counted is None or self._counted[0] != key:
            self._counted = key, self.failed.counts(rows)
        return self._counted[1]

    def failure(self, what: tuple[str, str]) -> int | None:
        """The index of a (kind, place) in `columns.failures`; None for one that never came."""
        return self._failures.get(what)

    @cached_property
    def _failures(self) -> dict[tuple[str, str], int]:
        return {what: code for code, what in enumerate(self.columns.failures)}

    def good_us(self, start_us: int, end_us: int, feature: str) -> np.ndarray:
        """The durations (µs) of a feature's good requests in [start, end), ascending. Leaves out WebSockets (status
        101), which last by design, and requests that were not timed."""
        code, key = self._places.get(feature), (start_us, end_us)
        if code is None:
            return np.empty(0, dtype=np.int64)
        columns = self.columns
        if key not in self._good and len(self._good) >= STRETCHES:
            rows = self.rows(start_us, end_us, feature)
            found: np.ndarray = columns.duration_us[rows][_are_good(columns, rows)]
            found.sort()
            return found
        if key not in self._good:
            # Sorting feature and duration combined in one number is ten times as fast as sorting feature by feature.
            stretch = self.rows(start_us, end_us)
            took_us, longest = columns.duration_us[stretch], (1 << _LONGEST) - 1
            both = columns.feature[stretch].astype(np.int64)
            both <<= _LONGEST
            both |= took_us if took_us.max(initial=0) <= longest else np.minimum(took_us, longest)
            both = np.sort(both[_are_good(columns, stretch)])
            ends = np.searchsorted(both, np.arange(len(columns.features) + 1) << _LONGEST).tolist()
            both &= longest
            self._good[key] = both, ends
        durations, ends = self._good[key]
        return durations[ends[code] : ends[code + 1]]

    def timed(self, start_us: int, end_us: int, feature: str, over_us: float) -> tuple[int, int]:
        """How many good requests of [start, end) to a feature were timed, and how many of them took longer than
        `over_us`. Cheaper than `good_us`."""
        code, key = self._places.get(feature), (start_us, end_us, over_us)
        if code is None:
            return 0, 0
        if key not in self._timed:
            if start_us % MINUTE_US or end_us % MINUTE_US:
                counts = self._count_timed(start_us, end_us, over_us)
            else:
                counts = np.zeros((2, len(self.columns.features)), dtype=np.int64)
                for at_us in range(start_us, end_us, MINUTE_US):
                    minute = self._timed_minute(at_us, over_us)
                    counts[:, : minute.shape[1]] += minute
            self._timed.clear()
            self._timed[key] = counts.tolist()
        every, slow_ones = self._timed[key]
        return every[code], slow_ones[code]

    def _timed_minute(self, at_us: int, over_us: float) -> np.ndarray:
        """`_count_timed` for one minute, remembered for this history and those grown from it."""
        minutes = self._minutes.setdefault(over_us, {})
        if at_us not in minutes:
            minutes[at_us] = self._count_timed(at_us, at_us + MINUTE_US, over_us)
        return minutes[at_us]

    def _count_timed(self, start_us: int, end_us: int, over_us: float) -> np.ndarray:
        """Two rows, by feature: how many good requests of [start, end) were timed, and how many of them took longer
        than `over_us`."""
        columns, rows = self.columns, self.rows(start_us, end_us)
        number, features, size = _are_good(columns, rows), columns.feature[rows], len(columns.features)
        slow = np.flatnonzero(columns.duration_us[rows] > over_us)
        counted = features[number], features[slow[number[slow]]]
        return np.stack([np.bincount(each, minlength=size) for each in counted])

    @cached_property
    def _timed(self) -> dict[tuple[int, int, float], list[list[int]]]:
        return {}

    @cached_property
    def _minutes(self) -> dict[float, dict[int, np.ndarray]]:
        return {}

    def follow(self, before: Stretches, late: Collection[int]) -> None:
        """Take over the counts of single minutes from the history that this one was grown from, except for minutes
        (since 1970) that have gained events."""
        if before.columns.features is not self.columns.features:
            return  # features may have other numbers
        if before.columns.users is self.columns.users:
            if "searched" in before.__dict__ and not late:
                self.searched.follow(before.searched)
            self.people = before.people
            self._named = before.nobody.start if "nobody" in before.__dict__ else 0
        first_us = int(self.columns.at_us[0]) if len(self.columns) else 0
        self.failed.follow(before.failed, late)
        gone = {minute * MINUTE_US for minute in late}
        for over_us, minutes in before._minutes.items():
            self._minutes[over_us] = {at: each for at, each in minutes.items() if at >= first_us and at not in gone}

    @cached_property
    def _good(self) -> dict[tuple[int, int], tuple[np.ndarray, list[int]]]:
        """For each (start, end): the durations sorted by feature, and where each feature's begin."""
        return {}

    def good_rows(self, feature: str) -> np.ndarray:
        """The rows of a feature's requests whose durations `good_us` gives."""
        code = self._places.get(feature)
        rows = self._by_feature(0, len(self.columns))[code] if code is not None else np.empty(0, dtype=np.int64)
        found: np.ndarray = rows[_are_good(self.columns, rows)]
        return found


def _are_good(columns: Columns, rows: np.ndarray | slice) -> np.ndarray:
    status, took_us = columns.status[rows], columns.duration_us[rows]
    good: np.ndarray = (status < 400) & (status != 101) & (took_us >= 0)
    return good
