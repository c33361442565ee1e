import time

from guardian.core.summary import Summary, UserTotals
from guardian.web.pages.paging import paged
from guardian.web.pages.people import AWAY_US, chosen_people, people_of


def person(requests=1, errors=0, at_us=10 * AWAY_US, features=("chat",)):
    return UserTotals(requests, errors, 0, at_us, at_us, 0, dict.fromkeys(features, 1))


def names(people):
    return [each.name for each in people]


def test_nobody_in_particular_is_no_person():
    assert people_of(Summary({"anonymous": person()}, {}), 0, {}) == []


def test_who_was_not_there_before_is_new_and_who_stayed_away_a_week_came_back():
    summary = Summary({"new": person(), "back": person(), "there": person()}, {})
    before = {"back": 9 * AWAY_US, "there": 10 * AWAY_US - 1}
    assert {each.name: each.kind for each in people_of(summary, 0, before)} == {
        "new": "new", "back": "returned", "there": "",
    }  # fmt: skip


def test_where_nothing_is_known_of_before_nobody_is_called_new():
    assert [each.kind for each in people_of(Summary({"ada": person()}, {}), 0, {})] == [""]


def test_people_are_searched_sorted_and_grouped():
    summary = Summary({"Ada": person(5), "bob": person(9, 2), "ßen": person(7)}, {})
    people = people_of(summary, 0, {})
    assert names(people) == ["bob", "ßen", "Ada"]
    assert names(chosen_people(people, "SSE", "", "requests", feature=None)) == ["ßen"]
    assert names(chosen_people(people, "", "hit", "requests", feature=None)) == ["bob"]
    assert names(chosen_people(people, "", "", "name", feature={"Ada", "bob"})) == ["Ada", "bob"]


def test_fifty_thousand_people_are_searched_and_sorted_at_once():
    summary = Summary({f"user{i:05}@example.com": person(i % 97, i % 7) for i in range(50_000)}, {})
    people = people_of(summary, 0, {})
    began = time.perf_counter()
    found = paged(chosen_people(people, "42", "", "errors", feature=None), {"page": "2"}, 50)
    assert len(found.rows) == 50
    assert time.perf_counter() - began < 0.25  # 15 ms alone; other work runs beside tests


def test_a_page_that_is_none_is_the_nearest():
    rows = list(range(7))
    assert paged(rows, {"page": "99"}, 3).rows == [6]
    for text in ("0", "-1", "x", "٣", ""):
        assert paged(rows, {"page": text}, 3).number == 1
    assert (paged([], {}, 3).first, paged([], {}, 3).last, paged([], {}, 3).pages) == (0, 0, 1)
