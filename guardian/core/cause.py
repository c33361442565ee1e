"""Finds what tells bad requests from good ones (a route, a person, a release), with figures. Pure, and the same for
failures, slow answers and missing requests: only what counts as bad differs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Literal

import numpy as np

from guardian.core.counting import distinct
from guardian.core.evenness import EVEN, even_over

HALF = 0.5
"""A value must explain at least this share of the excess."""
DOUBT = 4.0
"""The log likelihood ratio that a value must exceed to differ beyond chance; the logarithm of the number of candidate
values is added."""
FEWEST, FEWEST_ALIKE = 5, 3
"""The fewest bad requests, and the fewest with the same kind of failure, for which a cause is named."""
DEPTH = 2
"""How many values may be nested: for example a release, and inside it one route."""


@dataclass(frozen=True, slots=True)
class Dimension:
    """A property by which requests can differ. `codes` holds each request's index in `values`, -1 for unknown: such
    requests count among the others, and are never the cause. `usual` is each value's share of bad requests at other
    times, NaN where it is not known; None where it is known of no value."""

    name: str
    codes: np.ndarray
    values: Sequence[Hashable]
    usual: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One value that tells bad from good. Of `of` bad requests (those left within what was found before it) `bad` have
    it; `requests` have it in all. Of the `other_requests` without it, `of - bad` are bad. `share` is the part of the
    excess that it explains, 0 to 1. Where the good requests are a sample, these are estimates of all."""

    dimension: str
    value: Hashable
    bad: int
    of: int
    requests: int
    other_requests: int
    share: float


@dataclass(frozen=True, slots=True)
class Cause:
    """What was found: the values that explain most of the excess, from the outside to the inside, and the dimensions
    over which it is spread evenly. Both are empty if no cause was found."""

    found: tuple[Found, ...] = ()
    even: tuple[str, ...] = ()

    def named(self, name: Callable[[str], str]) -> Cause:
        """The same with people written as `name` writes them."""
        found = (replace(f, value=name(str(f.value))) if f.dimension == "person" else f for f in self.found)
        return replace(self, found=tuple(found))


NOTHING_FOUND = Cause()
"""Nothing can be said."""


def find_cause(
    bad: np.ndarray,
    dimensions: Sequence[Dimension],
    *,
    base: float = 0.0,
    weight: np.ndarray | None = None,
    noise: np.ndarray | None = None,
    during: np.ndarray | None = None,
) -> Cause:
    """What tells the bad requests from the others.

    `bad` says of each request whether it is; `weight` for how many requests each stands (None: one). `noise` says which
    bad ones are so for another reason (None: of none it is known): they are not searched, but the figures count them.
    `during` says which requests came while it was so (None: all): only over those it can be spread evenly.
    `base` is the share of the rest that is bad at other times: only what is more than that is an excess. A value is
    named where it differs from all others beyond chance (log-likelihood ratio of one value against the rest, with a
    penalty for every value that could have been named) and explains at least half of the excess. Of those, the one with
    the highest ratio comes first; of equals, the one whose dimension stands first in `dimensions`.
    """
    flags = np.asarray(bad, dtype=bool)
    weight = np.ones(len(flags)) if weight is None else np.asarray(weight, dtype=float)
    kept, clear = np.ones(len(flags), dtype=bool), np.ones(len(flags), dtype=bool) if noise is None else ~noise
    table = _Table(flags, weight, clear)
    if weight[flags].sum() < FEWEST or table.bad < FEWEST_ALIKE:
        return NOTHING_FOUND
    excess = table.bad - base * table.all
    if excess <= 0:
        return NOTHING_FOUND
    choices = sum(max(len(distinct(d.codes[d.codes >= 0])), 1) for d in dimensions)
    found: list[Found] = []
    rest = list(dimensions)
    first: list[_Score] = []
    for depth in range(DEPTH):
        scores = [score for place, each in enumerate(rest) for score in _scores(table, each, excess, place)]
        first = first if depth else scores
        told = [score for score in scores if score.share >= HALF and score.ratio > DOUBT + log(max(choices, 1))]
        if not told:
            break
        best = max(told, key=lambda score: (round(score.ratio, 9), -score.place, score.bad))
        within, kept = kept, kept & (rest[best.place].codes == best.code)
        found.append(_found(rest.pop(best.place), best, flags, weight, within, kept))
        table = _Table(flags, weight, clear & kept)
    if found or any(score.share >= EVEN for score in first):
        return Cause(tuple(found))
    rows = clear if during is None else clear & during
    return Cause(even=even_over(((d.name, d.codes[rows]) for d in dimensions), flags[rows], weight[rows]))


def _found(
    dimension: Dimension, score: _Score, flags: np.ndarray, weight: np.ndarray, within: np.ndarray, mine: np.ndarray
) -> Found:
    """The value with its figures, among the requests inside the values found before."""
    bad, of, requests, every = (
        round(float(weight[rows].sum())) for rows in (mine & flags, within & flags, mine, within)
    )
    return Found(
        dimension.name, dimension.values[score.code], bad, of, requests, every - requests, min(score.share, 1.0)
    )


class _Table:
    """Weighted counts of bad and of all requests of some rows, and the number of rows."""

    def __init__(self, flags: np.ndarray, weight: np.ndarray, kept: np.ndarray) -> None:
        self.rows = np.flatnonzero(kept)
        self.flags, self.weight = flags[self.rows], weight[self.rows]
        self.bad = float(self.weight[self.flags].sum())
        self.all = float(self.weight.sum())
        seen_bad, seen = float(self.flags.sum()), float(len(self.rows))
        self.bad_scale = seen_bad / self.bad if self.bad else 1.0
        self.good_scale = (seen - seen_bad) / (self.all - self.bad) if self.all > self.bad else 1.0


@dataclass(frozen=True, slots=True)
class _Score:
    place: int
    code: int
    bad: float
    good: float
    share: float
    ratio: float


def _scores(table: _Table, dimension: Dimension, excess: float, place: int) -> Iterator[_Score]:
    """The score of each value that has more bad requests than it would have if it were like all others."""
    codes = dimension.codes[table.rows]
    known = codes >= 0
    size = len(dimension.values)
    if not size or not known.any():
        return
    weight, flags = table.weight[known], table.flags[known]
    of_all = np.bincount(codes[known], weights=weight, minlength=size)
    of_bad = np.bincount(codes[known], weights=weight * flags, minlength=size)
    others, others_bad = table.all - of_all, table.bad - of_bad
    there = (of_bad > 0) & (others > 1e-9)
    elsewhere = np.divide(others_bad, others, out=np.zeros(size), where=there)
    if dimension.usual is not None:
        elsewhere = np.fmax(elsewhere, dimension.usual)
    share = (of_bad - elsewhere * of_all) / excess
    for code in np.flatnonzero(there & (share > 0)):
        bad, good = float(of_bad[code]), float(of_all[code] - of_bad[code])
        rest_good = max(table.all - table.bad - good, 0.0)
        seen = (bad * table.bad_scale, good * table.good_scale)
        rest = (float(others_bad[code]) * table.bad_scale, rest_good * table.good_scale)
        yield _Score(place, int(code), bad, good, float(share[code]), how_unlike(seen, rest))


def how_unlike(mine: tuple[float, float], rest: tuple[float, float]) -> float:
    """The log likelihood ratio of two (bad, good) counts: separate shares of bad ones against a common one."""
    (a, b), (c, d) = mine, rest
    total = a + b + c + d
    parts = _entropy(a) + _entropy(b) + _entropy(c) + _entropy(d) + _entropy(total)
    return parts - _entropy(a + b) - _entropy(c + d) - _entropy(a + c) - _entropy(b + d)


def _entropy(n: float) -> float:
    return n * log(n) if n > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Way:
    """The kind of failure that explains most: `bad` of `of` failures are of this kind; at other times `before` of
    `before_requests` requests were, None where nothing is known of other times."""

    value: Hashable
    bad: int
    of: int
    before: int | None
    before_requests: int | None


def commonest_way(
    now: Mapping[Hashable, float], before: Mapping[Hashable, float], requests: int, before_requests: int
) -> Way | None:
    """The kind of failure that explains at least half of the excess: `now` says how many of `requests` failed in
    which way, `before` the same of the `before_requests` of another time. None where no kind does, or where too few
    failed."""
    failed = sum(now.values())
    if failed < FEWEST:
        return None
    ratio = requests / before_requests if before_requests else 0.0
    excess = failed - ratio * sum(before.values())
    value, bad = max(now.items(), key=lambda each: (each[1] - ratio * before.get(each[0], 0), each[1]))
    if excess <= 0 or bad - ratio * before.get(value, 0) < HALF * excess:
        return None
    if not before_requests:
        return Way(value, round(bad), round(failed), None, None)
    return Way(value, round(bad), round(failed), round(before.get(value, 0)), before_requests)


@dataclass(frozen=True, slots=True)
class MovedCause:
    """Why something moved in a report: the failures of a `feature` or with a `status` (the other one is ""), or the
    requests of a feature that are "more" or "missing" (`of`). `days` is 7 or 1 where it is compared with the same time
    so many days before, else `PERIOD_BEFORE`."""

    feature: str
    status: str
    of: Literal["failed", "more", "missing"]
    days: int
    cause: Cause = NOTHING_FOUND
    way: Way | None = None


PERIOD_BEFORE = -1
"""The time that is compared with is the period before."""
