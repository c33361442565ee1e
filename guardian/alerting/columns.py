"""Events as numpy columns, and counts by the minute: the two forms in which rules read the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

import numpy as np

from tracker.event import Event

MINUTE_US = 60_000_000


class Counts(NamedTuple):
    """Totals of a window: `failed` have an outcome (`Event.outcome`) of 400 or more, `server` of 500 or more."""

    requests: int
    failed: int
    server: int

    def bad(self, count: str) -> int:
        """The errors that a rule with `count = "server"` or `"all"` counts."""
        return self.server if count == "server" else self.failed


def lowest_bad(count: str) -> int:
    """The lowest outcome that a rule with `count = "server"` or `"all"` counts as an error."""
    return 500 if count == "server" else 400


NOTHING = Counts(0, 0, 0)
"""The counts of an empty window."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Single events in order of time, one numpy array for each column; `user`, `feature` and `failure` index the lists
    of names. `status` holds outcomes (`Event.outcome`), `duration_us` latencies (the time to the first byte of a
    streamed answer). `failure` is -1 for an event without an error, otherwise the index of a (kind, place) pair: place
    is where in the code the exception was raised, or the feature where there was no exception.
    """

    at_us: np.ndarray
    user: np.ndarray
    feature: np.ndarray
    status: np.ndarray
    duration_us: np.ndarray
    failure: np.ndarray
    users: list[str]
    features: list[str]
    failures: list[tuple[str, str]]

    @classmethod
    def of(cls, events: Iterable[Event]) -> Columns:
        """The columns of these events, which may come in any order; sorted by time."""
        users: _Codes[str] = _Codes()
        features: _Codes[str] = _Codes()
        failures: _Codes[tuple[str, str]] = _Codes()
        rows = [
            (
                event.at_us,
                users[event.user],
                features[event.feature],
                event.outcome,
                event.duration_us if event.latency_us is None else event.latency_us,
                -1 if event.failure is None else failures[place_of(event)],
            )
            for event in sorted(events, key=lambda event: event.at_us)
        ]
        table = np.array(rows, dtype=np.int64).reshape(-1, 6)
        at, user, feature, status, duration, failure = table.T
        return cls(at, user, feature, status, duration, failure, list(users), list(features), list(failures))

    def __len__(self) -> int:
        return len(self.at_us)


def place_of(event: Event) -> tuple[str, str]:
    """The (kind, place) pair of a failed event, by which `new_error` tells errors apart."""
    failure = event.failure
    assert failure is not None
    return failure.kind, failure.location.rsplit("\n", 1)[-1] or event.feature


Name = TypeVar("Name")


class _Codes(dict[Name, int]):
    """A dictionary that gives each new key the next number."""

    def __missing__(self, name: Name) -> int:
        self[name] = code = len(self)
        return code


def _type_of(total: int) -> type[np.signedinteger]:
    """The type of running totals up to this one. With 64 bits three days of 60 features take 6 MB."""
    return np.int32 if total < 2**31 else np.int64


def _holds(running: np.ndarray, total: int) -> bool:
    return total <= np.iinfo(running.dtype).max


@dataclass(frozen=True)
class MinuteCounts:
    """Running totals by the minute, beginning at `start` (minutes since 1970, UTC): `running[n, place]` holds the
    requests, failures and server errors of the first n minutes for the feature at `place` in `places`; place 0 is all
    features together.
    """

    start: int
    running: np.ndarray
    places: Mapping[str, int]

    @property
    def minutes(self) -> int:
        """How many minutes there are."""
        return len(self.running) - 1

    @property
    def end(self) -> int:
        """The minute after the last one."""
        return self.start + self.minutes

    @classmethod
    def of(cls, columns: Columns, start: int, end: int) -> MinuteCounts:
        """Counts of the minutes [start, end) from single events."""
        first, last = np.searchsorted(columns.at_us, (start * MINUTE_US, end * MINUTE_US))
        minute = columns.at_us[first:last] // MINUTE_US - start
        return cls.counted(
            start, end, minute, columns.feature[first:last], columns.status[first:last], columns.features
        )

    @classmethod
    def counted(
        cls, start: int, end: int, minute: np.ndarray, feature: np.ndarray, status: np.ndarray, names: Sequence[str]
    ) -> MinuteCounts:
        """The same from arrays, one for each column: the minute, counted from 0; the index of the feature's name; the
        outcome."""
        size, wide = end - start, len(names)
        key = minute * wide + feature if size > 1 else feature
        failed = np.flatnonzero(status >= 400)  # few, as a rule
        kinds = (key, key[failed], key[failed[status[failed] >= 500]])
        rows = np.stack([np.bincount(kind, minlength=size * wide) for kind in kinds], axis=-1)
        return cls.of_rows(start, rows.reshape(size, wide, 3), names)

    @classmethod
    def of_rows(cls, start: int, rows: np.ndarray, names: Sequence[str]) -> MinuteCounts:
        """Running totals from the counts of each minute, an array of shape (minutes, names, 3)."""
        running = np.zeros((len(rows) + 1, len(names) + 1, 3), dtype=_type_of(int(rows[:, :, 0].sum())))
        np.cumsum(rows, axis=0, dtype=running.dtype, out=running[1:, 1:])
        running[:, 0] = running[:, 1:].sum(axis=1)
        return cls(start, running, {name: place for place, name in enumerate(names, 1)})

    @cached_property
    def features(self) -> list[str]:
        """The names of the features that have requests in these minutes, sorted."""
        used = self.running[-1, :, 0] > self.running[0, :, 0]
        return sorted(name for name, place in self.places.items() if used[place])

    def sums(self, feature: str | None) -> tuple[memoryview, memoryview, memoryview] | None:
        """The running totals of one feature (None: of all together): requests, failures and server errors, minutes + 1
        numbers each. An unknown feature has zeros. Memoryviews, since reading single numbers from them is several times
        faster than from arrays."""
        place = 0 if feature is None else self.places.get(feature)
        if place is None:
            return None
        if place not in self._sums:
            requests, failed, server = (self.running[:, place, column].data for column in range(3))
            self._sums[place] = (requests, failed, server)
        return self._sums[place]

    @cached_property
    def _sums(self) -> dict[int, tuple[memoryview, memoryview, memoryview]]:
        return {}

    def requests(self, start: int, end: int) -> int:
        """How many requests the minutes [start, end) have."""
        first, last = (min(max(minute - self.start, 0), self.minutes) for minute in (start, end))
        return int(self.running[max(first, last), 0, 0] - self.running[first, 0, 0])

    def mended(self, anew: MinuteCounts) -> MinuteCounts:
        """These counts with one of their minutes counted again, as `anew` has it. A minute only ever gains requests: a
        feature that `anew` does not have keeps its counts. Unless a feature is new nothing is copied, and what is
        mended is the array of these counts too, and of those that they followed: they are not to be used any more."""
        new, total = [name for name in anew.places if name not in self.places], self._total + anew._total
        copied = bool(new) or not _holds(self.running, total)
        mended = self._with(new, total) if copied else MinuteCounts(self.start, self.running, self.places)
        running, at = mended.running, anew.start - self.start
        more = running[at] - running[at + 1]
        for name, place in (("", 0), *mended.places.items()):
            if not name or name in anew.places:
                more[place] += anew.running[1, anew.places[name] if name else 0]
        running[at + 1 :] += more
        if not copied:
            mended.__dict__["_room"] = self.__dict__.get("_room")
        return mended

    @property
    def _total(self) -> int:
        """The largest of the running totals."""
        return int(self.running[-1, 0, 0])

    def _with(self, new: Sequence[str], total: int) -> MinuteCounts:
        """A copy of these counts with places for new features, which have no requests yet, and for such a total."""
        size = self.running.shape[1]
        running = np.zeros((len(self.running), size + len(new), 3), dtype=_type_of(total))
        running[:, :size] = self.running
        return MinuteCounts(self.start, running, {**self.places, **{name: size + n for n, name in enumerate(new)}})

    def followed(self, later: MinuteCounts, keep: int) -> MinuteCounts:
        """These counts and the minutes that directly follow; only the latest `keep` stay. Most calls copy nothing: the
        new minutes go into spare room behind the old ones, which older versions never read. Each version can be
        followed this way once; after that it is copied."""
        room, offset, used = self.__dict__.get("_room") or (self.running, 0, [0])
        size, more = len(self.running), later.minutes
        new = [name for name in later.places if name not in self.places]
        places = {**self.places, **{name: self.running.shape[1] + n for n, name in enumerate(new)}}
        total, whole = self._total + later._total, offset + size + more <= len(room) and used[0] == offset + size
        if new or not whole or not _holds(room, total):
            live = min(size, keep + 1)
            spare = live // 8 if size > keep else live  # a past that is still read grows by much
            old = self.running[size - live :]
            shape = live + max(more, spare, 64) + more, len(places) + 1, 3
            room = np.empty(shape, dtype=_type_of(total - int(old[0, 0, 0])))
            room[:live, : old.shape[1]] = old - old[0]  # totals begin anew, so that they stay small
            room[:live, old.shape[1] :] = 0
            offset, size, used = 0, live, [live]
        last = offset + size
        room[last : last + more] = room[last - 1]
        for name, place in places.items():
            if name in later.places:
                room[last : last + more, place] += later.running[1:, later.places[name]]
        room[last : last + more, 0] += later.running[1:, 0]
        used[0] = last + more
        first = max(offset, last + more - keep - 1)
        grown = MinuteCounts(later.end - (last + more - first) + 1, room[first : last + more], places)
        grown.__dict__["_room"] = (room, first, used)
        return grown
