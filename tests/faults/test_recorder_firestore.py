"""A recorder whose events go to Firestore: late where it is away, exactly once whatever a try said, and none lost when
the process ends."""

import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from google.api_core.exceptions import ServiceUnavailable

from guardian.application.check.database import database_findings
from guardian.core.time import moment
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.overview import recorders
from guardian.stores.firestore.progress import read_table
from tests.support.api_client import calling, opened
from tests.support.events import event as made
from tests.support.firestore import address_in, late_first
from tests.support.ports import free_port
from tests.support.waiting import until
from tracker import Recorder
from tracker.firestore.address import parse
from tracker.firestore.people import PEOPLE
from tracker.firestore.sink import SLICES, FirestoreSink, Waiting
from tracker.sink import Heartbeat, Unavailable

pytestmark = pytest.mark.needs_firestore
T = 1_700_000_000_000_000


def event(number=0):
    return made(T + number)


@pytest.fixture
def address(tmp_path):
    return address_in(tmp_path)


def stored(address):
    return [at - T for at in read_table(Documents(parse(address)), 0, 2**62).rows[:, 0].tolist()]


def failing(monkeypatch, *, times, after):
    """Let so many commits of slices fail, before or after they were made."""
    create, left = FirestoreSink._create, [times]

    def failed(self, documents):
        if left[0] <= 0:
            return create(self, documents)
        left[0] -= 1
        if after:
            create(self, documents)
        raise ServiceUnavailable("away")

    monkeypatch.setattr(FirestoreSink, "_create", failed)
    return left


@pytest.mark.parametrize("after", [False, True], ids=["not made", "made, and nobody was told"])
def test_a_batch_that_failed_is_stored_once(address, monkeypatch, after):
    failing(monkeypatch, times=3, after=after)
    recorder = Recorder(address, flush_interval=0.05)
    for number in range(50):
        recorder.add(event(number))
    until(lambda: recorder.stats().stored == 50)
    for number in range(50, 60):
        recorder.add(event(number))
    assert recorder.close()
    assert stored(address) == list(range(60))
    assert recorder.stats() == (60, 60, 0, 0)


def test_what_came_after_an_unknown_try_is_stored_beside_it(address, monkeypatch):
    sink = FirestoreSink(address, Waiting())
    events = [event(number) for number in range(20)]
    failing(monkeypatch, times=2, after=True)
    with pytest.raises(Unavailable, match="Firestore does not answer") as caught:
        sink.write(events[:10])
    assert not caught.value.reopen
    with pytest.raises(Unavailable):
        sink.write(events[:15])
    assert sink.write(events) == 20
    assert stored(address) == list(range(20))


def test_while_it_is_away_memory_is_bounded_and_what_is_dropped_is_counted(address, monkeypatch):
    left = failing(monkeypatch, times=10**6, after=False)
    recorder = Recorder(address, flush_interval=0.01, buffer_size=200)
    for number in range(500):
        recorder.add(event(number))
    until(lambda: left[0] < 10**6 - 3)
    assert recorder.stats() == (500, 0, 300, 200)
    left[0] = 0
    until(lambda: recorder.stats().stored == 200)
    assert recorder.close()
    assert stored(address) == list(range(200))


def test_a_poison_event_costs_only_itself_and_the_heartbeat_says_so(address):
    sink = FirestoreSink(address, Waiting())

    def beat(stored, poison):
        return Heartbeat("host:1", T, T + 5, 9, stored, poison, "1.0")

    assert sink.write([event(1), event(2)._replace(user="\ud800"), event(3)], heartbeat=beat) == 2
    [health] = recorders(Documents(parse(address)), moment(T))
    assert (health.id, health.accepted, health.stored, health.dropped) == ("host:1", 9, 2, 1)


def test_a_batch_is_a_document_where_it_was_written_within_five_minutes(address):
    recorder = Recorder(address)
    for number in range(700):
        recorder.add(event(number))
    assert recorder.close()
    found = Documents(parse(address)).query(SLICES)
    assert [each.fields["count"] for each in found] == [700]


def test_events_wait_for_each_other_where_a_document_costs_as_much_for_one(address, monkeypatch):
    late_first(monkeypatch)
    recorder = Recorder(address, flush_interval=3_600)
    for number in range(1, 6):
        recorder.add(event(number))
        recorder._writer.wake.set()  # whatever wakes the thread
        until(lambda: not recorder._writer.wake.is_set())
    assert recorder.stats().stored == 0
    assert recorder.close()
    assert [each.fields["count"] for each in Documents(parse(address)).query(SLICES)] == [5]


def test_the_library_is_loaded_before_the_first_batch_is_due(address, monkeypatch):
    late_first(monkeypatch)
    opened, made = [], FirestoreSink.__init__

    def noted(self, *values, **named):
        made(self, *values, **named)
        opened.append(self)

    monkeypatch.setattr(FirestoreSink, "__init__", noted)
    recorder = Recorder(address, flush_interval=3_600)
    recorder.add(event(1))
    until(lambda: opened)
    assert stored(address) == []
    assert recorder.close()
    assert (stored(address), len(opened)) == ([1], 1)


def test_a_store_that_cannot_be_opened_ahead_is_opened_when_something_is_due(address, monkeypatch):
    tries, made = [], FirestoreSink.__init__

    def noted(self, *values, **named):
        tries.append(self)
        if len(tries) == 1:
            raise Unavailable("no")
        made(self, *values, **named)

    monkeypatch.setattr(FirestoreSink, "__init__", noted)
    recorder = Recorder(address, flush_interval=0.05)
    recorder.add(event(1))
    until(lambda: recorder.stats().stored == 1)
    assert recorder.close()
    assert (stored(address), len(tries)) == ([1], 2)


def test_people_who_are_new_are_made_together(address, monkeypatch):
    from google.cloud.firestore import WriteBatch

    commits, commit = [], WriteBatch.commit
    monkeypatch.setattr(WriteBatch, "commit", lambda self, **named: (commits.append(self), commit(self, **named))[1])
    sink = FirestoreSink(address, Waiting())
    assert sink.write([event(n)._replace(user=f"u{n}@example.com") for n in range(400)]) == 400
    assert len(commits) <= 2 + 3, "300 people and 100; the key of their hashes, a slice, a feature"
    assert len({each.fields["id"] for each in Documents(parse(address)).query(PEOPLE)}) == 400


def test_two_processes_that_see_the_same_people_first_give_each_one_id(address):
    sinks = [FirestoreSink(address, Waiting()) for _ in range(4)]
    people = [f"u{n}@example.com" for n in range(60)]

    def first(number):
        some = people[number * 10 : number * 10 + 30]
        return sinks[number].write([event(n)._replace(user=name) for n, name in enumerate(some)])

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(first, range(4))) == [30] * 4
    found = Documents(parse(address)).query(PEOPLE)
    assert sorted(each.fields["name"] for each in found) == sorted(people)
    table = read_table(Documents(parse(address)), 0, 2**62)
    assert set(table.people.tolist()) == {each.fields["id"] for each in found}


CHILD = """
    import sys, uvicorn
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route
    from tracker import UsageTrackingMiddleware

    async def chat(request):
        return PlainTextResponse("hello")

    exec(sys.argv[4])
    app = Starlette(routes=[Route("/chat", chat)])
    app.add_middleware(UsageTrackingMiddleware, database=sys.argv[2], **eval(sys.argv[3]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


@pytest.fixture
def served(address):
    """Starts an app that is tracked, after the statements of `before`: a process, and what sends it a request."""
    started = []

    def start(before="", **settings):
        port = free_port()
        command = [sys.executable, "-c", textwrap.dedent(CHILD), str(port), address, repr(settings), before]
        process = subprocess.Popen(command, env=dict(os.environ))
        started.append(process)

        def ask():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/chat", timeout=60) as answer:
                    return answer.read()
            except OSError:
                return None

        assert until(ask) == b"hello"
        return process, ask

    yield start
    for process in started:
        process.kill()
        process.wait()


PATIENT = "from tests.support.patience import wait_for_recorders; wait_for_recorders()"
"""The end of the process waits until all is stored, however busy the machine is."""


def test_a_process_that_is_told_to_end_loses_nothing(address, served):
    process, ask = served(before=PATIENT)
    for _ in range(20):
        ask()
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert len(stored(address)) == 21


def test_a_process_that_is_killed_loses_what_came_since_its_last_slice_and_no_more(address, served):
    process, ask = served(flush_interval=0.2)
    until(lambda: stored(address))
    for _ in range(20):
        ask()
    process.kill()
    process.wait()
    documents = Documents(parse(address))
    found = sorted(documents.query(SLICES), key=lambda each: each.fields["start"])
    told = found[-1].fields["beat"]
    assert told["stored"] == len(stored(address)) <= 21
    assert told["accepted"] >= told["stored"]


def test_the_first_slice_of_a_process_does_not_wait_for_its_time_since_the_process_may_be_killed(address, served):
    process, _ = served(flush_interval=3600)
    [told] = until(lambda: [each for each in recorders(Documents(parse(address)), None) if each.stored])
    process.kill()
    process.wait()
    assert told.accepted >= told.stored == len(stored(address)) >= 1


HANGS = "import time; from tracker.firestore.sink import FirestoreSink as S; S._create = lambda *_: time.sleep(99)"
"""No slice is ever made."""


@pytest.mark.parametrize("how", [{"before": HANGS}, {"flush": "response", "before": HANGS}], ids=["timer", "flush"])
async def test_a_process_that_is_killed_before_its_first_slice_has_said_what_it_took(
    address, served, tmp_path, monkeypatch, how
):
    monkeypatch.setattr("guardian.web.health.READ_SECONDS", 60)  # a busy machine is not what this is about
    process, ask = served(**how)
    [told] = until(lambda: recorders(Documents(parse(address)), None))
    ask()
    process.kill()
    process.wait()
    assert (told.accepted >= 1, told.stored, told.queued) == (True, 0, told.accepted)
    assert stored(address) == []
    async with opened(tmp_path, events=[], database=address) as app:
        app.clock = lambda: told.seen_at + timedelta(minutes=3)
        async with calling(app) as client:
            health = (await client.get("/api/usage/health")).json()
        assert (health["recorder"]["accepted"], health["recorder"]["queued"]) == (told.accepted, told.accepted)
        assert f"went silent with {told.accepted} events queued" in " ".join(health["reasons"])
        [lost] = [each for each in await database_findings(app) if each.text.startswith("the process ")]
        numbers = f"{told.accepted} accepted = 0 stored + 0 dropped + {told.accepted} queued"
        assert (lost.level, numbers in lost.text, "so what it had queued is lost" in lost.text) == (
            "warning",
            True,
            True,
        )


def test_that_a_process_lives_is_said_before_any_name_and_its_first_slice_says_so_again(address, monkeypatch):
    late_first(monkeypatch)
    recorder = Recorder(address, flush_interval=3_600)
    for number in range(3):
        recorder.add(event(number))
    [told] = until(lambda: recorders(Documents(parse(address)), None))
    assert (1 <= told.accepted <= 3, told.stored) == (True, 0)
    assert Documents(parse(address)).query(PEOPLE) == []
    assert recorder.close()
    [told] = recorders(Documents(parse(address)), None)
    assert (told.accepted, told.stored, told.queued) == (3, 3, 0)


def test_a_process_that_could_not_say_so_at_its_start_says_it_when_something_is_due(address, monkeypatch):
    said, say = [], FirestoreSink._say

    def failing_once(self, beat, notes, *, alone):
        said.append(beat.stored)
        if len(said) == 1:
            raise ServiceUnavailable("away")
        return say(self, beat, notes, alone=alone)

    monkeypatch.setattr(FirestoreSink, "_say", failing_once)
    recorder = Recorder(address, flush_interval=0.05)
    recorder.add(event(1))
    until(lambda: recorder.stats().stored == 1)
    assert recorder.close()
    assert said[:3] == [0, 0, 1]
    assert stored(address) == [1]


def test_what_waits_is_stored_before_the_call_of_a_request_ends_where_that_is_asked_for(address, served):
    process, ask = served(flush="response", flush_interval=3600)
    ask()
    until(lambda: len(stored(address)) == 2)
    process.kill()
    process.wait()
    assert len(stored(address)) == 2
