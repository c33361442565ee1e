"""Why requests are slow: by those above the limit, and by how long all of them took beside what is usual. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from guardian.alerting.dimensions import KNOWN_OF_ONE, dimension_of, dimensions_of, share_of
from guardian.alerting.sample import Route, Sample
from guardian.core.cause import FEWEST_ALIKE, HALF, NOTHING_FOUND, Cause, Found, find_cause, how_unlike

FEW = 50
"""With so many slow requests they tell by themselves what can be told."""
UNLIKE = 2.0
"""Fewer must be so much more likely to differ than by chance, too: e to the power of this."""
USUALLY = 0.9
"""So many of a route's requests are within its usual time."""


@dataclass(frozen=True, slots=True)
class _Lasted:
    """Whether each request took longer than its route does usually (1, else 0; -1 where that is not known): those of
    the incident and of before, those of another time, and which share of them does at other times."""

    now: np.ndarray
    then: np.ndarray
    usual: float


def slow_cause(
    cause: Cause, now: Sample, slow: np.ndarray, before: Sample, then: np.ndarray, earlier: np.ndarray
) -> Cause:
    """What is slow, given what the requests above the limit tell by themselves, flagged in `slow` (1, else 0).

    Where those are too few to tell, the requests do that took longer than is usual on their route: they are many more.
    Where a value tells these apart, and explains most of the slow ones too, it is named, with the figures of the slow
    ones. And what was found is no cause where all others take longer than usual as well.

    `before` are requests of another time, `then` which of them were slow; `earlier` says which of `now` came before the
    incident. What came earlier says what is usual, where nothing of another time does; where neither does, `cause` is
    all that is known.
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
    """Whether what has this value takes longer than usual much more often than what has not; also where there is
    nothing to compare it with."""
    mine = _having(found, now)
    with_it, without = (_share(now, lasted.now, during & rows) for rows in (mine, ~mine))
    if with_it is None or without is None:
        return True
    return without - lasted.usual < HALF * (with_it - lasted.usual)


def _share(sample: Sample, flags: np.ndarray, rows: np.ndarray) -> float | None:
    """Which share of these requests is flagged, None of none."""
    weight = sample.weight[rows]
    return float((weight * flags[rows]).sum() / weight.sum()) if len(weight) else None


def _having(found: Found, sample: Sample) -> np.ndarray:
    """Which requests have the value."""
    dimension = dimension_of(found.dimension, [sample])
    mine: np.ndarray = dimension.codes == list(dimension.values).index(found.value)
    return mine


def _counted(clues: Sequence[Found], now: Sample, slow: np.ndarray, base: float) -> Iterator[Found]:
    """These values with the figures of the slow requests, up to the first that does not explain most of them."""
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
    """What took longer than usual; None where too little is known of what is usual."""
    was = now.only(earlier)
    for usual in (before, was):
        limits = _limits(usual)
        flags = _above(usual, limits)
        share = share_of(usual.only(flags >= 0), flags[flags >= 0])
        if share is not None:
            return _Lasted(_above(now, limits), _above(before, limits), share)
    return None


def _limits(usual: Sample) -> dict[Route, float]:
    """By route, within how many µs it answers usually; only those of which enough is known."""
    found = dict[Route, float]()
    for code, route in enumerate(usual.routes):
        took_us = usual.duration_us[usual.route == code]
        if len(took_us) >= KNOWN_OF_ONE:
            found[route] = float(np.quantile(took_us, USUALLY))
    return found


def _above(sample: Sample, limits: dict[Route, float]) -> np.ndarray:
    """1 for each request that took longer than its route's limit, 0 for each other one, -1 where there is none."""
    table = np.array([*(limits.get(route, np.nan) for route in sample.routes), np.nan])
    limit = table[sample.route]
    found: np.ndarray = np.where(np.isnan(limit), -1, sample.duration_us > limit).astype(np.int8)
    return found
