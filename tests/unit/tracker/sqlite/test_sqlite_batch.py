"""A batch by the column is the batch event by event: the same numbers, names and poison."""

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tracker.event import ANONYMOUS, NOT_MEASURED, Client, Event, Failure
from tracker.flat_events import FlatEvents
from tracker.sqlite import batch as batches
from tracker.sqlite import dictionaries
from tracker.sqlite.batch import batch_of
from tracker.sqlite.connection import connect
from tracker.sqlite.dictionaries import Dictionaries
from tracker.sqlite.migrations import prepare

T = 1_700_000_000_000_000
FAILURES = (None, Failure("HTTP 404", "Not Found"), Failure("ValueError", "no", "app.py:7 f"))
ORDINARY = st.builds(
    Event,
    at_us=st.integers(T, T + 50),
    user=st.sampled_from(("ada@example.com", "bob@example.com", "Bob", ANONYMOUS)),
    endpoint=st.sampled_from(("/chat", "/docs/{id}")),
    method=st.sampled_from(("GET", "POST")),
    feature=st.sampled_from(("chat", "docs")),
    status=st.sampled_from((200, 204, 404, 500)),
    duration_us=st.integers(0, 90_000),
    failure=st.sampled_from(FAILURES),
    latency_us=st.sampled_from((None, NOT_MEASURED, 0)),
)
ODD = st.one_of(
    st.builds(Event, st.just(T), st.sampled_from(("\ud800", 7, None, ["a"])), *map(st.just, ("/", "GET", "f", 200, 1))),
    st.builds(Event, st.sampled_from((-1, 2**63, 1.5, True, "1")), *map(st.just, ("ada", "/", "GET", "f", 200, 1))),
    st.builds(
        Event, *map(st.just, (T, "ada", "/", "GET", "f")), st.sampled_from((-1, 1000, None, "200", True)), st.just(1)
    ),
    st.builds(lambda n: Event(T, "ada", "/", "GET", "f", 200, 5, None, n), st.sampled_from((6, -2, 1.5, "1"))),
    st.builds(lambda f: Event(T, "ada", "/", "GET", "f", 500, 5, f), st.sampled_from((7, ("one",), Failure("X", 7)))),
    st.just(Event(T, "ada", ["/"], "GET", "f", 200, 5)),
    st.just(Event(T, "ada", "/", "GET", "f", 200, 5, None, None, Client("10.0.0.1", "agent"))),
    st.just((1, 2)),
)


def fresh():
    db = connect(":memory:")
    prepare(db)
    return db


def told(db, batch):
    """The batch with names in place of numbers, which follow from the order in which they were first met."""
    names = dict(db.execute("SELECT id, email FROM guardian_user"))
    routes = {number: row for number, *row in db.execute("SELECT id, endpoint, method, feature FROM guardian_route")}
    failures = {number: row for number, *row in db.execute("SELECT id, kind, message, location FROM guardian_failure")}
    return (
        list(batch.at_us),
        [names[each] for each in batch.user],
        [routes[each] for each in batch.route],
        list(batch.outcome),
        list(batch.duration_us),
        [each and failures[each] for each in batch.failure],
        list(batch.latency_us),
        [(at, names[user], *client) for at, user, *client in batch.clients],
        batch.poison,
    )


@settings(max_examples=60, deadline=None)
@given(given_events=st.lists(st.one_of(ORDINARY, ORDINARY, ORDINARY, ODD), max_size=12), plain=st.booleans())
def test_a_batch_by_the_column_is_the_batch_event_by_event(given_events, plain):
    events = [each for each in given_events if not plain or (len(each) == 10 and type(each.user) is str)]
    one, other = fresh(), fresh()
    by_column = told(one, batch_of(events, Dictionaries(one)))
    assert by_column == told(other, batches._one_by_one(events, Dictionaries(other)))
    one.close()
    other.close()
    if all(len(each) == 10 for each in events):
        flat = fresh()
        assert by_column == told(flat, batch_of(FlatEvents([*chain.from_iterable(events)]), Dictionaries(flat)))
        flat.close()


def test_ordinary_events_go_by_the_column(monkeypatch):
    monkeypatch.setattr(batches, "_one_by_one", lambda events, names: pytest.fail("event by event"))
    events = [Event(T - n, f"u{n % 3}@example.com", "/c", "GET", "c", 200, 5, FAILURES[n % 3], None) for n in range(9)]
    batch = batch_of(events, Dictionaries(fresh()))
    assert list(batch.at_us) == sorted(event.at_us for event in events)
    assert list(batch.outcome) == [1200 if event.failure else 200 for event in reversed(events)]


def test_more_names_than_are_remembered_are_still_told_apart(monkeypatch):
    monkeypatch.setattr(dictionaries, "_CACHE_CAP", 3)
    events = [Event(T + n, f"u{n}@example.com", "/c", "GET", "c", 200, 5, None, None) for n in range(20)]
    db = fresh()
    assert told(db, batch_of(events, Dictionaries(db)))[1] == [event.user for event in events]
