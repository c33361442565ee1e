from itertools import pairwise
from math import log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.summary import Route, Summary, active_minutes, bin_of, merge, merge_all, quantile_ms
from guardian.core.totals import Totals
from tests.support.events import event
from tracker.event import Failure

MINUTE = 60_000_000


NOTED = Failure("Noted", "tool error")


USERS = ["ada@example.com", "bob@example.com", "anonymous"]
FEATURES = ["chat", "documents"]
events = st.lists(
    st.builds(
        event,
        st.integers(0, 6 * 60).map(lambda minute: 10**15 + minute * MINUTE),
        user=st.sampled_from(USERS),
        status=st.sampled_from([200, 404, 413, 500]),
        duration_us=st.integers(0, 40 * MINUTE),
        feature=st.sampled_from(FEATURES),
        failure=st.sampled_from([None, None, NOTED]),
        latency_us=st.sampled_from([None, 0, 700]),
    )
).map(lambda found: sorted(found, key=lambda e: e.at_us))


@given(events, st.data())
def test_the_summaries_of_any_pieces_merge_to_that_of_the_whole(found, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=4)))
    edges = [0, *cuts, len(found)]
    pieces = [Summary.of(found[a:b]) for a, b in pairwise(edges)]
    assert merge_all(pieces) == Summary.of(found)


@given(events, st.integers(0, 50), st.integers(0, 50))
def test_merging_is_associative_and_an_empty_window_changes_nothing(found, first, second):
    low, high = sorted((first, second))
    a, b, c = Summary.of(found[:low]), Summary.of(found[low:high]), Summary.of(found[high:])
    assert merge(merge(a, b), c) == merge(a, merge(b, c))
    assert merge(Summary(), a) == merge(a, Summary()) == a


@given(events, st.integers(0, 50))
def test_merging_leaves_its_parts_as_they_were(found, cut):
    a, b = Summary.of(found[:cut]), Summary.of(found[cut:])
    merge(a, b)
    assert (a, b) == (Summary.of(found[:cut]), Summary.of(found[cut:]))


def totals(found):
    numbers = [(e.at_us, USERS.index(e.user), FEATURES.index(e.feature), e.outcome, e.duration_us) for e in found]
    latencies = [e.duration_us if e.latency_us is None else e.latency_us for e in found]
    return Totals.of([(*row, latency) for row, latency in zip(numbers, latencies, strict=True)])


def named(totals):
    routes = {number: Route(name, f"/{name}", "GET") for number, name in enumerate(FEATURES)}
    return totals.summary(dict(enumerate(USERS)), routes)


@given(events, st.data())
def test_arrays_hold_and_merge_to_the_same_totals_before_and_after_they_were_stored(found, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(found)), max_size=4)))
    parts = [totals(found[a:b]) for a, b in pairwise([0, *cuts, len(found)])]
    assert named(Totals.merge(parts)) == named(totals(found)) == Summary.of(found)
    assert named(Totals.merge([Totals.unpack(part.pack()) for part in parts])) == Summary.of(found)


@given(st.lists(st.integers(1, 10**12), min_size=1), st.floats(0, 1))
def test_a_quantile_is_within_one_percent_of_the_exact_one(durations, q):
    bins = {}
    for duration in durations:
        bins[bin_of(duration)] = bins.get(bin_of(duration), 0) + 1
    ranked = sorted(durations)
    exact = next(d for n, d in enumerate(ranked, 1) if n >= max(1, q * len(ranked))) / 1000
    assert quantile_ms(bins, q) == pytest.approx(exact, rel=0.01)


def test_durations_of_nothing_and_no_durations():
    assert quantile_ms({}, 0.5) is None
    assert quantile_ms({bin_of(0): 3}, 0.99) == 0.0
    assert bin_of(1) == 0
    assert bin_of(10**6) == int(log(10**6) / log(1.02))


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        ([], 0),
        ([0], 0),
        ([0, 10], 10),
        ([0, 10, 39], 39),
        ([0, 10, 40], 40),  # begins 1 s earlier than it ends, so 29:59 after the last
        ([0, 10, 41], 10),  # a new session
        ([0, 60, 120], 0),
        ([0, 29, 70, 80], 39),
    ],
)
def test_active_time_is_that_of_sessions_without_a_gap_of_30_minutes(minutes, expected):
    found = [event(m * MINUTE + MINUTE, duration_us=1_000_000) for m in minutes]
    user = Summary.of(found).users.get("ada@example.com")
    assert (active_minutes(user, 0) if user else 0) == expected


@pytest.mark.parametrize(("seconds", "minutes"), [(0, 0), (29, 0), (30, 1), (89, 1), (90, 2)])
def test_active_minutes_round_half_up(seconds, minutes):
    user = Summary.of([event(MINUTE * 10, duration_us=seconds * 1_000_000)]).users["ada@example.com"]
    assert active_minutes(user, 0) == minutes


def test_what_a_first_request_did_before_the_window_does_not_count():
    user = Summary.of([event(MINUTE * 10, duration_us=8 * MINUTE)]).users["ada@example.com"]
    assert active_minutes(user, MINUTE * 7) == 3


def test_totals_are_kept_by_user_and_by_route():
    whole = Summary.of(
        [event(1), event(2, status=404), event(3, user="bob@example.com", status=500, feature="documents")]
    )
    assert (whole.requests, whole.errors, whole.statuses()) == (3, 2, {200: 1, 404: 1, 500: 1})
    ada = whole.users["ada@example.com"]
    assert (ada.requests, ada.errors, ada.server_errors, ada.features) == (2, 1, 0, {"chat": 2})
    assert whole.routes[Route("documents", "/documents", "GET")].statuses == {500: 1}


def test_an_answer_of_200_that_was_noted_as_failed_counts_as_a_server_error():
    summary = Summary.of([event(10**15, failure=NOTED), event(10**15 + MINUTE)])
    assert (summary.requests, summary.errors, summary.users["ada@example.com"].server_errors) == (2, 1, 1)
    assert summary.statuses() == {1200: 1, 200: 1}


def test_the_latency_of_an_answer_that_streams_is_the_time_to_its_first_byte():
    summary = Summary.of([event(10**15, duration_us=15 * MINUTE, latency_us=40_000)])
    (route,) = summary.routes.values()
    assert 39.6 < quantile_ms(route.durations, 0.95) < 40.4
    assert summary.users["ada@example.com"].active_us == 15 * MINUTE
