"""Why requests are slow: judged by those above the limit, and by how many took longer than is usual for their endpoint.
Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from guardian.alerting.dimensions import KNOWN_OF_ONE, dimension_of, dimensions_of, share_of
from guardian.alerting.sample import Route, Sample
from guardian.core.cause import FEWEST_ALIKE, HALF, NOTHING_FOUND, Cause, Found, find_cause, how_unlike

FEW = 50
"""With at least this many slow requests, they are enough to find the cause by themselves."""
UNLIKE = 2.0
"""With fewer, a difference must also be this unlikely by chance: a log likelihood ratio."""
USUALLY = 0.9
"""The share of a route's requests that its usual time covers."""


@dataclass(frozen=True, slots=True)
class _Lasted:
    """Whether each request took longer than is usual for its route (1, else 0; -1: unknown), for the requests of the
    incident's sample (`now`) and of the comparison (`then`); `usual` is the usual share of such requests."""

    now: np.ndarray
    then: np.ndarray
    usual: float


def slow_cause(
    cause: Cause, now: Sample, slow: np.ndarray, before: Sample, then: np.ndarray, earlier: np.ndarray
) -> Cause:
    """The cause of slowness. `cause` is what the requests above the limit (flagged 1 in `slow`) show by themselves.

    If they are too few, the search uses the requests that took longer than is usual for their route, which are many
    more; a value found that way is named if it explains most of the slow ones too, with the figures of the slow ones. A
    value is dropped if all other requests take longer than usual as well. `before` are requests of the comparison
    period, `then` flags the slow ones among them, `earlier` the requests of `now` from before the incident. What is
    usual comes from `before`, or else from `earlier`; without either, `cause` is all that is known.
    """
    lasted = _lasted(now, before, earlier)
    if lasted is None:
        return cause
    during = ~earlier & (lasted.now >= 0)
    if cause.found:
        return cause if _stands_out(cause.found[0], now, lasted, during) else NOTHING_FOUND
    if cause.even or now.weight[slow == 1].sum() >= FEW:
        return cause
    known = lasted.then >= 0
    usual = before.only(known), lasted.then[known]
    slow_base = share_of(before, then) or 0.0
    for rows in (during, lasted.now >= 0):
        seen, flags = now.only(rows), lasted.now[rows] == 1
        clue = find_cause(flags, dimensions_of(seen, *usual), base=lasted.usual, weight=seen.weight)
        found = tuple(_counted(clue.found, now, slow == 1, slow_base))
        if found and _stands_out(found[0], now, lasted, during):
            return Cause(found)
    return NOTHING_FOUND


def _stands_out(found: Found, now: Sample, lasted: _Lasted, during: np.ndarray) -> bool:
    """Whether requests with this value exceed their usual time much more often than the others do. True where there is
    nothing to compare with."""
    mine = _having(found, now)
    with_it, without = (_share(now, lasted.now, during & rows) for rows in (mine, ~mine))
    if with_it is None or without is None:
        return True
    return without - lasted.usual < HALF * (with_it - lasted.usual)


def _share(sample: Sample, flags: np.ndarray, rows: np.ndarray) -> float | None:
    """The share of these requests that is flagged; None where there are no requests."""
    weight = sample.weight[rows]
    return float((weight * flags[rows]).sum() / weight.sum()) if len(weight) else None


def _having(found: Found, sample: Sample) -> np.ndarray:
    """Flags of the requests that have the value found."""
    dimension = dimension_of(found.dimension, [sample])
    mine: np.ndarray = dimension.codes == list(dimension.values).index(found.value)
    return mine


def _counted(clues: Sequence[Found], now: Sample, slow: np.ndarray, base: float) -> Iterator[Found]:
    """These values with the figures of the slow requests, stopping before the first that does not explain most of
    them."""
    within = np.ones(len(now), dtype=bool)
    for clue in clues:
        mine = within & _having(clue, now)
        bad, of, requests, every = (
            float(now.weight[rows].sum()) for rows in (mine & slow, within & slow, mine, within)
        )
        others = every - requests
        elsewhere = max((of - bad) / others, base) if others else base
        excess = of - base * every
        share = (bad - elsewhere * requests) / excess if excess > 0 else 0.0
        unlike = how_unlike((bad, requests - bad), (of - bad, others - (of - bad)))
        if bad < FEWEST_ALIKE or share < HALF or unlike < UNLIKE:
            return
        yield Found(clue.dimension, clue.value, round(bad), round(of), round(requests), round(others), min(share, 1.0))
        within = mine


def _lasted(now: Sample, before: Sample, earlier: np.ndarray) -> _Lasted | None:
    """Which requests took longer than usual; None where too little is known about what is usual."""
    was = now.only(earlier)
    for usual in (before, was):
        limits = _limits(usual)
        flags = _above(usual, limits)
        share = share_of(usual.only(flags >= 0), flags[flags >= 0])
        if share is not None:
            return _Lasted(_above(now, limits), _above(before, limits), share)
    return None


def _limits(usual: Sample) -> dict[Route, float]:
    """The usual time (µs) of each route that has enough requests."""
    found = dict[Route, float]()
    for code, route in enumerate(usual.routes):
        took_us = usual.duration_us[usual.route == code]
        if len(took_us) >= KNOWN_OF_ONE:
            found[route] = float(np.quantile(took_us, USUALLY))
    return found


def _above(sample: Sample, limits: dict[Route, float]) -> np.ndarray:
    """1 for each request that took longer than its route's usual time, else 0; -1 for routes without one."""
    table = np.array([*(limits.get(route, np.nan) for route in sample.routes), np.nan])
    limit = table[sample.route]
    found: np.ndarray = np.where(np.isnan(limit), -1, sample.duration_us > limit).astype(np.int8)
    return found
