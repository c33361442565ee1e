"""Who met many errors within a short time, from the rows that failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from guardian.alerting.columns import Columns
from guardian.alerting.users import OfUsers, People

if TYPE_CHECKING:
    from guardian.alerting.stretches import Stretches


@dataclass(frozen=True, slots=True)
class Bursts:
    """Some bursts of errors, as arrays with one number for each: whose it is (the index in `names`), and when (µs) its
    first error came and the one that completed it. They go round as (name, first, last)."""

    names: list[str]
    user: np.ndarray
    began_us: np.ndarray
    ended_us: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    def __iter__(self) -> Iterator[tuple[str, int, int]]:
        names = map(self.names.__getitem__, self.user.tolist())
        return zip(names, self.began_us.tolist(), self.ended_us.tolist(), strict=True)

    def only(self, which: np.ndarray | slice) -> Bursts:
        """Those at these places, in this order."""
        return Bursts(self.names, self.user[which], self.began_us[which], self.ended_us[which])

    def between(self, start_us: int, end_us: int) -> Bursts:
        """Those that were complete in [start, end), of bursts in order of time."""
        return self.only(slice(*np.searchsorted(self.ended_us, (start_us, end_us))))

    def followed(self, later: Bursts) -> Bursts:
        """These, then `later` ones, whose users have the same numbers."""
        pairs = ((self.user, later.user), (self.began_us, later.began_us), (self.ended_us, later.ended_us))
        return Bursts(self.names, *map(np.concatenate, pairs))

    def newest(self) -> Bursts:
        """The newest one of each user, of bursts in order of time: in the order in which each user's first one of these
        was complete, then by name."""
        if not len(self):
            return self
        user, first = np.unique(self.user, return_index=True)
        _, last = np.unique(self.user[::-1], return_index=True)
        at = self.ended_us[first]
        order = np.argsort(at, kind="stable")
        if np.any(np.diff(at[order]) == 0):
            names = [self.names[code] for code in user.tolist()]
            order = np.array(sorted(range(len(user)), key=lambda n: (at[n], names[n])))
        return self.only((len(self) - 1 - last)[order])


def find_bursts(columns: Columns, failed: OfUsers, errors: int, window_us: int, people: People) -> Bursts:
    """A burst for each of these errors that completes one, in order of time; only of `people` who are somebody."""
    user, at = failed.users, columns.at_us[failed.rows]
    if len(at) < errors:
        nothing = np.empty(0, dtype=np.int64)
        return Bursts(columns.users, nothing, nothing, nothing)
    last, first = slice(errors - 1, None), slice(None, len(at) - errors + 1)
    hits = np.flatnonzero((user[last] == user[first]) & (at[last] - at[first] <= window_us))
    # Whoever is somebody is found out by looking at each name, so not before anybody has a burst.
    hits = hits[~np.isin(user[hits], people.nobodies())] if len(hits) else hits
    hits = hits[np.argsort(at[hits + errors - 1], kind="stable")]
    return Bursts(columns.users, user[hits], at[hits], at[hits + errors - 1])


class BurstSearch:
    """Searches stretches of time for bursts, and remembers what was found."""

    def __init__(self, stretches: Stretches) -> None:
        self._stretches, self._columns = stretches, stretches.columns
        self._found: dict[tuple[int, int], Bursts | None] = {}
        # The rows that were searched last, and by user the failed ones of those who have enough of them.
        self._searched: dict[tuple[int, int], slice] = {}
        self._errors: dict[tuple[int, int], OfUsers] = {}
        # Start, end, and the bursts completed in [start, end): the history that grows from this one begins with them.
        self._known: dict[tuple[int, int], tuple[int, int, Bursts]] = {}

    def every(self, errors: int, window_us: int) -> Bursts:
        """A burst for each error that completes one, in order of time: `errors` errors of one user within `window_us`,
        both ends inclusive. Searched once."""
        key = (errors, window_us)
        if (found := self._found.get(key)) is None:
            self._searched[key] = slice(0, len(self._columns))
            self._errors.pop(key, None)
            found = self._found[key] = self._in(self._grouped(key), *key)
        return found

    def bursts(self, errors: int, window_us: int, start_us: int, end_us: int) -> Bursts:
        """The users with a burst that was complete in [start, end), each with the newest one."""
        key = (errors, window_us)
        if key not in self._found:
            # A single minute needs little of the past; when more minutes ask, all of it is searched once.
            self._found[key] = None
            self._searched[key] = self._stretches.stretch(start_us - window_us, end_us)
            found = self._lately(key, start_us, end_us)
            self._known[key] = start_us, end_us, found
        else:
            found = self.every(*key)
        return found.between(start_us, end_us).newest()

    def follow(self, before: BurstSearch) -> None:
        """Take over the bursts found in the history that this one was grown from, where nothing came late."""
        self._known = dict(before._known)

    def _lately(self, key: tuple[int, int], start_us: int, end_us: int) -> Bursts:
        """The bursts completed in [start, end), in order of time. Where the history before this one has found some of
        them, only the time since then is searched."""
        known_us, until_us, known = self._known.get(key, (end_us, start_us, None))
        if known is None or not known_us <= start_us <= until_us <= end_us:
            return self._in(self._grouped(key), *key).between(start_us, end_us)
        # Whoever has completed a burst since then has met an error since then.
        columns, failed = self._columns, self._stretches.failed
        rows = failed.between(self._stretches.stretch(until_us - key[1], end_us))
        there = np.zeros(len(columns.users), dtype=bool)
        there[columns.user[failed.between(self._stretches.stretch(until_us, end_us))]] = True
        grouped = OfUsers(columns, rows[there[columns.user[rows]]], key[0])
        new = self._in(grouped, *key).between(until_us, end_us)
        return known.between(start_us, until_us).followed(new)

    def _in(self, grouped: OfUsers, errors: int, window_us: int) -> Bursts:
        return find_bursts(self._columns, grouped, errors, window_us, self._stretches.people)

    def _grouped(self, key: tuple[int, int]) -> OfUsers:
        """The failed rows where it was searched last, by user."""
        if key not in self._errors:
            rows = self._stretches.failed.between(self._searched[key])
            self._errors[key] = OfUsers(self._columns, rows, key[0])
        return self._errors[key]

    def errors_of(self, user: str, start_us: int, end_us: int, errors: int, window_us: int) -> np.ndarray:
        """When (µs) a user met errors in [start, end), in order: one of whom `bursts` found a burst in that time. Where
        it searched all of it, nothing is sorted anew."""
        key = (errors, window_us)
        first, last = np.searchsorted(self._columns.at_us, (start_us, max(start_us, end_us)))
        enough = key in self._searched and first >= self._searched[key].start
        grouped = self._grouped(key) if enough else self._stretches.failed_of
        rows = grouped.between(self._stretches.people.place(user), slice(int(first), int(last)))
        found: np.ndarray = self._columns.at_us[rows]
        return found
