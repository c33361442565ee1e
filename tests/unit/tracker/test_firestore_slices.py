"""Slices of events: what is written without numpy is what the guardian reads with it."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core import codec
from guardian.stores.firestore.slices import packed, table_of, unpacked
from tests.support.events import event as made
from tracker.event import Failure
from tracker.firestore import slices
from tracker.firestore.columns import pack
from tracker.firestore.slices import slices_of, storable

MINUTES5 = 300_000_000
T = 1_700_000_100_000_000 // MINUTES5 * MINUTES5
integers = st.integers(-(2**62), 2**62)


@given(st.integers(1, 40).flatmap(lambda rows: st.lists(st.lists(integers, min_size=rows, max_size=rows), min_size=1)))
def test_columns_that_the_tracker_packs_are_those_that_the_guardian_unpacks(columns):
    assert [column.tolist() for column in codec.unpack(pack(columns))] == columns


@pytest.mark.parametrize("number", [1, 40, 5_000])
def test_times_in_order_take_a_byte_for_each_small_step(number):
    steps = random.Random(number).choices(range(256), k=number)
    assert len(pack([[*itertools.accumulate(steps, initial=T)]])) <= number + 40


def traffic(count, seed=1):
    chance, found = random.Random(seed), []
    for number in range(count):
        failure = Failure("Boom", "no", "app.py:3 f") if chance.random() < 0.02 else None
        event = made(
            T + number * 3_000, user=f"u{chance.randrange(200)}@example.com", feature=f"f{chance.randrange(20)}",
            status=500 if failure else 200, failure=failure,
        )  # fmt: skip
        found.append(event._replace(duration_us=chance.randrange(1_000, 90_000)))
    return found


def read_back(documents):
    table = table_of((str(number), document) for number, document in enumerate(documents))
    return table.events(lambda number: f"u{number}@example.com")


def ids(event):
    return int(event.user.partition("@")[0][1:])


def test_events_come_back_as_they_were():
    events = traffic(2_000)
    noted = events[0]._replace(failure=Failure("Noted", "tool error"), latency_us=900)
    unknown = events[1]._replace(latency_us=-1, duration_us=0)
    events = [noted, unknown, *events[2:]]
    assert read_back(slices_of(events, ids)) == events


def test_no_slice_reaches_over_five_minutes():
    events = [made(T + at, user="u1@example.com") for at in (0, MINUTES5 - 1, MINUTES5, 3 * MINUTES5)]
    found = list(slices_of(reversed(events), ids))
    assert [(each["start"] - T, each["count"]) for each in found] == [(0, 2), (MINUTES5, 1), (3 * MINUTES5, 1)]


def test_what_is_too_large_for_one_document_is_several(monkeypatch):
    monkeypatch.setattr(slices, "MOST_BYTES", 5_000)
    events = traffic(3_000)
    found = list(slices_of(events, ids))
    assert len(found) > 1 and all(len(each["body"]) + len(each["names"]) <= 5_000 for each in found)
    assert read_back(found) == events


def test_an_event_takes_about_ten_bytes():
    [document] = slices_of(traffic(5_000), ids)
    assert (len(document["body"]) + len(document["names"])) / 5_000 < 11


def test_a_slice_holds_no_name_of_anybody():
    [document] = slices_of([made(T, user="u7@example.com")], ids)
    assert unpacked(document["body"], document["names"]).people.tolist() == [7]
    assert all(b"example.com" not in value for value in document.values() if isinstance(value, bytes))


def test_what_nothing_names_any_more_is_left_out_when_a_slice_is_written_again():
    events = [made(T, user="u7@example.com"), made(T + 1, user="u8@example.com")]
    [document] = slices_of(events, ids)
    table = unpacked(document["body"], document["names"])
    again = unpacked(*packed(table.where(np.array([1]))))
    assert (again.people.tolist(), [route.feature for route in again.routes]) == ([8], ["chat"])


@pytest.mark.parametrize(
    "change",
    [
        {"user": "\ud800"}, {"endpoint": None}, {"at_us": -1}, {"at_us": 2**63}, {"duration_us": -5}, {"status": 1_000},
        {"status": "200"}, {"latency_us": 10**9}, {"failure": Failure("\ud800", "x")}, {"at_us": 1.5},
    ],
)  # fmt: skip
def test_an_event_that_cannot_be_stored_is_known_before(change):
    assert storable(made(T))
    assert not storable(made(T)._replace(**change))
