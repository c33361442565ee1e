import numpy as np
import pytest

from guardian.core.roster import AWAY_US, Roster
from guardian.core.summary import Summary, UserTotals
from tests.support.rosters import chosen


def person(requests=1, errors=0, at_us=10 * AWAY_US, features=("chat",)):
    return UserTotals(requests, errors, 0, at_us, at_us, 0, dict.fromkeys(features, 1))


def roster(before=None, **users):
    return Roster.of(Summary(users, {}), 0, before or {})


def names(everybody, **wanted):
    return [each.name for each in everybody.rows(chosen(everybody, **wanted))]


def test_nobody_in_particular_is_no_person():
    assert len(roster(anonymous=person())) == 0
    assert names(roster(anonymous=person()), search="a", group="hit", sort="name", feature="chat") == []


def test_who_was_not_there_before_is_new_and_who_stayed_away_a_week_came_back():
    everybody = roster({"back": 9 * AWAY_US, "there": 10 * AWAY_US - 1}, new=person(), back=person(), there=person())
    assert {each.name: each.kind for each in everybody.rows(chosen(everybody))} == {
        "new": "new", "back": "returned", "there": "",
    }  # fmt: skip
    assert (everybody.number("new"), everybody.number("returned"), everybody.number("")) == (1, 1, 3)
    assert names(everybody, group="returned") == ["back"]


def test_where_nothing_is_known_of_before_nobody_is_called_new():
    everybody = roster(ada=person())
    assert [each.kind for each in everybody.rows(chosen(everybody))] == [""]


def test_people_are_searched_sorted_and_grouped():
    everybody = roster(Ada=person(5), bob=person(9, 2), ßen=person(7, features=("search",)))
    assert names(everybody) == ["bob", "ßen", "Ada"]
    assert names(everybody, search=" SSE") == ["ßen"]
    assert names(everybody, group="hit") == ["bob"]
    assert names(everybody, sort="name", feature="chat") == ["Ada", "bob"]
    assert names(everybody, feature="never") == []


def test_who_is_alike_stands_in_the_order_of_names_whatever_the_case():
    everybody = roster(**{name: person(3, 1) for name in ("b", "A", "a", "C")})
    for sort in ("requests", "errors", "time", "seen", "name"):
        assert names(everybody, sort=sort) == ["A", "a", "b", "C"]


@pytest.mark.parametrize("sort", ["requests", "errors", "time", "seen", "name"])
def test_the_part_that_is_shown_is_that_part_of_the_whole_order(sort):
    everybody = roster(**{f"{'Uu'[i % 2]}ser{i * 7 % 60}": person(i % 4, i % 3) for i in range(60)})
    whole = chosen(everybody, sort=sort, group="hit").tolist()
    found = everybody.found(group="hit")
    for begin in range(len(whole) + 2):
        for size in (0, 1, 7):
            shown = slice(begin, begin + size)
            assert everybody.ordered(found, sort, shown).tolist() == whole[shown]


def test_features_of_each_person_are_counted():
    everybody = roster(ada=person(features=("chat", "search")), bob=person(features=("chat",)))
    assert [each.features for each in everybody.rows(chosen(everybody))] == [2, 1]


def test_a_page_of_fifty_thousand_people_compares_no_more_names_than_are_alike_where_it_lies(monkeypatch):
    everybody = roster(**{f"user{i:05}@example.com": person(i % 97, i % 7) for i in range(50_000)})
    spelled, spell = [], Roster._spelled
    monkeypatch.setattr(Roster, "_spelled", lambda self, at: spelled.append(at) or spell(self, at))
    found = everybody.ordered(everybody.found(search="42"), "errors", slice(50, 100))
    assert len(everybody.rows(found)) == 50
    assert 0 < len(spelled) < 200


def test_any_page_is_the_same_part_of_the_whole_order():
    everybody = roster(**{f"user{i * 37 % 500}": person(i % 5, i % 3) for i in range(500)})
    whole = everybody.rows(chosen(everybody, sort="errors"))
    assert whole == sorted(whole, key=lambda p: (-p.errors, -p.requests, p.name))
    assert np.unique(chosen(everybody, sort="seen")).tolist() == list(range(500))
