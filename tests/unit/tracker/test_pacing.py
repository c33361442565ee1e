"""When the thread that stores lets the requests of its host go first."""

import threading
from itertools import chain

import pytest

from tests.support.events import event
from tests.support.waiting import until
from tracker import Recorder
from tracker.buffer import Buffer
from tracker.pacing import Pacing
from tracker.sink import SQLITE_PACE, Unavailable
from tracker.sqlite.sink import SqliteSink

T = 1_700_000_000_000_000


@pytest.fixture
def pauses(monkeypatch):
    found = []
    monkeypatch.setattr("tracker.pacing.time.sleep", found.append)
    monkeypatch.setattr("tracker.pacing.time.monotonic", lambda: 100.0)
    return found


def holding(waiting):
    buffer = Buffer(100)
    buffer.values.extend(chain.from_iterable(event(T + n) for n in range(waiting)))
    return buffer


def pacing(waiting):
    return Pacing(holding(waiting), SQLITE_PACE)


def test_requests_have_a_moment_between_two_parts_of_a_batch(pauses):
    assert pacing(waiting=49).give_way()
    assert pauses == [0.002]


def test_there_is_no_pause_where_events_come_faster_than_they_are_stored(pauses):
    assert not pacing(waiting=50).give_way()
    assert pauses == []


@pytest.mark.parametrize(("queued", "in_parts"), [(9, True), (60, False)])
def test_a_batch_is_stored_in_parts_unless_events_come_faster_than_they_are_stored(
    tmp_path, monkeypatch, queued, in_parts
):
    found = []
    write = SqliteSink.write

    def noted(self, events, *, between=None, **more):
        events = list(events)
        if events:
            found.append(between is not None)
        return write(self, events, between=between, **more)

    monkeypatch.setattr(SqliteSink, "write", noted)
    recorder = Recorder(tmp_path / "guardian.db", buffer_size=100, batch_size=queued)
    assert recorder.pause(10)  # until all are there
    for number in range(queued):
        recorder.add(event(T + number))
    recorder.resume()
    until(lambda: found)
    assert found[0] is in_parts
    assert recorder.close()


@pytest.mark.parametrize(("number", "hurried", "sizes"), [(23, False, {20, 3}), (23, True, {23}), (9, False, {9})])
def test_whole_batches_are_stored_unless_there_is_hurry(tmp_path, monkeypatch, number, hurried, sizes):
    found = []
    write = SqliteSink.write

    def noted(self, events, **more):
        events = list(events)
        found.extend([len(events)] if events else [])
        return write(self, events, **more)

    monkeypatch.setattr(SqliteSink, "write", noted)
    recorder = Recorder(tmp_path / "guardian.db", buffer_size=100, batch_size=10)
    assert recorder.pause(10)  # until all are there
    for n in range(number):
        recorder.add(event(T + n))
    monkeypatch.setattr(recorder._writer, "calm", lambda: not hurried)
    recorder.resume()
    until(lambda: sum(found) == number)
    assert {*found} == sizes
    assert recorder.close()


def test_what_is_tried_again_begins_with_all_that_was_tried(tmp_path, monkeypatch):
    """A store that has taken a batch without being able to say so knows it by its events."""
    found = []
    write = SqliteSink.write

    def noted(self, events, **more):
        if len(events := list(events)):
            found.append(len(events))
        if len(found) == 1:
            monkeypatch.setattr(recorder._writer, "calm", lambda: True)
            raise Unavailable("nobody knows", reopen=False)
        return write(self, events, **more)

    monkeypatch.setattr(SqliteSink, "write", noted)
    recorder = Recorder(tmp_path / "guardian.db", buffer_size=100, batch_size=10)
    assert recorder.pause(10)  # until all are there
    for n in range(23):
        recorder.add(event(T + n))
    monkeypatch.setattr(recorder._writer, "calm", lambda: False)
    recorder.resume()
    until(lambda: sum(found[1:]) >= 23)
    assert found == [23, 23]
    assert recorder.close()


def waits(waiting, then=(), flood=False):
    """For how long the thread waits for more events where so many wait; `then` is how many come during each wait."""
    found, more = [], iter(then)
    thread = Pacing(Buffer(5_000), SQLITE_PACE)
    thread._flood = flood

    def come(number):
        thread._buffer.values.extend(chain.from_iterable(event(T + n) for n in range(number)))

    def wait(seconds):
        found.append(seconds)
        come(next(more, 0))
        return False

    thread.wake.wait = wait
    come(waiting)
    thread.rest(0)
    return found


def test_a_few_events_are_stored_when_no_more_come(pauses):
    assert waits(1) == [0.05]
    assert waits(1, [1, 1]) == [0.05] * 3


def test_where_many_events_wait_it_is_not_looked_whether_more_come(pauses):
    assert waits(1, [99, 3_996]) == [0.05, 1.0]
    assert waits(4_096) == []


def test_after_a_full_batch_it_is_not_looked_for_more_until_none_come(pauses):
    assert waits(1, [4_095], flood=True) == [1.0]
    assert waits(0, [1], flood=True) == [1.0, 0.05]


def test_there_is_no_pause_where_the_store_cannot_be_used(pauses):
    unusable = holding(waiting=0)
    unusable.room = 0
    Pacing(unusable, SQLITE_PACE).give_way()
    assert pauses == []


@pytest.mark.parametrize(("ended_at", "paused"), [(None, True), (100.0, False), (95.1, False), (95.0, True)])
def test_there_is_no_pause_in_the_seconds_after_the_app_ended(pauses, ended_at, paused):
    ending = pacing(waiting=1)
    ending.ended_at = ended_at
    ending.give_way()
    assert bool(pauses) is paused


def test_there_is_no_pause_before_a_deadline(pauses):
    ending = pacing(waiting=1)
    ending.deadline = 101.0
    ending.give_way()
    assert pauses == []


def test_there_is_no_pause_while_somebody_waits_for_what_is_stored(pauses):
    awaited = holding(waiting=1)
    with awaited.lock:
        awaited.await_all()
    Pacing(awaited, SQLITE_PACE).give_way()
    assert pauses == []


def test_there_is_no_pause_while_a_fork_waits_for_the_end_of_a_batch(tmp_path, monkeypatch):
    entered, calm, write = threading.Event(), [], SqliteSink.write

    def in_the_middle(self, events, **more):
        if list(events) and not calm:
            calm.append(recorder._writer.calm())
            entered.set()
            calm.append(until(lambda: not recorder._writer.calm()))
        return write(self, events, **more)

    monkeypatch.setattr(SqliteSink, "write", in_the_middle)
    recorder = Recorder(tmp_path / "guardian.db")
    recorder.add(event(T))
    assert entered.wait(30)
    assert recorder.pause(30)
    assert calm == [True, True]
    assert recorder._writer.calm()  # the next batch goes its usual way
    recorder.resume()
    assert recorder.close()
