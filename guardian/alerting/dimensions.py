"""The dimensions of a sample of requests (release, endpoint, person …) in which a cause is searched, and how each
request failed. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from zoneinfo import ZoneInfo

import numpy as np

from guardian.alerting.sample import Sample
from guardian.core.cause import Dimension, Way
from guardian.core.counting import distinct
from guardian.core.time import moment
from guardian.core.unlinked import is_unlinked
from tracker.event import ANONYMOUS

KNOWN = 50
"""The fewest requests of a comparison period from which the usual share of bad ones is taken."""
KNOWN_OF_ONE = 20
"""The same for the requests with one value of a dimension."""
QUARTER_US = 900_000_000
FEWEST_HOURS = 4
"""A single hour of the day is only named as a cause where the requests spread over at least this many."""


def failed_by(way: Way, sample: Sample) -> np.ndarray:
    """1 for each request that failed in this way."""
    same = np.array([*(each == way.value for each in sample.failures), False], dtype=np.int8)
    found: np.ndarray = same[sample.failure]
    return found


def of_feature(sample: Sample, feature: str | None) -> Sample:
    """The requests of the feature; None means all."""
    if feature is None:
        return sample
    wanted = np.array([name == feature for _, _, name in sample.routes], dtype=bool)
    return sample.only(wanted[sample.route]) if len(sample) else sample


def share_of(sample: Sample, flags: np.ndarray) -> float | None:
    """The share of bad requests; None where there are fewer than KNOWN."""
    return float((sample.weight * flags).sum() / sample.weight.sum()) if sample.requests >= KNOWN else None


def ways_of(sample: Sample, flags: np.ndarray, when: np.ndarray) -> dict[Hashable, float]:
    """How many of the requests flagged in both arrays failed in which way."""
    found: dict[Hashable, float] = {}
    bad = sample.only(when & (flags == 1) & (sample.failure >= 0))
    for code, weight in zip(bad.failure.tolist(), bad.weight.tolist(), strict=True):
        found[sample.failures[code]] = found.get(sample.failures[code], 0.0) + weight
    return found


def _values(sample: Sample, name: str) -> tuple[np.ndarray, list[Hashable | None]]:
    """The codes of the dimension of this name and the values that they stand for; None for a value that is never named
    as a cause."""
    match name:
        case "release":
            return sample.source, [each.release or None for each in sample.sources]
        case "instance":
            return sample.source, [each.instance or None for each in sample.sources]
        case "person":
            return sample.user, [None if is_nobody(who) else who for who in sample.users]
    place = ("route", "method", "feature").index(name)  # as `sample.routes` has them
    return sample.route, [route[place] for route in sample.routes]


def is_nobody(name: str) -> bool:
    """Whether this stands for nobody in particular: anonymous requests, or an erased person."""
    return name == ANONYMOUS or is_unlinked(name)


def dimension_of(name: str, samples: Sequence[Sample]) -> Dimension:
    """One dimension of several samples, concatenated: equal values get equal codes."""
    known: dict[Hashable, int] = {}
    parts = []
    for sample in samples:
        codes, values = _values(sample, name)
        table = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
        parts.append(np.array([*table, -1], dtype=np.int64)[codes])  # code -1 picks the last
    return Dimension(name, np.concatenate(parts), [*known])


def dimensions_of(now: Sample, before: Sample, then: np.ndarray) -> list[Dimension]:
    """The dimensions of `now`, with the usual share of bad requests for each value: from `before`, whose bad ones
    `then` flags."""
    names = ("release", "route", "instance", "person", "method")
    return [_beside(dimension_of(name, (now, before)), now, before, then) for name in names]


def hours_of(now: Sample, before: Sample, then: np.ndarray, zone: ZoneInfo) -> list[Dimension]:
    """The dimension "hour of the day" in the zone, such as "14:00"; empty where the requests of `now` come from fewer
    than FEWEST_HOURS."""
    at_us = np.concatenate([now.at_us, before.at_us])
    quarters, which = np.unique(at_us // QUARTER_US, return_inverse=True)  # zones differ by quarters of an hour
    table = np.array([moment(int(each) * QUARTER_US).astimezone(zone).hour for each in quarters], dtype=np.int64)
    codes = table[which.reshape(-1)] if len(at_us) else np.zeros(0, dtype=np.int64)
    if len(distinct(codes[: len(now)])) < FEWEST_HOURS:
        return []
    return [_beside(Dimension("hour", codes, [f"{hour:02}:00" for hour in range(24)]), now, before, then)]


def _beside(both: Dimension, now: Sample, before: Sample, then: np.ndarray) -> Dimension:
    """The part of `both` (`now`, then `before`) that belongs to `now`, with the usual share of bad requests taken from
    the other part."""
    codes, earlier = both.codes[: len(now)], both.codes[len(now) :]
    size, known = len(both.values), earlier >= 0
    of_all = np.bincount(earlier[known], before.weight[known], size)
    of_bad = np.bincount(earlier[known], (before.weight * then)[known], size)
    usual = np.divide(of_bad, of_all, out=np.full(size, np.nan), where=of_all >= KNOWN_OF_ONE)
    return Dimension(both.name, codes, both.values, usual)
