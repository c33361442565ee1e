"""Turning points: the first bad request of an incident, and the first good one after it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from guardian.alerting.columns import MINUTE_US, lowest_bad
from guardian.alerting.history import Snapshot

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Onset:
    """The start of an incident: `at_us` is the first bad request, or the last sign of life where absence is the
    problem; `last_good_us` is the last good request before it, None where none is known."""

    at_us: int
    last_good_us: int | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Requests in order of time, either singly or added up by minute under the minute's start. `at_us`, `good` and
    `bad` (counts) have the same length."""

    at_us: np.ndarray
    good: np.ndarray
    bad: np.ndarray

    @classmethod
    def of(cls, at_us: ArrayLike, good: ArrayLike) -> Series:
        """A series of single requests, or answers of a probe, from (µs, good) pairs."""
        well = np.asarray(good, dtype=np.int64)
        return cls(np.asarray(at_us, dtype=np.int64), well, 1 - well)

    def onset(self, share: float) -> Onset | None:
        """The first bad request of the stretch in which bad requests exceed `share` (0 to 1) the most; None where none
        is bad.

        That stretch has the largest sum of (bad - share × all): Page, "Continuous inspection schemes", Biometrika 41
        (1954). A few ordinary errors an hour earlier do not shift the start.
        """
        excess = np.cumsum(self.bad - share * (self.good + self.bad))
        before = np.concatenate(([0.0], excess[:-1])) if len(excess) else excess
        lowest = np.minimum.accumulate(before)
        if not self.bad.any():
            return None
        worst = int(np.argmax(excess - lowest))
        start = int(np.flatnonzero(before[: worst + 1] == lowest[worst])[-1])
        first = start + int(np.argmax(self.bad[start:] > 0))
        good = np.flatnonzero(self.good[:first])
        return Onset(int(self.at_us[first]), int(self.at_us[good[-1]]) if len(good) else None)

    def unbroken(self) -> Onset | None:
        """The first bad request after the last good one; None where the last request is good, or there is none."""
        good, bad = np.flatnonzero(self.good), np.flatnonzero(self.bad)
        failed = bad[bad > good[-1]] if len(good) else bad
        if not len(failed):
            return None
        return Onset(int(self.at_us[failed[0]]), int(self.at_us[good[-1]]) if len(good) else None)

    def recovery(self, share: float) -> int | None:
        """The first good request after that stretch, given a series that starts no earlier than it; None where there is
        none."""
        if not len(self.at_us):
            return None
        last = int(np.argmax(np.cumsum(self.bad - share * (self.good + self.bad))))
        if not self.bad[: last + 1].any():
            last = -1
        good = np.flatnonzero(self.good[last + 1 :])
        return int(self.at_us[last + 1 + good[0]]) if len(good) else None


def requests_between(snapshot: Snapshot, start_us: int, feature: str | None, count: str) -> Series:
    """The requests of a feature (None: of all) from `start_us` to the snapshot; errors that `count` counts are bad.
    Counts by the minute are used where single events do not reach back that far.
    """
    history, end_us = snapshot.history, snapshot.now_us
    if history.singles_us <= start_us:
        rows = history.rows(start_us, end_us, feature)
        bad = (history.columns.status[rows] >= lowest_bad(count)).astype(np.int64)
        return Series(history.columns.at_us[rows], 1 - bad, bad)
    sums = history.sums(feature)
    if sums is None:
        return Series(*(np.array([], dtype=np.int64),) * 3)
    first = max(-(-start_us // MINUTE_US) - history.counts.start, 0)
    last = max(min(snapshot.minute - history.counts.start, len(sums[0]) - 1), first)
    requests, failed, server = (np.diff(np.asarray(column)[first : last + 1]) for column in sums)
    bad = server if count == "server" else failed
    at_us = (history.counts.start + first + np.arange(len(requests))) * MINUTE_US
    return Series(at_us, requests - bad, bad)


def last_request(snapshot: Snapshot, feature: str | None) -> int | None:
    """When (µs) the last request before the snapshot came, exact to the minute where it is older than the single
    events; None where none is known."""
    rows = snapshot.history.rows(0, snapshot.now_us, feature)
    at_us = snapshot.history.columns.at_us[rows]
    if len(at_us):
        return int(at_us[-1])
    minutes = requests_between(snapshot, 0, feature, "all")
    used = np.flatnonzero(minutes.good + minutes.bad)
    if len(used):
        return int(minutes.at_us[used[-1]])
    last = snapshot.history.last_used.get(feature or "", 0)
    return last if last > 0 else None


def first_request(snapshot: Snapshot, feature: str | None, after_us: int, good: bool = False) -> int | None:
    """When (µs) the first request after that moment came (with `good`: the first that did not fail); None where there
    was none."""
    found = requests_between(snapshot, after_us, feature, "all")
    which = np.flatnonzero(found.good if good else found.good + found.bad)
    return int(found.at_us[which[0]]) if len(which) else None
