"""Whom to write to: who was hit by an incident, and how each of them fared since. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

import numpy as np

from guardian.alerting.incidents import Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.sample import Sample
from guardian.core.counting import begins, distinct
from guardian.core.unlinked import is_unlinked
from tracker.event import ANONYMOUS

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

Use = tuple[str, str]
"""A person, and a feature they use."""

Fate = Literal["back", "again", "away"]
"""How a person fared after their last failure: `back` used the same feature successfully, `again` failed at it after
the incident was over, `away` did neither. If both happened, the later counts."""


class Hit(NamedTuple):
    """One person who was hit: how often, when first and last (µs), the last endpoint and feature, and how they fared
    since."""

    name: str
    times: int
    first_us: int
    last_us: int
    endpoint: str
    feature: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Whom:
    """Who was hit. `people` are sorted by need (away, then again, then back), then by how often they were hit. `erased`
    counts people who were erased since, `anonymous` failed requests without a verified user: neither are named.
    Requests were read up to `until_us`. With `slow` everything here is about slow answers instead of failures.
    """

    people: tuple[Hit, ...] = ()
    erased: int = 0
    anonymous: int = 0
    until_us: int = 0
    slow: bool = False

    @property
    def number(self) -> int:
        """How many people were hit."""
        return len(self.people) + self.erased

    def fared(self, *fates: Fate) -> tuple[Hit, ...]:
        """The people who fared this way."""
        return tuple(hit for hit in self.people if hit.fate in fates)

    def named(self, name: Callable[[str], str]) -> Whom:
        """The same with people written as `name` writes them."""
        return replace(self, people=tuple(hit._replace(name=name(hit.name)) for hit in self.people))


NOBODY = Whom()
"""Nobody was hit, or nobody asked."""
_ORDER: dict[Fate, int] = {"away": 0, "again": 1, "back": 2}


class Past(Protocol):
    """What is needed from a store of requests: see `guardian.stores.history.HistoryStore`."""

    def failed(self, start_us: int, end_us: int) -> Iterator[Sample]:
        """All failed requests of [start, end), µs."""
        ...

    def slow(self, start_us: int, end_us: int, over_us: float, feature: str | None) -> Iterator[Sample]:
        """All good requests of [start, end), µs, that took longer than the limit, of this feature or of all."""
        ...

    def succeeded(self, since: Mapping[Use, int], end_us: int, within_us: float | None = None) -> set[Use]:
        """Which of these pairs had a good request, within the time limit if there is one, after their moment (µs) and
        before the end."""
        ...


def whom(rule: Rule, incident: Incident, now_us: int, past: Past) -> Whom:
    """Who was hit by this incident, and how they fared since. People are hit if the rule counts a request of theirs as
    failed (or too slow) between its start and its end, or now while it goes on. Nobody for rules that are not about
    failures or slowness.
    """
    kind = kind_of(rule)
    if kind.bad is None or kind.traffic:
        return NOBODY
    collected, limit_us = _HitCollector(rule, incident), kind.slow(rule) if kind.slow else None
    if limit_us is None:
        samples = past.failed(incident.first_us, now_us)
    else:
        samples = past.slow(incident.first_us, now_us, limit_us, kind.feature(incident))
    for sample in samples:
        collected.add(sample)
    found = collected.whom(past.succeeded(collected.since(), now_us, limit_us))
    return replace(found, until_us=now_us, slow=limit_us is not None)


def who_failed(rule: Rule, incident: Incident, start_us: int, end_us: int, past: Past) -> set[str]:
    """The verified users who met, in [start, end), µs, a failure that the rule counts for this incident: the same as
    `Snapshot.users` would find. Empty for rules that are not about failures."""
    kind, found = kind_of(rule), set[str]()
    if kind.bad is None or kind.traffic or kind.slow is not None:
        return found
    collected = _HitCollector(rule, incident)
    for sample in past.failed(start_us, end_us):
        found.update(map(sample.users.__getitem__, distinct(sample.user[collected.bad(sample)]).tolist()))
    return found - {ANONYMOUS}


class _Met:
    """One person's failures: how many, the first and last (µs), and where the last was."""

    __slots__ = ("endpoint", "feature", "first_us", "last_us", "times")

    def __init__(self, at_us: int) -> None:
        self.times, self.first_us, self.last_us, self.endpoint, self.feature = 0, at_us, -1, "", ""


class _HitCollector:
    """Collects who was hit from samples of the requests since the start of an incident, added in any order."""

    def __init__(self, rule: Rule, incident: Incident) -> None:
        self._rule, self._incident, self._kind = rule, incident, kind_of(rule)
        self._met: dict[str, _Met] = {}
        self._again: dict[Use, int] = {}
        self._anonymous = 0

    def add(self, sample: Sample) -> None:
        """Count the people hit in this sample, and note who failed after the end."""
        over_us = self._incident.over_us
        bad = self.bad(sample) & (sample.at_us >= self._incident.first_us)
        later = bad & (sample.at_us > over_us) if over_us is not None else np.zeros(len(sample), dtype=bool)
        self._hit(sample, np.flatnonzero(bad & ~later))
        _note(self._again, sample, later)

    def bad(self, sample: Sample) -> np.ndarray:
        """Flags of the requests that the rule counts, whatever their time."""
        assert self._kind.bad is not None
        found: np.ndarray = self._wanted(sample) & (self._kind.bad(self._rule, self._incident, sample) == 1)
        return found

    def since(self) -> dict[Use, int]:
        """For each named person, the feature that last failed for them and when (µs), including after the end."""
        uses = (((name, met.feature), met.last_us) for name, met in self._named)
        return {use: max(last_us, self._again.get(use, -1)) for use, last_us in uses}

    def whom(self, succeeded: Collection[Use]) -> Whom:
        """The result, given which pairs of `since` succeeded later."""
        hits = [
            Hit(name, m.times, m.first_us, m.last_us, m.endpoint, m.feature, self._fate(name, m, succeeded))
            for name, m in self._named
        ]
        hits.sort(key=lambda hit: (_ORDER[hit.fate], -hit.times, hit.name))
        return Whom(tuple(hits), len(self._met) - len(hits), self._anonymous)

    @cached_property
    def _named(self) -> list[tuple[str, _Met]]:
        """The people who were hit and can be named, once all samples are added."""
        return [(name, met) for name, met in self._met.items() if not is_unlinked(name)]

    def _fate(self, name: str, met: _Met, succeeded: Collection[Use]) -> Fate:
        use = name, met.feature
        if use in succeeded:
            return "back"
        return "again" if self._again.get(use, -1) > met.last_us else "away"

    def _hit(self, sample: Sample, rows: np.ndarray) -> None:
        """Count these rows by person. The last row of a person is the latest by time, then by endpoint and feature
        name."""
        if not len(rows):
            return
        by_name = sorted(range(len(sample.routes)), key=lambda n: (sample.routes[n][0], sample.routes[n][2]))
        rank = np.argsort(np.array(by_name, dtype=np.int64))
        rows = rows[np.lexsort((rank[sample.route[rows]], sample.at_us[rows], sample.user[rows]))]
        user, at_us, route = sample.user[rows], sample.at_us[rows], sample.route[rows]
        first = np.flatnonzero(begins(user))
        ends = np.append(first[1:], len(rows))
        columns = (user[first], ends - first, at_us[first], at_us[ends - 1], route[ends - 1])
        for code, times, first_us, last_us, where in zip(*(column.tolist() for column in columns), strict=True):
            name = sample.users[code]
            if name == ANONYMOUS:
                self._anonymous += times
                continue
            mine = self._met.setdefault(name, _Met(first_us))
            mine.times += times
            mine.first_us = min(mine.first_us, first_us)
            endpoint, _, feature = sample.routes[where]
            if (last_us, endpoint, feature) > (mine.last_us, mine.endpoint, mine.feature):
                mine.last_us, mine.endpoint, mine.feature = last_us, endpoint, feature

    def _wanted(self, sample: Sample) -> np.ndarray:
        """Flags of the rows of the feature and the person that the incident is about."""
        rows = np.ones(len(sample), dtype=bool)
        feature = self._kind.feature(self._incident)
        if feature is not None and len(sample):
            rows &= np.array([name == feature for _, _, name in sample.routes], dtype=bool)[sample.route]
        if self._kind.of_one_user and len(sample):
            rows &= np.array([name == self._incident.subject for name in sample.users], dtype=bool)[sample.user]
        return rows


def _note(latest: dict[Use, int], sample: Sample, rows: np.ndarray) -> None:
    """Note when each person last did this with each feature."""
    if not rows.any():
        return
    pairs = np.stack([sample.user[rows], sample.route[rows]], axis=1)
    different, inverse = np.unique(pairs, axis=0, return_inverse=True)
    last = np.full(len(different), -1, dtype=np.int64)
    np.maximum.at(last, inverse.reshape(-1), sample.at_us[rows])
    for (user, route), at_us in zip(different.tolist(), last.tolist(), strict=True):
        key = sample.users[user], sample.routes[route][2]
        latest[key] = max(latest.get(key, -1), at_us)
