"""Whether what is bad is spread over the values of a dimension as the good is. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

EVEN, EVEN_BAD = 0.25, 50
"""Of at least so many bad requests; and so small a part of them may be where good ones are not."""
NORMAL = 0.4
"""So much of its standard deviation a count is above what is expected on average, and 0 where it is below."""


def even_over(dimensions: Iterable[tuple[str, np.ndarray]], bad: np.ndarray, weight: np.ndarray) -> tuple[str, ...]:
    """Over which of these dimensions the bad requests are spread evenly: each has its name and the code of each
    request's value, -1 for an unknown one. Of one with a single value nothing is said, nor where few are bad.
    `weight` says for how many requests each stands."""
    if weight[bad].sum() < EVEN_BAD:
        return ()
    several = ((name, codes) for name, codes in dimensions if len(np.unique(codes[bad & (codes >= 0)])) > 1)
    return tuple(name for name, codes in several if unevenness(codes, bad, weight) < EVEN)


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
