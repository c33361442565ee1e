"""Many minutes of a history at once: what rules count, as arrays with one number for each minute, and in which minutes
rules cannot fire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.history import History
from guardian.alerting.wanted import weeks_ago

_QUARTER = 15
"""Daylight saving changes happen at whole quarters of an hour (tz database)."""


class ManyCounts(NamedTuple):
    """`Counts` of many windows, with arrays in place of numbers."""

    requests: np.ndarray
    failed: np.ndarray
    server: np.ndarray

    def bad(self, count: str) -> np.ndarray:
        """See `Counts.bad`."""
        return self.server if count == "server" else self.failed


@dataclass(frozen=True)
class Minutes:
    """The snapshots of the minutes first … last of a history (since 1970, both included), all at once: arrays have one
    number for each minute. `History.earlier` is not used."""

    history: History
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    @cached_property
    def minute(self) -> np.ndarray:
        """The minutes, as numbers since 1970."""
        return np.arange(self.first, self.last + 1)

    def counts(self, window: int, feature: str | None = None, *, back: int | np.ndarray = 0) -> ManyCounts:
        """See `Snapshot.counts`."""
        counts = self.history.counts
        place = 0 if feature is None else counts.places.get(feature)
        if place is None:
            return ManyCounts(*(np.zeros(len(self), dtype=np.int64),) * 3)
        last = self.minute - back // 60 - counts.start
        first = np.clip(last - window // 60, 0, counts.minutes)
        last = np.maximum(np.minimum(last, counts.minutes), first)
        if place not in self._columns:  # what lies apart in memory takes several times as long
            self._columns[place] = np.ascontiguousarray(counts.running[:, place].T, dtype=np.int64)
        return ManyCounts(*(column[last] - column[first] for column in self._columns[place]))

    @cached_property
    def _columns(self) -> dict[int, np.ndarray]:
        return {}

    def covers(self, seconds: int | np.ndarray) -> np.ndarray:
        """See `Snapshot.covers`."""
        first_us = self.history.first_event_us
        if first_us is None:
            return np.zeros(len(self), dtype=bool)
        covered: np.ndarray = first_us <= self.minute * MINUTE_US - seconds * 1_000_000
        return covered

    def features(self, patterns: Iterable[str]) -> list[str]:
        """See `Snapshot.features`."""
        return self.history.matching(tuple(patterns))

    def weeks_ago(self, week: int) -> np.ndarray:
        """See `Snapshot.weeks_ago`."""
        if week not in self._weeks_ago:
            quarters = range(self.first // _QUARTER, self.last // _QUARTER + 1)
            seconds = np.array([weeks_ago(quarter * _QUARTER, week, self.history.zone) for quarter in quarters])
            self._weeks_ago[week] = seconds[self.minute // _QUARTER - quarters[0]]
        return self._weeks_ago[week]

    @cached_property
    def _weeks_ago(self) -> dict[int, np.ndarray]:
        return {}

    def earlier_weeks(self, weeks: int, window: int, subject: str) -> tuple[np.ndarray, np.ndarray]:
        """The requests of the same window in each of the `weeks` before, one row a week; and how many of those weeks,
        counted from the latest, are recorded. See `verdicts.earlier_weeks`."""
        backs = [self.weeks_ago(week) for week in range(1, weeks + 1)]
        covered = np.sum([self.covers(back + window) for back in backs], axis=0)
        return np.array([self.counts(window, subject or None, back=back).requests for back in backs]), covered

    def sums(self, at_us: np.ndarray, window: int) -> np.ndarray:
        """How many of these moments lie in each snapshot's window of `window` seconds (whole minutes)."""
        start, more = self.first - window // 60, len(self) + window // 60
        minute = at_us // MINUTE_US - start
        there = minute[(minute >= 0) & (minute < more)]
        running = np.concatenate(([0], np.cumsum(np.bincount(there, minlength=more))))
        found: np.ndarray = running[window // 60 : window // 60 + len(self)] - running[: len(self)]
        return found

    def within(self, after_us: np.ndarray, until_us: np.ndarray) -> np.ndarray:
        """Which snapshots lie in any of these spans, (after, until]."""
        size = len(self)
        begin = np.clip(after_us // MINUTE_US + 1 - self.first, 0, size)
        end = np.maximum(np.clip(until_us // MINUTE_US + 1 - self.first, 0, size), begin)
        open_spans = np.cumsum(np.bincount(begin, minlength=size + 1) - np.bincount(end, minlength=size + 1))
        found: np.ndarray = open_spans[:size] > 0
        return found


class Said(NamedTuple):
    """What is known in advance of a rule's verdicts on a subject in many minutes, as long as nothing cuts its windows
    short: where it may fire; where its verdict is ok if it does not fire; and its values where it is sure to fire, NaN
    elsewhere (None: it is nowhere sure to)."""

    subject: str
    may_fire: np.ndarray
    ok: np.ndarray
    values: np.ndarray | None = None


class Calm(NamedTuple):
    """The same for all its subjects together: for how many subjects it may fire in each minute; by subject, where its
    verdict is ok for certain; and by subject, the values where it is sure to fire."""

    may_fire: np.ndarray
    well: Mapping[str, np.ndarray]
    values: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, minutes: Minutes, said: Iterable[Said]) -> Calm:
        """All subjects combined."""
        number, well, values = np.zeros(len(minutes), dtype=np.int64), {}, {}
        for each in said:
            number += each.may_fire
            if np.any(good := each.ok & ~each.may_fire):
                well[each.subject] = good
            if each.values is not None and not np.all(np.isnan(each.values)):
                values[each.subject] = each.values
        return cls(number, well, values)

    @classmethod
    def within(cls, minutes: Minutes, after_us: np.ndarray, until_us: np.ndarray) -> Calm:
        """For a rule that may fire only in the snapshots of these spans, and whose last good moments are not kept."""
        return cls(minutes.within(after_us, until_us), {}, {})
