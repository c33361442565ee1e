"""Firestore away for ten minutes: the host does not notice, memory is bounded, slices come late and exactly once, what
is dropped is counted, and the daemon says so once and goes on."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from google.api_core.exceptions import ServiceUnavailable

from guardian.application.lead import renew_lead
from guardian.application.root import open_application
from guardian.core.storage import StorageError
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.overview import recorder_notes, recorders
from guardian.stores.firestore.progress import read_table
from tests.support.api_client import make_settings
from tests.support.events import event as made
from tests.support.firestore import HOST, address_in, emulator
from tests.support.waiting import until
from tests.support.wire import Wire
from tracker import Recorder, pacing
from tracker.firestore.address import parse
from tracker.firestore.sink import FirestoreSink

T = 1_700_000_000_000_000
TRIES = 600
"""So often a recorder tries in ten minutes, once a second."""


def event(number):
    return made(T + number)


def stored(address):
    return [at - T for at in read_table(Documents(parse(address)), 0, 2**62).rows[:, 0].tolist()]


@pytest.mark.needs_firestore
def test_after_ten_minutes_of_tries_the_buffer_is_stored_once_and_the_rest_is_counted(tmp_path, monkeypatch):
    address = address_in(tmp_path)
    create, tries = FirestoreSink._create, []

    def away(self, documents):
        tries.append(threading.get_ident())
        if len(tries) <= TRIES:
            if len(tries) % 3 == 0:
                create(self, documents)  # it came through, and the answer did not
            raise ServiceUnavailable("away")
        create(self, documents)

    monkeypatch.setattr(FirestoreSink, "_create", away)
    monkeypatch.setattr(pacing, "BACKOFF", (0.001,) * 6)
    recorder = Recorder(address, flush_interval=0.01, buffer_size=300)
    number = 0
    while len(tries) < TRIES:
        recorder.add(event(number))
        number += 1
        assert recorder.stats().queued <= 300
        if number % 20 == 0:
            time.sleep(0.001)  # let the writer have its turn
    until(lambda: recorder.stats().queued == 0)
    stats = recorder.stats()
    assert stats.accepted == number == stats.stored + stats.dropped
    assert stats.stored >= 300 and stats.dropped > 0
    there = stored(address)
    assert len(there) == len(set(there)) == stats.stored
    assert threading.get_ident() not in tries, "no request waits for the database"
    recorder.add(event(number))
    assert recorder.flush()
    documents = Documents(parse(address))
    until(
        lambda: [note for note in recorder_notes(documents, datetime(2020, 1, 1, tzinfo=UTC)) if note.kind == "dropped"]
    )
    [health] = recorders(documents, None)
    assert health.dropped == stats.dropped
    recorder.close()


@pytest.fixture
def wire(monkeypatch):
    found = Wire(emulator())
    monkeypatch.setenv(HOST, found.place)
    yield found
    found.close()


@pytest.mark.needs_firestore
def test_a_wire_that_was_cut_loses_and_doubles_nothing(tmp_path, wire):
    address = f"{address_in(tmp_path)}/cut"
    recorder = Recorder(address, flush_interval=0.05)
    recorder.add(event(0))
    assert recorder.flush()
    for number in range(1, 400):
        recorder.add(event(number))
        if number in (40, 200):
            wire.cut()
        elif number in (120, 300):
            wire.mend()
        time.sleep(0.005)
    until(lambda: recorder.stats().queued == 0)
    assert recorder.stats() == (400, 400, 0, 0)
    assert recorder.close()
    assert stored(address) == list(range(400))


async def test_a_daemon_says_once_that_its_database_is_away_and_leads_on_after(tmp_path, monkeypatch, caplog):
    clock = [datetime(2026, 3, 2, 9, 0, tzinfo=UTC)]
    (tmp_path / "d").mkdir()
    async with open_application(make_settings(tmp_path / "d"), clock=lambda: clock[0]) as app:
        assert await renew_lead(app)
        acquire, tries = app.state.acquire_lease, []

        async def away(*asked):
            tries.append(asked)
            raise StorageError("the database firestore://p did not answer within 10 seconds: look at the network")

        with caplog.at_level(logging.INFO, "guardian"):
            monkeypatch.setattr(app.state, "acquire_lease", away, raising=False)
            for _ in range(60):
                clock[0] += timedelta(seconds=10)
                assert not await renew_lead(app)
                assert app.token is None
            monkeypatch.setattr(app.state, "acquire_lease", acquire, raising=False)
            clock[0] += timedelta(seconds=10)
            assert await renew_lead(app) and app.token is not None
        said = [(record.levelname, record.getMessage()) for record in caplog.records]
        assert len(tries) == 60
        assert [level for level, text in said if "did not answer" in text] == ["ERROR"]
        assert ("WARNING", "The lease is renewed again: the database answers") in said
