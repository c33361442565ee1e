from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.turnover import AWAY_US, Cohort, Group, Presence, Usage, turnover, turnover_edges
from guardian.core.unlinked import unlinked_name

WEEK = timedelta(days=7)
END = datetime(2026, 3, 30, tzinfo=UTC)
UTC_ZONE, ZURICH = ZoneInfo("UTC"), ZoneInfo("Europe/Zurich")


def edges(windows):
    return [END - n * WEEK for n in range(windows, -1, -1)]


def presence(*rows, requests=None, gap_us=AWAY_US, then=(), now=()):
    """People as texts of 0 and 1, a letter a window, the first for the time before; `then` and `now`: who used what."""
    there = np.array([[letter == "1" for letter in row] for row in rows], bool).T
    counts = np.ones((2, len(rows)), np.int64) if requests is None else np.array([requests, requests])
    features = sorted({name for names in (then, now) for name in names})
    used = np.array([[dict(each).get(name, 0) for name in features] for each in (then, now)], np.int64)
    last = np.full(len(rows), 10 * AWAY_US)
    return Presence(there, counts, last, last + gap_us, used.reshape(2, -1), features)


def names(numbers):
    return {number: f"p{number:03}" for number in numbers}


def told(*rows, failed=None, name=names, **more):
    found = presence(*rows, **more)
    return turnover(found, failed or {}, edges(len(rows[0]) - 1), name)


def test_who_was_never_there_before_is_new():
    found = told("0001", "0000", "0101", "1001")
    assert found.new == Group(1, ("p000",))
    assert found.active == 3


def test_who_stayed_away_for_a_window_or_a_week_has_come_back():
    rows = ("1001", "0101", "0011")
    assert told(*rows, gap_us=AWAY_US - 1).returned == Group(2, ("p000", "p001"))
    assert told(*rows, gap_us=AWAY_US).returned == Group(3, ("p000", "p001", "p002"))


def test_who_came_in_both_windows_before_and_not_now_has_gone_quiet_by_the_error_they_met_last():
    found = told("0110", "1110", "0110", "0111", "0010", failed={1: "chat"})
    assert found.quiet == (Group(1, ("p001",), "chat"), Group(2, ("p000", "p002")))


def test_with_one_window_before_nobody_is_called_quiet_and_nobody_is_known_to_have_been_new_in_it():
    found = told("110", "010", "011", "001")
    assert (found.quiet, found.came_new, found.came_back) == (None, None, None)
    assert (found.new.number, found.cohorts) == (1, ())
    assert not found.ordinary


def test_of_those_who_were_new_in_the_window_before_some_came_back():
    found = told("0011", "0010", "0010", "0111", "0001")
    assert (found.came_new, found.came_back) == (3, 1)


def test_the_table_of_new_people_is_there_from_thirty_on():
    rows = ["00101"] * 10 + ["00110"] * 10 + ["00011"] * 9
    assert told(*rows).cohorts == ()
    assert (
        told(*rows, "00010").cohorts
        == (
            Cohort(END - 3 * WEEK, 20, (10, 10)),
            Cohort(END - 2 * WEEK, 10, (9,)),
        )[-2:]
    )


def test_the_busiest_are_named_and_of_as_busy_ones_the_first_by_name():
    rows = ["0001"] * 8
    assert told(*rows, requests=[1, 1, 9, 1, 1, 1, 8, 1]).new.people == ("p002", "p006", "p000", "p001", "p003")


def test_erased_people_are_counted_and_not_named():
    erased = unlinked_name("0" * 16)
    found = told("0001", "0001", name=lambda numbers: {n: erased if n else "ada" for n in numbers})
    assert found.new == Group(2, ("ada",))


def test_a_feature_that_more_people_use_beyond_chance_is_taken_up():
    rows = ["0111"] * 100
    found = told(*rows, then={"chat": 90, "export": 5, "old": 40}, now={"chat": 92, "export": 30, "old": 6})
    assert found.adopted == (Usage("export", 30, 5),)
    assert found.abandoned == (Usage("old", 6, 40),)
    assert not found.ordinary


def test_twice_the_people_who_use_all_as_before_take_up_nothing():
    rows = ["0111"] * 50 + ["0001"] * 50
    found = told(*rows, then={"chat": 45, "export": 5}, now={"chat": 90, "export": 10})
    assert (found.adopted, found.abandoned) == ((), ())


@pytest.mark.parametrize("name", ["(unmatched)", "(unmatched) GET", "(other)"])
def test_what_is_no_feature_is_neither_taken_up_nor_given_up(name):
    assert told(*["0111"] * 100, now={name: 90}).adopted == ()


def test_a_small_difference_of_many_people_is_not_worth_telling():
    found = told(*["0111"] * 5_000, then={"chat": 2_000}, now={"chat": 2_500})
    assert found.adopted == ()


def test_a_week_like_those_before_is_ordinary():
    rows = ["11111"] * 20 + ["01000", "00100", "00010", "00001"]
    assert told(*rows).ordinary
    assert not told(*rows, *["00001"] * 9).ordinary
    assert not told(*rows, *["00110"] * 12).ordinary
    assert told(*rows, "00110", failed={24: "chat"}).ordinary


def test_it_is_none_where_more_of_those_who_stayed_away_met_an_error_last_than_of_the_others():
    rows = ["11111"] * 40 + ["01100", "01100", "01100", "00110", "00110", "00110"]
    assert told(*rows).ordinary
    assert told(*rows, failed=dict.fromkeys([*range(20), 43], "chat")).ordinary
    assert not told(*rows, failed=dict.fromkeys([0, 43, 44, 45], "chat")).ordinary


histories = st.lists(st.text("01", min_size=5, max_size=5), min_size=1, max_size=40)


@given(histories, st.randoms(), st.dictionaries(st.sampled_from("abcde"), st.integers(0, 40)))
def test_order_and_names_of_people_and_features_change_nothing(rows, chance, used):
    order = list(range(len(rows)))
    chance.shuffle(order)
    there = sum(row[-2] == "1" for row in rows)
    then, now = {name: min(n, there) for name, n in used.items()}, {}
    one = told(*rows, then=then, now=now)
    other = told(
        *(rows[n] for n in order),
        then={f"{name}!": n for name, n in reversed(then.items())}, now={},
        name=lambda numbers: {n: f"p{order[n]:03}" for n in numbers},
    )  # fmt: skip
    renamed = tuple(each._replace(feature=f"{each.feature}!") for each in one.abandoned)
    assert other == replace(one, abandoned=renamed)


@given(histories, st.dictionaries(st.sampled_from("abcde"), st.integers(0, 40)))
def test_of_two_weeks_that_are_alike_no_feature_is_told(rows, used):
    same = [row[:-1] + row[-2] for row in rows]
    found = told(*same, then=used, now=used) if sum(row[-1] == "1" for row in same) >= 40 else told(*same)
    assert (found.adopted, found.abandoned) == ((), ())


def test_windows_are_weeks_of_the_zones_clock_as_far_as_all_was_recorded():
    start, end = datetime(2026, 3, 22, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC)
    found = turnover_edges(start, end, ZURICH, datetime(2026, 3, 8, 23, tzinfo=UTC))
    assert found == [start - 2 * WEEK, start - WEEK, start, end]
    assert len(turnover_edges(start, end, ZURICH, datetime(2020, 1, 1, tzinfo=UTC))) == 9
    month = turnover_edges(END - timedelta(days=30), END, UTC_ZONE, END - timedelta(days=65))
    assert month == [END - timedelta(days=60), END - timedelta(days=30), END]


@pytest.mark.parametrize(
    ("length", "since"),
    [(timedelta(days=6), END - 9 * WEEK), (WEEK, END - 2 * WEEK + timedelta(seconds=1)), (WEEK, None)],
)
def test_there_are_none_for_a_short_window_or_where_the_one_before_was_not_recorded_in_full(length, since):
    assert turnover_edges(END - length, END, UTC_ZONE, since) == []


def test_windows_before_begin_at_full_five_minutes():
    end = END + timedelta(minutes=3, seconds=7)
    first, start, _ = turnover_edges(end - WEEK, end, UTC_ZONE, END - 2 * WEEK)
    assert (first, start) == (END - 2 * WEEK, end - WEEK)
