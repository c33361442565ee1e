"""Users by their places in a list of names, so that many are counted and compared without looking up any name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from heapq import nsmallest
from typing import TypeVar

import numpy as np

from guardian.alerting.columns import Columns
from guardian.core.unlinked import is_unlinked
from tracker.event import ANONYMOUS

T = TypeVar("T")


class Users(Set[str]):
    """Some users: those at these places (ascending, each once) of a list that holds each name once. A set of names to
    whoever asks for no more than that; the list may grow at its end."""

    __slots__ = ("_there", "codes", "names")

    def __init__(self, codes: np.ndarray, names: Sequence[str]) -> None:
        self.codes, self.names = codes, names
        self._there: frozenset[str] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        return map(self.names.__getitem__, self.codes.tolist())

    def __contains__(self, name: object) -> bool:
        if self._there is None:
            self._there = frozenset(self)
        return name in self._there

    @classmethod
    def _from_iterable(cls, it: Iterable[T]) -> Set[T]:  # what `-` and the like are made of
        return set(it)


class People:
    """The places of names in a list that may grow at its end; each name is looked at once."""

    __slots__ = ("_names", "_nobodies", "_places")

    def __init__(self, names: Sequence[str]) -> None:
        self._names, self._places, self._nobodies = names, dict[str, int](), list[int]()

    def place(self, name: str) -> int:
        """The place of a name; -1 for one that is not there."""
        self._learn()
        return self._places.get(name, -1)

    def nobodies(self) -> Sequence[int]:
        """The places of those who are no people: anonymous or erased."""
        self._learn()
        return self._nobodies

    def _learn(self) -> None:
        for place in range(len(self._places), len(self._names)):
            name = self._names[place]
            self._places[name] = place
            if name == ANONYMOUS or is_unlinked(name):
                self._nobodies.append(place)


class Gathered:
    """Users who are added again and again: how many there are, and the first few by name (`first`)."""

    __slots__ = ("_few", "_known", "_names", "_others", "_placed", "first")

    def __init__(self, few: int) -> None:
        self.first: tuple[str, ...] = ()
        self._few, self._placed = few, 0
        self._names: Sequence[str] = ()
        self._known, self._others = np.zeros(0, dtype=bool), set[str]()

    def __len__(self) -> int:
        return self._placed + len(self._others)

    def add(self, users: Set[str]) -> None:
        """Add those of them who are not there yet."""
        if new := self._placed_new(users) if isinstance(users, Users) else self._named_new(users):
            # None of the new ones is there twice, so a set of all of them is not needed: they may be everybody.
            self.first = tuple(sorted({*self.first, *nsmallest(self._few, new)})[: self._few])

    def _placed_new(self, users: Users) -> list[str]:
        if self._names is not users.names:  # places in another list say nothing here
            self._others.update(self._placed_names())
            self._names, self._placed, self._known = users.names, 0, np.zeros(0, dtype=bool)
        if len(self._known) < len(users.names):
            more = np.zeros(len(users.names) - len(self._known), dtype=bool)
            self._known = np.concatenate((self._known, more))
        codes = users.codes[~self._known[users.codes]]
        self._known[codes] = True
        self._placed += len(codes)
        new = [users.names[code] for code in codes.tolist()]
        self._others.difference_update(new if self._others else ())
        return new

    def _named_new(self, users: Set[str]) -> Set[str]:
        new = users - self._others
        if new and self._placed:
            new = new - set(self._placed_names())
        self._others |= new
        return new

    def _placed_names(self) -> Iterable[str]:
        return map(self._names.__getitem__, np.flatnonzero(self._known).tolist())


class OfUsers:
    """Some rows of `columns` (ascending), grouped by user: sorted once, for many look-ups. With `fewest`, only those of
    users who have so many. `rows` are in the order of the users' indices, which `users` gives, and of time."""

    def __init__(self, columns: Columns, rows: np.ndarray, fewest: int = 1) -> None:
        user = columns.user[rows]
        if fewest > 1:
            many = np.bincount(user, minlength=1)[user] >= fewest
            rows, user = rows[many], user[many]
        # The user and the place in one number: a plain sort of it is stable, and the fastest that there is.
        both = np.sort(user.astype(np.int64) << 32 | np.arange(len(rows)))
        self.rows, self.users = rows[both & 0xFFFFFFFF], (both >> 32).astype(user.dtype)

    def between(self, user: int, rows: slice) -> np.ndarray:
        """The rows of this user (by index) that lie in the slice, ascending."""
        mine = self.rows[slice(*np.searchsorted(self.users, np.array((user, user + 1), dtype=self.users.dtype)))]
        return np.asarray(mine[slice(*np.searchsorted(mine, (rows.start, rows.stop)))])
