"""Everybody who was there in a window, as columns: searched, sorted and paged by the ten thousand. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from guardian.core.off_loop import sorted_pieces
from guardian.core.summary import Summary, active_minutes
from tracker.event import ANONYMOUS

BACK = timedelta(days=30)
"""A person not seen for this long before the window is new in it."""
AWAY_US = 7 * 86_400_000_000
"""A person who had stayed away for this long (µs) has come back."""
KINDS = ("", "new", "returned")
SORTS = ("name", "requests", "errors", "time", "seen")
GROUPS = ("", "new", "returned", "hit")
_ALL = slice(None)


class Person(NamedTuple):
    """One person's part of a window. `last_us` is when their last request was, `features` how many they used; `kind` is
    one of KINDS, "" where nobody knows, or where it is neither."""

    name: str
    requests: int
    errors: int
    minutes: int
    last_us: int
    features: int
    kind: str = ""


@dataclass(frozen=True)
class Roster:
    """Everybody who was there in a window: the same place in each column is the same person. Nobody in particular is no
    person.

    `kinds` are places in KINDS. `features` are names, and each of `used` says that the person at the place
    `used // len(features)` used the feature at the place `used % len(features)`; each pair is there once.
    """

    names: Sequence[str]
    requests: np.ndarray
    errors: np.ndarray
    minutes: np.ndarray
    last_us: np.ndarray
    kinds: np.ndarray
    features: Sequence[str]
    used: np.ndarray

    @classmethod
    def of(cls, summary: Summary, start_us: int, before: Mapping[str, int]) -> Roster:
        """The same from a summary of the window, which begins at `start_us`.

        `before` says when each was last there before it (µs); where it is empty, nobody knows who is new.
        """
        users = {name: user for name, user in summary.users.items() if name != ANONYMOUS}
        features = sorted({feature for user in users.values() for feature in user.features})
        place = {feature: at for at, feature in enumerate(features)}
        kinds = [kind_of(user.first_start_us, before.get(name)) if before else 0 for name, user in users.items()]
        used = [at * len(features) + place[name] for at, user in enumerate(users.values()) for name in user.features]
        rows = [(user.requests, user.errors, active_minutes(user, start_us), user.last_us) for user in users.values()]
        requests, errors, minutes, last_us = np.array(rows, np.int64).reshape(-1, 4).T
        columns = (requests, errors, minutes, last_us, np.array(kinds, np.int64))
        return cls(list(users), *columns, features, np.array(sorted(used), np.int64))

    def __len__(self) -> int:
        return len(self.names)

    def number(self, group: str) -> int:
        """How many belong to one of GROUPS."""
        return int(np.count_nonzero(self._of_group(group)))

    def found(self, *, search: str = "", group: str = "", feature: str = "") -> np.ndarray:
        """The places of those whose name holds `search`, in whatever case, of one of GROUPS, who used the feature ("":
        of all)."""
        found = self._of_group(group)
        if wanted := search.strip().casefold():
            found &= np.fromiter((wanted in name for name in self._folded), bool, len(self))
        if feature:
            users = np.zeros(len(self), bool)
            if feature in self.features:
                users[self._pairs[0][self._pairs[1] == self.features.index(feature)]] = True
            found &= users
        return np.flatnonzero(found)

    def ordered(self, places: np.ndarray, sort: str = "requests", shown: slice = _ALL) -> np.ndarray:
        """These places in the order of one of SORTS, those who are alike by requests, then by name; of the whole order
        the part that is shown. Names are compared of those alone who are alike where it lies: all take 50 ms."""
        begin, end, _ = shown.indices(len(places))
        keys = [self._by_name[places] if sort == "name" else -self.requests[places]]
        if sort not in ("name", "requests"):
            keys.append(-{"errors": self.errors, "time": self.minutes, "seen": self.last_us}[sort][places])
        order = np.lexsort(keys)
        differ = np.ones(len(places) + 1, bool)  # from the one before; behind the last is another
        differ[1:-1] = np.logical_or.reduce([np.diff(key[order]) != 0 for key in keys])
        edges = np.flatnonzero(differ)
        first, last = np.searchsorted(edges, (begin, end), side="right")
        alike = edges[max(first - 1, 0) : last + 1].tolist()
        ordered: np.ndarray = places[order]
        for a, b in pairwise(alike):
            if b - a > 1:
                ordered[a:b] = sorted_pieces(ordered[a:b].tolist(), self._spelled)
        return ordered[begin:end]

    @cached_property
    def _by_name(self) -> np.ndarray:
        """The rank of each by name, whatever the case."""
        rank = np.empty(len(self), np.int64)
        rank[sorted_pieces(range(len(self)), self._spelled)] = np.arange(len(self))
        return rank

    def _spelled(self, at: int) -> tuple[str, str]:
        return self.names[at].casefold(), self.names[at]

    def rows(self, places: np.ndarray) -> list[Person]:
        """The people at these places."""
        columns = (self.requests, self.errors, self.minutes, self.last_us, self._used_by, self.kinds)
        return [
            Person(self.names[at], requests, errors, minutes, last_us, features, KINDS[kind])
            for at, requests, errors, minutes, last_us, features, kind in zip(
                places.tolist(), *(column[places].tolist() for column in columns), strict=True
            )
        ]

    def _of_group(self, group: str) -> np.ndarray:
        if group == "hit":
            return self.errors > 0
        found: np.ndarray = self.kinds == KINDS.index(group) if group else np.ones(len(self), bool)
        return found

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        people, features = np.divmod(self.used, max(len(self.features), 1))
        return people, features

    @cached_property
    def _used_by(self) -> np.ndarray:
        return np.bincount(self._pairs[0], minlength=len(self))

    @cached_property
    def _folded(self) -> list[str]:
        return [name.casefold() for name in self.names]


def kind_of(first_start_us: int, last_us: int | None) -> int:
    """The place in KINDS of somebody whose first request of a window began then, and who was last there before it at
    `last_us`; None: not in the time that is looked back on."""
    if last_us is None:
        return KINDS.index("new")
    return KINDS.index("returned") if first_start_us - last_us >= AWAY_US else 0
