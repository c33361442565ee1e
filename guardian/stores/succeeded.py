"""Who has successfully used a feature since a moment: from sealed summaries where they suffice, otherwise from single
requests. Pure: the store supplies the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from guardian.core.counting import distinct


class Spell(Protocol):
    """A part of a window, [start, end), µs."""

    @property
    def start(self) -> int:
        """Where it begins."""
        ...

    @property
    def end(self) -> int:
        """Where it ends."""
        ...


P = TypeVar("P", bound=Spell)
HOUR_US = 3600 * 1_000_000


class Hour(NamedTuple):
    """A part of a window of at most an hour: a `Spell`."""

    start: int
    end: int


def hours(start_us: int, end_us: int) -> list[Hour]:
    """[start, end) split into hours, in order."""
    return [Hour(first, min(first + HOUR_US, end_us)) for first in range(start_us, end_us, HOUR_US)]


class Counted(NamedTuple):
    """What a summary counts: the requests and failures of each person, and the requests of each person by feature.
    People and features are indices into those asked for, -1 for any other."""

    people: np.ndarray
    requests: np.ndarray
    errors: np.ndarray
    users: np.ndarray
    features: np.ndarray
    used: np.ndarray


class Summaries(Protocol[P]):
    """What a store has for a window: summaries for some parts, single requests for others."""

    def pieces(self, start_us: int, end_us: int) -> Sequence[P]:
        """The parts of the window, in order."""
        ...

    def inside(self, piece: P) -> Sequence[P]:
        """The shorter parts inside a summarised one, in order."""
        ...

    def counted(self, piece: P) -> Counted | None:
        """The summary of a part; None if it has single requests instead."""
        ...

    def good(self, piece: P, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The good single requests of these people (and maybe of others): times (µs), people, features, as above."""
        ...


Good = Callable[[int, int, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""The single requests in [start, end), µs, as `Summaries.good` gives them."""


class Singles:
    """`Summaries` without any summary: only single requests, which `good` reads an hour at a time."""

    def __init__(self, good: Good) -> None:
        self._good = good

    def pieces(self, start_us: int, end_us: int) -> Sequence[Hour]:
        """See Summaries."""
        return hours(start_us, end_us)

    def inside(self, piece: Hour) -> Sequence[Hour]:
        """See Summaries: there are no summaries."""
        return ()

    def counted(self, piece: Hour) -> None:
        """See Summaries."""

    def good(self, piece: Hour, people: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """See Summaries."""
        return self._good(piece.start, piece.end, people)


@dataclass(frozen=True, slots=True)
class Asked:
    """The pairs asked for, each with a moment (µs), as arrays. `person` and `feature` are indices into `people` and
    `features`; `keys` combine both in one number, ascending and distinct."""

    people: Sequence[str]
    features: Sequence[str]
    person: np.ndarray
    feature: np.ndarray
    since_us: np.ndarray
    keys: np.ndarray

    @classmethod
    def of(cls, since: Mapping[tuple[str, str], int]) -> Asked:
        """From a mapping of (person, feature) to moments."""
        people = {name: n for n, name in enumerate(dict.fromkeys(name for name, _ in since))}
        features = {name: n for n, name in enumerate(dict.fromkeys(name for _, name in since))}
        person = np.array([people[name] for name, _ in since], np.int64)
        feature = np.array([features[name] for _, name in since], np.int64)
        keys = person * max(len(features), 1) + feature
        order = np.argsort(keys)
        moments = np.array(list(since.values()), np.int64)[order]
        return cls(list(people), list(features), person[order], feature[order], moments, keys[order])

    def places(self, people: np.ndarray, features: np.ndarray) -> np.ndarray:
        """The index among the pairs asked for of each of these pairs; -1 for others."""
        keys = people * len(self.features) + features
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found: np.ndarray = np.where((people >= 0) & (features >= 0) & (self.keys[at] == keys), at, -1)
        return found


def succeeded(asked: Asked, end_us: int, store: Summaries[P], first_us: int = 0) -> set[tuple[str, str]]:
    """Which of these pairs had a good request after their moment and before the end.

    Times before `first_us` are not searched: their single requests are deleted.
    """
    found = np.zeros(len(asked.keys), bool)
    if len(found):
        start_us = max(int(asked.since_us.min()) + 1, first_us)
        if start_us < end_us:
            _look(asked, store, store.pieces(start_us, end_us), np.arange(len(found)), found)
    return {
        (asked.people[person], asked.features[feature])
        for person, feature in zip(asked.person[found].tolist(), asked.feature[found].tolist(), strict=True)
    }


def _look(asked: Asked, store: Summaries[P], pieces: Sequence[P], rows: np.ndarray, found: np.ndarray) -> None:
    """Mark in `found` which of these rows succeeded in these pieces.

    A summary does not say which feature failed. A person who used the feature more often than they had failures in all
    has succeeded; one whose requests all failed has not. For the rest, and if the moment lies inside the piece, the
    shorter parts are searched; but only after all pieces, since most are found in another one.
    """
    unsure = list[tuple[P, np.ndarray]]()
    for piece in reversed(pieces):
        left = rows[~found[rows] & (asked.since_us[rows] < piece.end - 1)]
        if not len(left):
            continue
        counted = store.counted(piece)
        if counted is None:
            at_us, people, features = store.good(piece, distinct(asked.person[left]))
            place = asked.places(people, features)
            there = place >= 0
            last = np.full(len(found), -1, np.int64)
            np.maximum.at(last, place[there], at_us[there])
            found[left] |= last[left] > asked.since_us[left]
            continue
        person = asked.person[left]
        requests, errors, used = _sums(asked, counted, person)
        tried = used[left]
        sure = (tried > errors[person]) & (asked.since_us[left] < piece.start)
        found[left[sure]] = True
        maybe = ~sure & (tried > 0) & (requests[person] > errors[person])
        if maybe.any():
            unsure.append((piece, left[maybe]))
    for piece, some in unsure:
        some = some[~found[some]]
        if len(some):
            _look(asked, store, store.inside(piece), some, found)


def _sums(asked: Asked, counted: Counted, persons: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For these `persons`, their requests, errors, and how often each used the feature in question."""
    wanted = np.zeros(len(asked.people) + 1, bool)  # one more, for the place -1
    wanted[persons] = True
    there, using = np.flatnonzero(wanted[counted.people]), np.flatnonzero(wanted[counted.users])
    requests, errors = (
        np.bincount(counted.people[there], column[there], len(asked.people))
        for column in (counted.requests, counted.errors)
    )
    place = asked.places(counted.users[using], counted.features[using])
    mine = place >= 0
    return requests, errors, np.bincount(place[mine], counted.used[using][mine], len(asked.keys))
