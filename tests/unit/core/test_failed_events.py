from itertools import accumulate

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from guardian.core.failed_events import FailedEvents
from tracker.event import Event, Failure

ROUTES = {1: ("/api/chat", "POST", "chat"), 4: ("/pay/{id}", "GET", "pay")}
WHY = {2: Failure("KeyError", "no such key", "app.py:7 chat"), 3: Failure("HTTP 404", "Not Found")}
ROW = st.tuples(
    st.integers(0, 2**50), st.sampled_from([*ROUTES]), st.integers(100, 599), st.integers(0, 10**9),
    st.sampled_from([*WHY]), st.sampled_from([-2, -1, 0, 77]),
)  # fmt: skip
PEOPLE = st.dictionaries(st.text(max_size=5), st.lists(ROW, min_size=1, max_size=5), max_size=6)


def numbered(known):
    found = np.empty(max(known) + 1, object)
    for number, value in known.items():
        found[number] = value
    return found


def failed_events(people):
    rows = [row for mine in people.values() for row in mine]
    return FailedEvents(
        list(people),
        [0, *accumulate(map(len, people.values()))],
        np.array(rows, np.int64).reshape(-1, 6).T,
        [numbered({number: route[place] for number, route in ROUTES.items()}) for place in range(3)],
        numbered(WHY),
    )


def events(name, rows):
    return [
        Event(at, name, *ROUTES[route], status, duration, WHY[why], None if latency == -2 else latency)
        for at, route, status, duration, why, latency in rows
    ]


@given(PEOPLE)
def test_they_are_the_events_of_each_person(people):
    found, known = failed_events(people), {name: events(name, rows) for name, rows in people.items()}
    assert {name: found[name] for name in found} == known  # one by one
    assert found == known and found == failed_events(people)
    assert {name: found[name] for name in found} == known  # after all were made
    assert found.made() == known
    assert (len(found), list(found)) == (len(known), list(known))
    assert "nobody" not in found and found.get("nobody") is None


@given(PEOPLE, st.randoms())
def test_the_columns_of_some_are_one_person_after_the_other(people, random):
    found, names = failed_events(people), [*people, "nobody"]
    random.shuffle(names)
    known = [event for name in names for event in events(name, people.get(name, ()))]
    assert found.columns(names) == (
        [event.at_us for event in known], [event.endpoint for event in known],
        [event.status for event in known], [event.failure for event in known],
    )  # fmt: skip
    assert [found.number(name) for name in names] == [len(people.get(name, ())) for name in names]


def test_thousands_are_in_the_same_order():
    people = {f"u{n}": [(n * 10 + k, 1, 500, 5, 2, -2) for k in range(3)] for n in range(1_500)}
    assert failed_events(people) == {name: events(name, rows) for name, rows in people.items()}
    assert failed_events(people).columns(["u9", "u8"])[0] == [90, 91, 92, 80, 81, 82]
