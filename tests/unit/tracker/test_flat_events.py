"""Events whose values lie in one list are the events that were put in."""

import gc
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import event
from tracker import Recorder
from tracker.event import Event, Failure
from tracker.flat_events import FlatEvents

T = 1_700_000_000_000_000
EVENTS = st.lists(
    st.builds(
        event,
        st.integers(0, 9).map(lambda n: T + n),
        user=st.sampled_from(["ada@example.com", "bob@example.com"]),
        failure=st.sampled_from([None, Failure("HTTP 404", "Not Found")]),
    ),
    max_size=9,
)


def flat(events):
    return FlatEvents([*chain.from_iterable(events)])


@given(EVENTS, st.integers(-11, 11), st.integers(-11, 11))
def test_they_are_read_as_a_list_of_them_is(events, first, last):
    found = flat(events)
    assert [*found] == events
    assert all(type(each) is Event for each in found)
    assert len(found) == len(events)
    for some in (slice(first, last), slice(None, last), slice(first, None)):
        assert [*found[some]] == events[some]
    assert [found[place] for place in range(-len(events), len(events))] == events + events
    assert found.column("user") == [each.user for each in events]


@pytest.mark.parametrize("place", [1, -2])
def test_there_is_no_event_beyond_the_last(place):
    with pytest.raises(IndexError):
        flat([event(T)])[place]


def test_an_event_that_waits_is_nothing_for_the_garbage_collector(tmp_path):
    recorder = Recorder(tmp_path / "guardian.db")
    assert recorder.pause(10)
    for number in range(50):
        recorder.add(event(T + number))
    assert recorder.stats().queued == 50
    assert not any(type(each) is Event and T <= each.at_us < T + 50 for each in gc.get_objects())
    recorder.resume()
    assert recorder.close()
    assert recorder.stats() == (50, 50, 0, 0)


def test_what_is_no_event_costs_only_itself(tmp_path):
    recorder = Recorder(tmp_path / "guardian.db")
    for each in [event(T), (1, 2), event(T + 1), (*event(T), "more"), event(T + 2)]:
        recorder.add(each)
    for each in [None, 7, "ten letters"[:10], dict.fromkeys(range(10)), object()]:
        recorder.add(each)
    assert recorder.close()
    assert recorder.stats() == (10, 3, 7, 0)
