import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardian.core.cause import NOTHING_FOUND, Dimension, Found, Way, commonest_way, find_cause


def requests(*groups):
    """Groups of (how many, bad, route, person, release) as the arguments of find_cause."""
    rows = [row for number, *row in groups for _ in range(number)]
    bad = np.array([row[0] for row in rows])
    dimensions = []
    for place, name in enumerate(("route", "person", "release"), 1):
        values = list(dict.fromkeys(row[place] for row in rows if row[place] is not None))
        codes = np.array([-1 if row[place] is None else values.index(row[place]) for row in rows])
        dimensions.append(Dimension(name, codes, values))
    return bad, dimensions


def first(cause):
    return (cause.found[0].dimension, cause.found[0].value) if cause.found else None


def test_one_release_that_fails_is_named_with_its_figures():
    bad, dimensions = requests(
        (60, True, "/chat", None, "2.4.1"), (5, False, "/chat", None, "2.4.1"),
        (1, True, "/chat", None, "2.4.0"), (199, False, "/chat", None, "2.4.0"),
    )  # fmt: skip
    (found,) = find_cause(bad, dimensions).found
    assert (found.dimension, found.value, found.bad, found.of) == ("release", "2.4.1", 60, 61)
    assert (found.requests, found.other_requests) == (65, 200)
    assert found.share == pytest.approx(60 / 61, abs=0.01)


def test_one_route_of_one_release_is_named_as_both():
    bad, dimensions = requests(
        (60, True, "/chat", None, "2.4.1"), (60, False, "/files", None, "2.4.1"),
        (100, False, "/chat", None, "2.4.0"), (100, False, "/files", None, "2.4.0"),
    )  # fmt: skip
    named = {(found.dimension, found.value) for found in find_cause(bad, dimensions).found}
    assert named == {("release", "2.4.1"), ("route", "/chat")}


def test_nothing_is_named_where_no_value_explains_half_of_the_excess():
    groups = [(12, True, f"/r{n}", None, "1") for n in range(3)] + [(12, False, f"/g{n}", None, "1") for n in range(20)]
    assert find_cause(*requests(*groups)) == NOTHING_FOUND


def test_what_has_most_of_the_traffic_is_not_blamed_where_all_fail_alike():
    bad, dimensions = requests(
        (80, True, "/chat", "ann", "1"), (80, False, "/chat", "ann", "1"),
        (20, True, "/files", "bob", "1"), (20, False, "/files", "bob", "1"),
    )  # fmt: skip
    cause = find_cause(bad, dimensions)
    assert cause.found == ()
    assert cause.even == ("route", "person")


def test_what_several_values_have_alone_is_not_spread_evenly():
    """Five of twenty routes fail, each with a fifth of the failures: none stands out, but the others are well."""
    groups = [(30, n < 5, f"/r{n}", f"u{k}", str(k % 2)) for n in range(20) for k in range(4)]
    cause = find_cause(*requests(*groups))
    assert (cause.found, cause.even) == ((), ("person", "release"))


def test_many_people_with_few_requests_each_are_spread_evenly_by_chance():
    chance = np.random.default_rng(7)
    for number in (600, 6_000):
        bad = chance.random(number) < 0.3
        people = Dimension("person", chance.integers(0, 200, number), range(200))
        assert find_cause(bad, [people]).even == ("person",)
    of_one_customer = Dimension("person", np.where(bad, people.codes % 70, people.codes), range(200))
    assert find_cause(bad, [of_one_customer]).even == ()


def test_where_only_some_are_left_the_missing_ones_are_not_spread_evenly():
    """Before, 120 requests of each of twelve people; now only two of them are there."""
    before = [(120, True, f"/r{n % 3}", f"u{n}", "1") for n in range(12)]
    left = [(60, False, f"/r{n % 3}", f"u{n}", "1") for n in range(2)]
    assert "person" not in find_cause(*requests(*before, *left), base=0.5).even
    alike = [(20, False, f"/r{n % 3}", f"u{n}", "1") for n in range(12)]
    assert find_cause(*requests(*before, *alike), base=0.5).even == ("route", "person")


def test_evenness_is_judged_by_the_requests_that_came_meanwhile():
    """Before, other people were there: that they met nothing says nothing of those who were there later."""
    groups = [(30, False, "/a", f"early{n}", "1") for n in range(10)]
    groups += [(10, bad, "/a", f"late{n}", "1") for n in range(10) for bad in (True, False)]
    bad, dimensions = requests(*groups)
    assert find_cause(bad, dimensions).even == ()
    assert find_cause(bad, dimensions, during=np.arange(500) >= 300).even == ("person",)


def test_few_bad_requests_say_nothing():
    assert find_cause(*requests((4, True, "/a", None, "1"), (99, False, "/b", None, "1"))) == NOTHING_FOUND
    assert find_cause(*requests((0, True, "/a", None, "1"))) == NOTHING_FOUND


def test_what_always_fails_is_not_the_cause_of_more_failures():
    bad, dimensions = requests(
        (50, True, "/old", None, "1"), (50, False, "/old", None, "1"), (200, False, "/x", None, "1")
    )
    route, *others = dimensions
    assert first(find_cause(bad, dimensions)) == ("route", "/old")
    usual = Dimension("route", route.codes, route.values, np.array([0.5, 0.0]))
    assert find_cause(bad, [usual, *others]).found == ()


def test_people_who_are_not_known_are_never_the_cause():
    bad, dimensions = requests((60, True, "/a", None, "1"), (60, False, "/a", "ann", "1"))
    assert all(found.dimension != "person" for found in find_cause(bad, dimensions).found)


def test_missing_requests_of_one_feature_are_found_as_bad_ones_of_before():
    """Before: 200 of each of two; now 200 of the one."""
    bad, dimensions = requests(
        (200, True, "/chat", None, "1"), (200, True, "/files", None, "1"), (200, False, "/files", None, "1")
    )
    (found,) = find_cause(bad, dimensions, base=0.5).found
    assert (found.value, found.bad, found.requests) == ("/chat", 200, 200)
    assert found.share == pytest.approx(1.0)


def test_a_sample_of_the_good_ones_counts_for_all_of_them():
    bad, dimensions = requests(
        (60, True, "/chat", None, "1"), (40, False, "/chat", None, "1"), (200, False, "/x", None, "1")
    )
    (found,) = find_cause(bad, dimensions, weight=np.where(bad, 1.0, 10.0)).found
    assert found == Found("route", "/chat", 60, 60, 460, 2000, 1.0)


def test_what_failed_for_another_reason_hides_no_cause_and_is_counted_in_the_figures():
    bad, dimensions = requests(
        (4, True, "/chat", "ann", "1"), (20, False, "/chat", "ann", "1"),
        (4, True, "/files", "bob", "1"), (140, False, "/files", "bob", "1"), (140, False, "/chat", "bob", "1"),
    )  # fmt: skip
    assert find_cause(bad, dimensions, base=0.01) == NOTHING_FOUND
    noise = bad & (dimensions[0].codes == 1)
    (found, *_) = find_cause(bad, dimensions, noise=noise).found
    assert (found.dimension, found.value, found.bad, found.of) == ("person", "ann", 4, 8)
    assert (found.requests, found.other_requests) == (24, 284)


def test_fewer_than_three_of_the_same_are_no_cause_whatever_fails_beside():
    bad, dimensions = requests((2, True, "/chat", "ann", "1"), (9, True, "/x", "b", "1"), (200, False, "/x", "b", "1"))
    assert find_cause(bad, dimensions, noise=bad & (dimensions[0].codes == 1)).found == ()


ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.sampled_from(["/a", "/b", "/c"]),
        st.sampled_from([None, "ann", "bob", "cleo"]),
        st.sampled_from(["1", "2"]),
    ),
    min_size=1,
    max_size=60,
)
BLAMED = st.sampled_from(["/a", "/b", "/c"])


def grouped(rows, blamed, times=1):
    planted = [(bad or route == blamed, route, who, release) for bad, route, who, release in rows]
    return [(times, *row) for row in planted]


@given(ROWS, BLAMED, st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_requests_changes_nothing(rows, blamed, chance):
    groups = grouped(rows, blamed, 4)
    shuffled = groups[:]
    chance.shuffle(shuffled)
    assert facts(find_cause(*requests(*groups))) == facts(find_cause(*requests(*shuffled)))


@given(ROWS, BLAMED)
@settings(max_examples=150, deadline=None)
def test_the_names_of_values_change_nothing(rows, blamed):
    groups = grouped(rows, blamed, 4)
    names = {
        "/a": "zz",
        "/b": "(other)",
        "/c": "",
        "ann": "x",
        "bob": "y",
        "cleo": "z",
        "1": "9",
        "2": "10",
        None: None,
    }
    renamed = [(times, bad, *(names[each] for each in row)) for times, bad, *row in groups]
    then = [(f.dimension, names[f.value], *rest) for f, *rest in facts(find_cause(*requests(*groups)))]
    assert then == [(f.dimension, f.value, *rest) for f, *rest in facts(find_cause(*requests(*renamed)))]


@given(ROWS, BLAMED, st.integers(2, 20))
@settings(max_examples=150, deadline=None)
def test_what_is_found_is_found_in_many_times_as_many_of_the_same_too(rows, blamed, times):
    few = [(f.dimension, f.value) for f in find_cause(*requests(*grouped(rows, blamed, 4))).found]
    many = [(f.dimension, f.value) for f in find_cause(*requests(*grouped(rows, blamed, 4 * times))).found]
    assert many[: len(few)] == few


def facts(cause):
    return [(f, f.bad, f.of, f.requests, f.other_requests, round(f.share, 6)) for f in cause.found]


def test_the_way_to_fail_that_is_new_is_told_with_how_often_it_was_before():
    now = {"KeyError at chat.py:118": 108, "HTTP 404": 20}
    before = {"HTTP 404": 25}
    assert commonest_way(now, before, 700, 4012) == Way("KeyError at chat.py:118", 108, 128, 0, 4012)


def test_a_way_to_fail_that_is_as_frequent_as_ever_explains_nothing():
    now = {"HTTP 404": 60, "A": 8, "B": 8, "C": 8}
    assert commonest_way(now, {"HTTP 404": 60}, 500, 500) is None


def test_where_nothing_is_known_of_before_the_commonest_way_stands_alone():
    assert commonest_way({"A": 8, "B": 1}, {}, 20, 0) == Way("A", 8, 9, None, None)
    assert commonest_way({"A": 4}, {}, 20, 0) is None
