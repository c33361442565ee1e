"""Significance tests: whether two numbers differ by more than chance. Pure, and exact for small numbers too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import exp, lgamma, log

LEVEL = 0.01
"""The significance level: if nothing has changed, the largest probability that any of the questions asked at once finds
a change."""
_TINY = 1e-17
_Likely = Callable[[int], float]


def shares_differ(some: int, of: int, others: int, of_others: int) -> float:
    """How likely it is that `some` of `of` and `others` of `of_others` differ so much, if both have one share: Fisher's
    exact test, twice the lesser tail, at most 1.0. It is 1.0 where there is nobody on one side."""
    if not of or not of_others:
        return 1.0
    together, all_of = some + others, of + of_others
    fixed = _choose(all_of, together)

    def likely(k: int) -> float:
        return exp(_choose(of, k) + _choose(of_others, together - k) - fixed)

    return _twice_the_lesser(likely, some, max(0, together - of_others), min(of, together), of * together / all_of)


def count_differs(count: int, before: Sequence[int]) -> float:
    """How likely it is that a count lies so far from those of times of the same length before, if they come at one
    rate: the conditional binomial test, twice the lesser tail, at most 1.0; 1.0 where nothing is known of before."""
    total, times = count + sum(before), len(before) + 1
    if not before or not total:
        return 1.0
    hit, miss = log(1 / times), log(1 - 1 / times)

    def likely(k: int) -> float:
        return exp(_choose(total, k) + k * hit + (total - k) * miss)

    return _twice_the_lesser(likely, count, 0, total, total / times)


def beyond_chance(likelihoods: Sequence[float], level: float = LEVEL) -> list[bool]:
    """Which of many differences are beyond chance: with Holm's correction, so that where nothing has changed, anything
    at all is found in no more than `level` of the cases, however many are asked for."""
    found = [False] * len(likelihoods)
    for rank, place in enumerate(sorted(range(len(likelihoods)), key=lambda place: likelihoods[place])):
        if likelihoods[place] > level / (len(likelihoods) - rank):
            break
        found[place] = True
    return found


def _twice_the_lesser(likely: _Likely, at: int, low: int, high: int, mean: float) -> float:
    """Sums from the number away from the mean, where few terms matter; the other tail is the rest."""
    away = range(at, high + 1) if at >= mean else range(at, low - 1, -1)
    tail = sum(_falling(likely, away))
    return min(1.0, 2 * min(tail, 1 - tail + likely(at)))


def _falling(likely: _Likely, places: range) -> Iterator[float]:
    """The terms from one position on, as far as they matter."""
    for place in places:
        term = likely(place)
        yield term
        if term < _TINY:
            return


def _choose(n: int, k: int) -> float:
    """The logarithm of the number of ways to choose k of n."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
