"""Events as numpy columns, and their counts by the minute: the two shapes in which rules read the past."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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
    """Single events in the order of time, a numpy array a column; `user`, `feature` and `failure` index the name lists.
    `status` holds outcomes (`Event.outcome`), `duration_us` latencies: to the first byte where an answer streams.
    `failure` is -1 for a good event, else it points to a (kind, place) pair: place is where in the code an exception
    was raised, or else the feature.
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
        """The columns of any events, sorted by time."""
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
    """A dictionary that numbers what it is asked for."""

    def __missing__(self, name: Name) -> int:
        self[name] = code = len(self)
        return code


@dataclass(frozen=True)
class MinuteCounts:
    """Per feature an array of shape (minutes, 3): requests, failed, server errors; row 0 is minute `start`
    (minutes since 1970, UTC)."""

    start: int
    minutes: int
    features: Mapping[str, np.ndarray]

    @property
    def end(self) -> int:
        """The minute after the last one."""
        return self.start + self.minutes

    @classmethod
    def of(cls, columns: Columns, start: int, end: int) -> MinuteCounts:
        """Counts of the minutes [start, end) from single events."""
        inside = (columns.at_us >= start * MINUTE_US) & (columns.at_us < end * MINUTE_US)
        minute = columns.at_us[inside] // MINUTE_US - start
        feature, status = columns.feature[inside], columns.status[inside]
        size = end - start
        counted = {}
        for code, name in enumerate(columns.features):
            mine = feature == code
            at, codes = minute[mine], status[mine]
            if len(at):
                kinds = (at, at[codes >= 400], at[codes >= 500])
                counted[name] = np.stack([np.bincount(kind, minlength=size) for kind in kinds], axis=1)
        return cls(start, size, counted)

    def requests(self, start: int, end: int) -> int:
        """How many requests the minutes [start, end) have."""
        first, last = max(start - self.start, 0), max(end - self.start, 0)
        return sum(int(rows[first:last, 0].sum()) for rows in self.features.values())

    def joined(self, later: MinuteCounts, keep: int) -> MinuteCounts:
        """These and what follows: `later` replaces every minute from its start on; at most `keep` minutes stay."""
        end = later.end
        start = max(min(self.start, later.start), end - keep)
        features = {}
        for name in {*self.features, *later.features}:
            rows = np.zeros((end - start, 3), dtype=np.int64)
            for part, stop in ((self, later.start), (later, end)):
                values = part.features.get(name)
                if values is None:
                    continue
                first, last = max(start, part.start), min(stop, part.end)
                if first < last:
                    rows[first - start : last - start] = values[first - part.start : last - part.start]
            if rows.any():
                features[name] = rows
        return MinuteCounts(start, end - start, features)
