"""When a minute is judged, or a period reported on: once every process that lives has stored what it took of it, or a
minute after its end."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import Surroundings
from guardian.application.judging.live import LiveHistory, judge_passed_minutes
from guardian.application.reporting import send_due_reports
from guardian.application.root import open_application
from guardian.application.settling import until_settled
from guardian.core.time import micros
from guardian.settings.rules import parse_rule
from guardian.stores.firestore import passing
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.api_client import make_settings
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker.firestore.sink import FirestoreSink
from tracker.sink import Heartbeat
from tracker.sqlite.sink import SqliteSink

END = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""The end of the minute that is to be judged."""
MINUTE = micros(END) // MINUTE_US
RULES = (parse_rule("error_rate", {}),)


def at(seconds):
    return END + timedelta(seconds=seconds)


class Process:
    """A tracked process: what it stores when, and how much it has taken by then."""

    def __init__(self, sink, name):
        self._sink, self._name, self._stored = sink, name, 0

    def says(self, seconds, *events, waiting=0):
        def beat(stored, poison):
            accepted = self._stored + stored + waiting
            return Heartbeat(
                self._name, micros(at(-3600)), micros(at(seconds)), accepted, self._stored + stored, 0, "1"
            )

        self._sink.write([made(micros(at(each))) for each in events], heartbeat=beat)
        self._stored += len(events)


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
def kind(request):
    return request.param


@pytest.fixture
def place(kind, tmp_path):
    return tmp_path / "guardian.db" if kind == "sqlite" else address_in(tmp_path)


@pytest.fixture
def processes(kind, place):
    """Two of them."""
    sinks = [SqliteSink(str(place)) if kind == "sqlite" else FirestoreSink(place) for _ in range(2)]
    yield [Process(sink, f"host:{number}") for number, sink in enumerate(sinks)]
    for sink in sinks:
        sink.close()


@pytest.fixture
async def stores(place, processes):
    opened = await backend(place).open(NO_BOOK)
    yield opened
    await opened.close()


@pytest.fixture
def judged(stores):
    """How many minutes more than that before have been judged at a time."""
    live = LiveHistory(stores.history, RULES)

    async def until(seconds):
        await judge_passed_minutes(
            stores.alerts, live, Surroundings(RULES, ZoneInfo("UTC")), lambda *_: ([], {}), now=at(seconds), token=None
        )
        state = live.newest(await stores.alerts.load())
        return None if state.minute is None else state.minute - (MINUTE - 1)

    return until


async def test_a_minute_waits_for_every_process_that_lives_and_may_still_have_some_of_it(kind, processes, judged):
    first, second = processes
    first.says(-50, -55)
    second.says(-48, -58)
    assert await judged(-53) == 0
    first.says(-9, -20, -10, waiting=2)
    second.says(-7, -12, waiting=1)
    assert await judged(6) == 0
    first.says(8, -5, 1)
    assert await judged(9) == 0
    second.says(10, -1)
    assert await judged(11) == 1


async def test_a_process_that_stays_silent_holds_a_minute_up_until_its_end_is_a_minute_ago(processes, judged):
    first, second = processes
    first.says(-50, -55)
    second.says(-48)
    assert await judged(-53) == 0
    first.says(-9, -20, waiting=1)
    second.says(30, 20)
    assert await judged(59) == 0
    assert await judged(60) == 1


async def test_a_process_that_has_said_nothing_for_two_minutes_is_not_waited_for(processes, judged):
    first, second = processes
    first.says(-125, -130, waiting=1)
    second.says(7, -20)
    assert await judged(8) == 1


async def test_where_no_process_says_anything_a_minute_is_judged_five_seconds_after_its_end(stores, judged):
    await stores.events.write([made(micros(at(-3)))])
    assert await judged(4) == 0
    assert await judged(5) == 1


async def test_a_file_whose_processes_store_at_once_is_judged_as_soon_as_ever(tmp_path):
    sink = SqliteSink(str(tmp_path / "guardian.db"))
    Process(sink, "host:1").says(-25, -30)  # nothing came since, and nothing waits
    history = backend(tmp_path / "guardian.db").history(NO_BOOK)
    _, last, _ = await LiveHistory(history, RULES).after(None, at(5))
    assert last == MINUTE
    sink.close()


@pytest.mark.needs_firestore
async def test_a_process_that_always_has_more_has_passed_what_it_has_stored(tmp_path):
    place = address_in(tmp_path)
    Process(FirestoreSink(place), "host:1").says(9, -5, 3, waiting=4_000)
    history = backend(place).history(NO_BOOK)
    assert history.stored_until(micros(at(10))) == micros(at(3))


@pytest.mark.needs_firestore
async def test_of_very_many_processes_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(passing, "MOST", 2)
    place = address_in(tmp_path)
    for number in range(3):
        Process(FirestoreSink(place), f"host:{number}").says(9, 8)
    live = LiveHistory(backend(place).history(NO_BOOK), RULES)
    found = [await live.after(None, at(seconds)) for seconds in (10, 59, 60)]
    assert [last for _, last, _ in found] == [MINUTE - 1, MINUTE - 1, MINUTE]


@pytest.mark.needs_firestore
async def test_a_slice_is_read_once_to_find_out_how_far_processes_are(tmp_path, monkeypatch):
    monkeypatch.setattr(passing, "_AGAIN_US", 0)
    place = address_in(tmp_path)
    process, history = Process(FirestoreSink(place), "host:1"), backend(place).history(NO_BOOK)
    for number in range(8):
        process.says(number, number)
    reads = []
    for _ in range(2):
        before = history.documents.reads
        history.stored_until(micros(at(20)))
        reads.append(history.documents.reads - before)
    assert reads == [1 + 8, 1 + 1]


async def test_a_report_waits_for_the_same_and_no_longer(place, processes, tmp_path):
    first, second = processes
    async with open_application(make_settings(tmp_path / "d", database=place, schedules=["every 1h"])) as app:
        await app.state.claim_period(app.schedules[0].name, at(-7200), at(-3600), report=None, mails=(), now=at(-3600))
        first.says(-9, -20, -10, waiting=2)
        second.says(-7, -12, waiting=1)

        async def made(seconds):
            return [found.covers[1] for found in await send_due_reports(app, now=at(seconds), token=None)]

        assert await made(6) == []
        first.says(8, -5, 1)
        assert await made(9) == []
        second.says(10, -1)
        assert END in await made(11)


async def test_a_report_that_a_scheduler_asks_for_on_the_bell_waits_too(place, processes, monkeypatch):
    first, _ = processes
    first.says(-9, -20, waiting=2)
    history, slept = backend(place).history(NO_BOOK), []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) == 4:
            await asyncio.to_thread(first.says, 7, -5)

    monkeypatch.setattr("guardian.application.settling.asyncio.sleep", sleep)
    await until_settled(history, END, at(0))
    assert slept == [5, 1, 1, 1]
    slept.clear()
    await until_settled(history, at(3600), at(3700))  # long over, and nobody lives any more
    assert slept == [0]
