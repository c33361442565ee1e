"""Google's client does not outlive a fork, and belongs to the event loop that it was used on first: each process, and
each loop, has one of its own, whoever asks and however often."""

import asyncio
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from google.cloud import firestore

from guardian.stores.firestore import client as asynchronous
from guardian.stores.firestore.documents import Documents
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.firestore import address_in
from tracker.firestore import client as synchronous
from tracker.firestore.address import parse

pytestmark = pytest.mark.needs_firestore


def run(script, *arguments):
    """A script in a process of its own; its exit code and what it said on stderr."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", textwrap.dedent(script), *arguments]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stderr


FORKS = """
    import os, sys, time
    from tests.support.events import event
    from tracker import Recorder
    from tracker.firestore import client

    recorder = Recorder(sys.argv[1])
    recorder.add(event(1_700_000_000_000_000))
    assert recorder.flush(60), "before the fork"
    mine = list(client._clients)
    children = []
    for number in range(2):
        pid = os.fork()
        if pid == 0:
            recorder.add(event(1_700_000_001_000_000 + number))
            done = recorder.flush(60)
            keys = [key for key in client._clients if key[0] == os.getpid()]
            os._exit(0 if done and len(keys) == 1 else 1)
        children.append(pid)
    assert all(os.waitpid(pid, 0)[1] == 0 for pid in children), "a child hung or failed"
    recorder.add(event(1_700_000_002_000_000))
    assert recorder.flush(60), "after the fork"
    assert list(client._clients) == mine, "the parent keeps its one client"
    recorder.close()
"""


def test_a_forked_worker_stores_by_a_client_of_its_own_and_its_parent_goes_on(tmp_path):
    place = address_in(tmp_path)
    assert run(FORKS, place) == (0, "")
    found = Documents(parse(place)).query("feature_usage")
    assert sorted(each.fields["start"] - 1_700_000_000_000_000 for each in found) == [
        0,
        1_000_000,
        1_000_001,
        2_000_000,
    ]
    assert len({each.name.partition("-")[0] for each in found}) == 3, "each process is an instance"


def test_many_threads_that_ask_at_once_get_one_client(tmp_path, monkeypatch):
    made = []

    class Counted(firestore.Client):
        def __init__(self, **settings):
            made.append(settings)
            super().__init__(**settings)

    monkeypatch.setattr(firestore, "Client", Counted)
    address = parse(address_in(tmp_path))
    with ThreadPoolExecutor(16) as threads:
        found = list(threads.map(lambda _: synchronous.client_of(address), range(64)))
    assert (len(made), len(set(map(id, found)))) == (1, 1)


def test_each_event_loop_has_a_client_and_those_of_loops_that_ended_are_let_go(tmp_path):
    place = address_in(tmp_path)

    async def used():
        for _ in range(3):
            stores = await backend(place).open(NO_BOOK)
            await stores.state.outbox_counts()
            await stores.close()
        mine = [key for key in asynchronous._clients if key[2] == parse(place)]
        return asynchronous._clients[mine[-1]], len(mine)

    first, second = asyncio.run(used()), asyncio.run(used())
    assert first[0] is not second[0]
    assert (first[1], second[1]) == (1, 1)


def test_the_tracker_loads_nothing_of_googles_before_it_stores_something():
    code, said = run("""
        import sys
        from tracker import UsageTrackingMiddleware

        assert UsageTrackingMiddleware(None, database="firestore://p").problem is None
        assert not [name for name in sys.modules if name.partition(".")[0] in ("google", "grpc")]
    """)
    assert (code, said) == (0, "")
