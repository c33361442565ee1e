from fractions import Fraction
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.chance import LEVEL, beyond_chance, count_differs, shares_differ


def plainly(some, of, others, of_others):
    """Fisher's exact test as the textbook has it."""
    together, everybody = some + others, of + of_others

    def likely(k):
        return comb(of, k) * comb(of_others, together - k) / comb(everybody, together)

    low, high = max(0, together - of_others), min(of, together)
    return min(1.0, 2 * min(sum(map(likely, range(low, some + 1))), sum(map(likely, range(some, high + 1)))))


shares = st.integers(0, 60).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(shares, shares)
def test_two_shares_are_compared_as_fisher_does(one, other):
    expected = plainly(*one, *other) if one[1] and other[1] else 1.0
    assert shares_differ(*one, *other) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert shares_differ(*other, *one) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_shares_of_fifty_thousand_are_compared_too():
    assert shares_differ(25_000, 50_000, 25_000, 50_000) == 1.0
    assert shares_differ(25_000, 50_000, 20_000, 50_000) < 1e-100
    assert 0.3 < shares_differ(25_080, 50_000, 25_000, 50_000) < 0.9


@given(st.integers(0, 40), st.lists(st.integers(0, 40), min_size=1, max_size=7))
def test_a_count_is_compared_with_those_before_by_the_binomial_test(count, before):
    total, share = count + sum(before), Fraction(1, len(before) + 1)
    below, above = range(count + 1), range(count, total + 1)
    tails = [sum(comb(total, k) * share**k * (1 - share) ** (total - k) for k in tail) for tail in (below, above)]
    assert count_differs(count, before) == pytest.approx(min(1.0, float(2 * min(tails))), rel=1e-6, abs=1e-9)


def test_nothing_before_means_nothing_differs():
    assert count_differs(50, []) == count_differs(0, [0, 0]) == shares_differ(3, 3, 0, 0) == 1.0


@pytest.mark.parametrize(
    ("likelihoods", "found"),
    [
        ([], []),
        ([LEVEL], [True]),
        ([LEVEL, 0.5], [False, False]),
        ([LEVEL / 2, LEVEL], [True, True]),
        ([0.5, LEVEL / 3, LEVEL / 1.9], [False, True, False]),
    ],
)
def test_the_more_is_asked_for_the_less_likely_it_must_be(likelihoods, found):
    assert beyond_chance(likelihoods) == found
