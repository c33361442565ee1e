"""Whom to tell: who met the failures of an incident, and how it went for each of them since. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.sample import Sample
from guardian.core.unlinked import is_unlinked
from tracker.event import ANONYMOUS

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

MOST_ROWS = 300_000
"""So many requests are looked at, from the beginning of the incident on; of what comes later nothing is said."""

Fate = Literal["back", "again", "away"]
"""How it went for a person after their last failure: `back` used the same feature with success, `again` failed at it
after the incident was over, `away` did neither. Of both, what came last counts."""


class Hit(NamedTuple):
    """One person who was hit: how often, when first and last (µs), at which endpoint and feature last, and since."""

    name: str
    times: int
    first_us: int
    last_us: int
    endpoint: str
    feature: str
    fate: Fate


@dataclass(frozen=True, slots=True)
class Whom:
    """Who was hit: `people`, those to write to first (away, then again, then back), in each the most often hit first.

    `erased` counts people who were erased since, `anonymous` the failed requests of nobody who is known: neither is
    named. Requests were read up to `until_us`, which is before now where there are too many; then `cut` is true.
    """

    people: tuple[Hit, ...] = ()
    erased: int = 0
    anonymous: int = 0
    until_us: int = 0
    cut: bool = False

    @property
    def number(self) -> int:
        """How many people were hit."""
        return len(self.people) + self.erased

    def fared(self, *fates: Fate) -> tuple[Hit, ...]:
        """Those for whom it went so."""
        return tuple(hit for hit in self.people if hit.fate in fates)

    def named(self, name: Callable[[str], str]) -> Whom:
        """The same with people written as `name` writes them."""
        return replace(self, people=tuple(hit._replace(name=name(hit.name)) for hit in self.people))


NOBODY = Whom()
"""Nobody was hit, or nobody looks."""
_ORDER: dict[Fate, int] = {"away": 0, "again": 1, "back": 2}


def whom(rule: Rule, incident: Incident, now_us: int, read: Callable[[int, int], Sample]) -> Whom:
    """Who was hit by this incident, and how it went since.

    Hit are those whose requests the rule counts as failed (or too slow) from its beginning to its end, or to now while
    it goes on. `read` gives the sample of [start, end), µs; one that leaves requests out is read again in halves.
    Nobody for rules that are not about what fails.
    """
    if kind_of(rule).bad is None or kind_of(rule).traffic:
        return NOBODY
    until_us = now_us

    def pieces() -> Iterator[Sample]:
        nonlocal until_us
        left = MOST_ROWS
        for end_us, sample in _whole(read, incident.first_us, now_us):
            yield sample
            left -= len(sample)
            if left <= 0:
                until_us = end_us
                return

    found = told_by(rule, incident, pieces())
    return replace(found, until_us=until_us, cut=until_us < now_us)


def _whole(read: Callable[[int, int], Sample], start_us: int, end_us: int) -> Iterator[tuple[int, Sample]]:
    """Samples of [start, end) that leave nothing out, in order, each with its end."""
    open_ = [(start_us, end_us)] if start_us < end_us else []
    while open_:
        first, last = open_.pop()
        sample = read(first, last)
        if len(sample) and float(sample.weight.max()) > 1 and last - first > SECOND:
            middle = (first + last) // 2
            open_ += [(middle, last), (first, middle)]
        else:
            yield last, sample


class _Met:
    """What one person met: how often, first, last (µs) and where."""

    def __init__(self, at_us: int) -> None:
        self.times, self.first_us, self.last_us, self.endpoint, self.feature = 0, at_us, -1, "", ""


def told_by(rule: Rule, incident: Incident, samples: Iterable[Sample]) -> Whom:
    """The same from all requests since the beginning of the incident, in samples of any order."""
    kind, over_us = kind_of(rule), incident.over_us
    assert kind.bad is not None
    met: dict[str, _Met] = {}
    good: dict[tuple[str, str], int] = {}
    bad: dict[tuple[str, str], int] = {}
    anonymous = 0
    for sample in samples:
        flags = kind.bad(rule, incident, sample)
        wanted = _wanted(sample, kind.feature(incident), incident.subject if kind.of_one_user else None)
        failed = wanted & (flags == 1) & (sample.at_us >= incident.first_us)
        later = failed & (sample.at_us > over_us) if over_us is not None else np.zeros(len(sample), dtype=bool)
        for row in np.flatnonzero(failed & ~later).tolist():
            name, at_us = sample.users[sample.user[row]], int(sample.at_us[row])
            if name == ANONYMOUS:
                anonymous += 1
                continue
            mine = met.setdefault(name, _Met(at_us))
            mine.times += 1
            mine.first_us = min(mine.first_us, at_us)
            endpoint, _, feature = sample.routes[sample.route[row]]
            if (at_us, endpoint, feature) > (mine.last_us, mine.endpoint, mine.feature):
                mine.last_us, mine.endpoint, mine.feature = at_us, endpoint, feature
        _note(good, sample, wanted & (flags == 0) & (sample.failure < 0))
        _note(bad, sample, later)
    hits = [
        Hit(name, m.times, m.first_us, m.last_us, m.endpoint, m.feature, _fate(m, name, good, bad))
        for name, m in met.items()
        if not is_unlinked(name)
    ]
    hits.sort(key=lambda hit: (_ORDER[hit.fate], -hit.times, hit.name))
    return Whom(tuple(hits), len(met) - len(hits), anonymous)


def _wanted(sample: Sample, feature: str | None, user: str | None) -> np.ndarray:
    """Which rows are of the feature and the person that it is about; None: of any."""
    rows = np.ones(len(sample), dtype=bool)
    if feature is not None and len(sample):
        rows &= np.array([name == feature for _, _, name in sample.routes], dtype=bool)[sample.route]
    if user is not None and len(sample):
        rows &= np.array([name == user for name in sample.users], dtype=bool)[sample.user]
    return rows


def _note(latest: dict[tuple[str, str], int], sample: Sample, rows: np.ndarray) -> None:
    """Note when each person last did so with each feature."""
    if not rows.any():
        return
    pairs = np.stack([sample.user[rows], sample.route[rows]], axis=1)
    different, inverse = np.unique(pairs, axis=0, return_inverse=True)
    last = np.full(len(different), -1, dtype=np.int64)
    np.maximum.at(last, inverse.reshape(-1), sample.at_us[rows])
    for (user, route), at_us in zip(different.tolist(), last.tolist(), strict=True):
        key = sample.users[user], sample.routes[route][2]
        latest[key] = max(latest.get(key, -1), at_us)


def _fate(met: _Met, name: str, good: dict[tuple[str, str], int], bad: dict[tuple[str, str], int]) -> Fate:
    well, failed = (each.get((name, met.feature), -1) for each in (good, bad))
    if max(well, failed) <= met.last_us:
        return "away"
    return "back" if well > failed else "again"
