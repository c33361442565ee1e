"""Recent events in the form that rules need: weeks of counts by the minute, hours of single events in columns.

The daemon and the backtest judge the same `Snapshot`s of a `History`, so that they come to the same verdicts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

import numpy as np

from guardian.alerting.bursts import Bursts
from guardian.alerting.columns import MINUTE_US, NOTHING, Columns, Counts, MinuteCounts, lowest_bad
from guardian.alerting.stretches import Stretches
from guardian.alerting.users import Users
from guardian.alerting.wanted import weeks_ago
from guardian.core.cursor import Cursor
from tracker.event import Event


@dataclass(frozen=True)
class History:
    """Everything that rules may look at. `first_seen` says when each (kind, place) of error first came (µs), `alive_us`
    are the heartbeats of the host in ascending order, None where they were not recorded; `probes` holds each rule's
    answers, oldest first, as (µs, good). `zone` is the time zone of the users; `columns` has every event from
    `singles_us` on. `cursor` says how far events have been read; `ahead` how many of them lie after the counts, which
    shows whether any event came late.

    `earlier` holds the requests of single minutes before the counts, by feature ("": all of them). `last_used` says
    when (µs) a feature that the counts lack was last used ("": any of them); 0 where nobody asked, -1 where it was long
    ago. `source` belongs to the store, which grows the history by it. `late` are the minutes that gained events since
    the history this one was grown from; None: everything was read again, and names may have changed.
    """

    counts: MinuteCounts
    columns: Columns
    first_seen: Mapping[tuple[str, str], int]
    first_event_us: int | None
    alive_us: list[int] | None = None
    probes: Mapping[str, Sequence[tuple[int, bool]]] = field(default_factory=dict)
    zone: tzinfo = UTC
    singles_us: int = 0
    cursor: Cursor = field(default_factory=Cursor)
    ahead: int = 0
    earlier: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    last_used: Mapping[str, int] = field(default_factory=dict)
    late: Collection[int] | None = field(default=None, compare=False)
    source: object = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, events: Iterable[Event], start_us: int, end_us: int) -> History:
        """A history made of nothing but events, all of them inside [start, end) (rounded out to minutes)."""
        columns = Columns.of(events)
        first, last = start_us // MINUTE_US, -(-end_us // MINUTE_US)
        return cls.of_columns(columns, MinuteCounts.of(columns, first, last))

    @classmethod
    def of_columns(cls, columns: Columns, counts: MinuteCounts) -> History:
        """A history whose first sightings are those of its own columns."""
        first_seen = first_sightings(columns)
        return cls(counts, columns, first_seen, int(columns.at_us[0]) if len(columns) else None)

    def at(self, minute: int) -> Snapshot:
        """What was known at the beginning of this minute: events before it, none after."""
        return Snapshot(self, minute)

    def sums(self, feature: str | None) -> tuple[memoryview, memoryview, memoryview] | None:
        """See `MinuteCounts.sums`."""
        return self.counts.sums(feature)

    @cached_property
    def known(self) -> set[str]:
        """The features that there are."""
        return {*self.counts.features, *(name for name, at in self.last_used.items() if name and at >= 0)}

    def matching(self, patterns: tuple[str, ...]) -> list[str]:
        """See `Snapshot.features`."""
        if patterns not in self._matching:
            wanted = set()
            for pattern in patterns:
                if any(mark in pattern for mark in "*?["):
                    wanted |= {name for name in self.known if fnmatchcase(name, pattern)}
                else:
                    wanted.add(pattern)
            self._matching[patterns] = sorted(wanted)
        return self._matching[patterns]

    @cached_property
    def _matching(self) -> dict[tuple[str, ...], list[str]]:
        return {}

    @cached_property
    def stretches(self) -> Stretches:
        """The rows of `columns`, found by time."""
        return Stretches(self.columns)

    def rows(self, start_us: int, end_us: int, feature: str | None = None) -> np.ndarray | slice:
        """See `Stretches.rows`."""
        return self.stretches.rows(start_us, end_us, feature)


def first_sightings(columns: Columns) -> dict[tuple[str, str], int]:
    """When (µs) each (kind, place) of error first came."""
    failed = np.flatnonzero(columns.failure >= 0)[::-1]
    first = np.full(len(columns.failures), -1)
    first[columns.failure[failed]] = failed  # for equal indices the last one wins: the earliest
    there = np.flatnonzero(first >= 0)
    at_us = columns.at_us[first[there]].tolist()
    return {columns.failures[code]: at for code, at in zip(there.tolist(), at_us, strict=True)}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A history as it was at the start of `minute`. Windows end there; they start `window` seconds earlier, or at
    `since_us` (rounded up to the minute) if that is later, which is how "marked as fixed" leaves out what came
    before."""

    history: History
    minute: int

    @property
    def now_us(self) -> int:
        """The moment of the snapshot."""
        return self.minute * MINUTE_US

    def counts(self, window: int, feature: str | None = None, *, since_us: int = 0, back: int = 0) -> Counts:
        """Totals of a window that ended `back` seconds ago, in whole minutes."""
        sums = self.history.sums(feature)
        if sums is None:
            return NOTHING
        start = self.history.counts.start
        last = self.minute - back // 60 - start
        first = max(last - window // 60, -(-since_us // MINUTE_US) - start, 0)
        requests, failed, server = sums
        last = min(last, len(requests) - 1)
        if first >= last:
            return NOTHING
        return Counts(requests[last] - requests[first], failed[last] - failed[first], server[last] - server[first])

    def weeks_ago(self, weeks: int) -> int:
        """How many seconds ago it was the same time of the week, `weeks` weeks back, on the clock of the history's
        zone: an hour more or less than whole weeks where the clocks changed in between."""
        return weeks_ago(self.minute, weeks, self.history.zone)

    def covers(self, seconds: int) -> bool:
        """Whether the recorded history reaches back this far."""
        first = self.history.first_event_us
        return first is not None and first <= self.now_us - seconds * 1_000_000

    def holds(self, window: int) -> bool:
        """Whether the single events of the whole window are in memory."""
        return self.history.singles_us <= self.now_us - window * 1_000_000

    def begins_inside(self, window: int, since_us: int) -> bool:
        """Whether `since_us` cuts off part of the window."""
        return since_us > self.now_us - window * 1_000_000

    def features(self, patterns: Iterable[str]) -> list[str]:
        """The features that match one of the patterns (`chat_*`), sorted; a name without `*` is included even if it was
        never seen."""
        return self.history.matching(tuple(patterns))

    def start_us(self, window: int, since_us: int = 0) -> int:
        """When the window starts."""
        return max(self.now_us - window * 1_000_000, since_us)

    def _rows(self, window: int, feature: str | None, since_us: int, back: int = 0) -> np.ndarray | slice:
        end_us = self.now_us - back * 1_000_000
        return self.history.rows(max(end_us - window * 1_000_000, since_us), end_us, feature)

    def _stretch(self, window: int, since_us: int = 0) -> slice:
        """The rows of the window, of all features, as one slice."""
        return self.history.stretches.stretch(self.start_us(window, since_us), self.now_us)

    def users(self, window: int, feature: str | None = None, **which: Any) -> Set[str]:
        """The verified users of a window that ended `back` seconds ago. With `failed` only those who hit an error, with
        `count` "server" a server error, with `failure` an error of this (kind, place)."""
        return self._users(window, feature, **which)

    def has_users(self, number: int, window: int, feature: str | None = None, **which: Any) -> bool:
        """Whether `users` would find at least this many."""
        return len(self._users(window, feature, **which)) >= number

    def _users(
        self, window: int, feature: str | None, *, since_us: int = 0, back: int = 0, failed: bool = False,
        count: str = "all", failure: tuple[str, str] | None = None,
    ) -> Users:  # fmt: skip
        rows = self._rows(window, feature, since_us, back)
        rows = rows if failure is None else self._of_failure(rows, failure)
        return self.history.stretches.users(rows, lowest_bad(count) if failed else 0)

    def _of_failure(self, rows: np.ndarray | slice, what: tuple[str, str]) -> np.ndarray:
        """Only the rows that failed with this (kind, place)."""
        code = self.history.stretches.failure(what)
        failed = self.history.stretches.failed.between(rows) if isinstance(rows, slice) else rows
        found: np.ndarray = failed[self.history.columns.failure[failed] == (-2 if code is None else code)]
        return found

    def rows_of(self, user: str, window: int, *, failed: bool = False) -> np.ndarray:
        """The rows of this user in the window, in order of time; with `failed` only errors, which is faster."""
        users, code, rows = self.history.columns.user, self.history.stretches.people.place(user), self._stretch(window)
        if failed:
            return self.history.stretches.failed_of.between(code, rows)
        return np.asarray(np.flatnonzero(users[rows] == code) + rows.start)

    def bursts(self, errors: int, window: int, lookback: int) -> Bursts:
        """The users for whom `errors` errors within `window` seconds (both ends inclusive) were complete in the last
        `lookback` seconds, each with the newest such burst."""
        start_us, window_us = self.now_us - lookback * 1_000_000, window * 1_000_000
        return self.history.stretches.searched.bursts(errors, window_us, start_us, self.now_us)

    def failures(self, window: int) -> list[tuple[str, str]]:
        """The (kind, place) pairs that failed in the window, ordered by when each was first seen ever."""
        columns, first_seen = self.history.columns, self.history.first_seen
        counts, _ = self.history.stretches.failures(self._stretch(window))
        what = [columns.failures[code] for code in np.flatnonzero(counts)]
        return sorted(what, key=lambda each: (first_seen.get(each, 0), each))

    def failure_times(self, since_us: int, what: tuple[str, str]) -> np.ndarray:
        """When (µs) this (kind, place) came from that moment on, in order."""
        rows = self.history.rows(since_us, self.now_us)
        found: np.ndarray = self.history.columns.at_us[self._of_failure(rows, what)]
        return found

    def failure_counts(self, window: int, what: tuple[str, str], *, since_us: int = 0) -> Counts:
        """How often this (kind, place) came in the window."""
        code = self.history.stretches.failure(what)
        if code is None:
            return NOTHING
        counts, server = self.history.stretches.failures(self._stretch(window, since_us))
        return Counts(int(counts[code]), int(counts[code]), int(server[code]))

    def requests(self, window: int, feature: str | None, *, back: int) -> int:
        """The requests of a window that ended `back` seconds ago, also where it lies before the counts."""
        last = self.minute - back // 60
        first = last - window // 60
        earlier, start = self.history.earlier, self.history.counts.start
        counted = self.counts(window, feature, back=back).requests
        minutes = [earlier[at] for at in range(first, min(last, start)) if at in earlier]
        return counted + sum([counts.get(feature or "", 0) for counts in minutes])
