"""Whether bad requests are spread over the values of a dimension as evenly as good ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

EVEN, EVEN_BAD = 0.25, 50
"""The largest `unevenness` that still counts as even, and the fewest bad requests for saying so."""
MOST = 0.75
"""If all requests are bad and one value has a larger share of them than this, they do not count as spread."""
NORMAL = 0.4
"""The mean excess of a count over its expectation, in standard deviations and taking 0 if it is below: that of a normal
distribution."""


def even_over(dimensions: Iterable[tuple[str, np.ndarray]], bad: np.ndarray, weight: np.ndarray) -> tuple[str, ...]:
    """Over which of these dimensions the bad requests are spread evenly: each has its name and the code of each
    request's value, -1 for an unknown one. Of one with a single value nothing is said, nor where few are bad, nor
    where one value has nearly all and there are no good ones to compare with. `weight` says for how many requests
    each stands."""
    if weight[bad].sum() < EVEN_BAD:
        return ()
    most = MOST if bad.all() else 1.0
    several = ((name, codes) for name, codes in dimensions if _several(codes, bad & (codes >= 0), weight, most))
    return tuple(name for name, codes in several if unevenness(codes, bad, weight) < EVEN)


def _several(codes: np.ndarray, rows: np.ndarray, weight: np.ndarray, most: float) -> bool:
    """Whether these requests have several values, none of which has more than this share of them."""
    counts = np.bincount(codes[rows], weight[rows])
    return bool(np.count_nonzero(counts) > 1 and counts.max() <= most * counts.sum())


def unevenness(codes: np.ndarray, bad: np.ndarray, weight: np.ndarray) -> float:
    """Which part of the bad requests has values that the good ones have not, beyond what chance makes of an even
    spread: 0 where all values have the same share of bad requests, near 1 where some have all and the others none; 0
    too where all are bad, or none is."""
    known = codes >= 0
    codes, bad, weight = codes[known], bad[known], weight[known]
    of_all, of_bad = np.bincount(codes, weight), np.bincount(codes, weight * bad)
    if bad.all() or not bad.any():
        return 0.0
    rate = of_bad.sum() / of_all.sum()
    beyond = np.clip(of_bad - rate * of_all, 0, None).sum()
    # Whether a request is bad turns this difference by so much, and by chance it is so for as many of each value.
    share, turn = bad.mean(), weight[bad].mean() * (1 - rate) + weight[~bad].mean() * rate
    by_chance = NORMAL * turn * np.sqrt(np.bincount(codes) * share * (1 - share)).sum()
    return max(0.0, float((beyond - by_chance) / (of_bad.sum() * (1 - rate))))
