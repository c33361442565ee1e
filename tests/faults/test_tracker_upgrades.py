"""App and daemon are upgraded apart: trackers of earlier releases and today's code share one database, both ways."""

import json
import subprocess
import sys
import textwrap
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from guardian.stores.sqlite.events import SqliteRepository
from tests.support.events import event
from tracker.event import Failure
from tracker.source import Source
from tracker.sqlite.connection import connect
from tracker.sqlite.writer import Writer

WHEELS = sorted((Path(__file__).parents[1] / "data").glob("usage_guardian_tracker-*.whl"))
T = datetime(2026, 3, 2, 12, tzinfo=UTC)
T_US = int(T.timestamp()) * 1_000_000

# Adds an event for each line of [second, user, status] that it reads, and says its stats once they are stored.
OLD_APP = """
    import json, sys
    wheel, database, start_us = sys.argv[1], sys.argv[2], int(sys.argv[3])
    sys.path.insert(0, wheel)
    import tracker
    assert tracker.__file__.startswith(wheel), tracker.__file__
    from tracker import Event, Failure, Recorder
    recorder = Recorder(database, flush_interval=0.01)
    for line in sys.stdin:
        second, user, status = json.loads(line)
        failure = Failure("HTTPException", "No such thing") if status >= 400 else None
        at = start_us + second * 1_000_000
        recorder.add(Event(at, user, "/old", "GET", "old", status, 5_000, failure))
        stored = recorder.flush(timeout=60)
        print(json.dumps([stored, *recorder.stats()]), flush=True)
    recorder.close()
"""


class OldApp:
    """A process with the tracker of an earlier release."""

    def __init__(self, wheel, database):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", textwrap.dedent(OLD_APP), str(wheel), str(database), str(T_US)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def request(self, second, user="old@example.com", status=200):
        """Let it record one request; whether it was stored, and its four numbers."""
        self.process.stdin.write(json.dumps([second, user, status]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def end(self):
        """Let it end; what it logged."""
        _, said = self.process.communicate(timeout=60)
        return said


@pytest.fixture(params=WHEELS, ids=lambda wheel: wheel.name.split("-")[1])
def old_app(request, tmp_path):
    started = []

    def start():
        started.append(OldApp(request.param, tmp_path / "guardian.db"))
        return started[-1]

    yield start
    for app in started:
        app.process.kill()
        app.process.communicate()


def now(second, user="new@example.com", status=200, **more):
    failure = Failure("HTTPException", "No such thing") if status >= 400 else None
    return event(T_US + second * 1_000_000, user=user, feature="new", status=status, ms=5, failure=failure, **more)


async def seen(path):
    """What today's code reads: how many requests per user and status, and each recorder's accepted and stored."""
    repository = await SqliteRepository.open(path)
    try:
        chunks = [chunk async for chunk in repository.events(T, T + timedelta(hours=1))]
        alive = await repository.recorders()
    finally:
        await repository.close()
    found = Counter((event.user, event.status) for chunk in chunks for event in chunk)
    return found, sorted((each.accepted, each.stored, each.dropped) for each in alive)


def published(path, columns, table):
    with closing(connect(str(path))) as db:
        return Counter(db.execute(f"SELECT {columns} FROM {table}").fetchall())


async def test_an_old_tracker_goes_on_writing_into_a_newer_database(old_app, tmp_path):
    path = tmp_path / "guardian.db"
    new = Writer(str(path), made_by=Source("2.4.1", "web-1"))
    noted = now(1)._replace(failure=Failure("Noted", "tool error"), latency_us=1_000)
    assert new.write([now(0), noted]) == 2
    app = old_app()
    for second in range(2, 12, 2):
        assert app.request(second, status=404 if second == 4 else 200)[0] is True
        assert new.write([now(second + 1)]) == 1
    assert app.request(12) == [True, 6, 6, 0, 0]
    assert app.end() == ""
    new.close()
    found, recorders = await seen(path)
    assert found == {
        ("new@example.com", 200): 7, ("old@example.com", 200): 5, ("old@example.com", 404): 1,
    }  # fmt: skip
    assert recorders == [(6, 6, 0)]
    expected = {("/new", 200, 1): 6, ("/new", 200, 0): 1, ("/old", 200, 1): 5, ("/old", 404, 0): 1}
    assert published(path, "endpoint, status_code, success", "feature_usage") == expected
    assert published(path, "endpoint, error_type", "user_errors") == {
        ("/new", "Noted"): 1,
        ("/old", "HTTPException"): 1,
    }


async def test_an_old_tracker_goes_on_while_today_s_code_changes_the_tables_under_it(old_app, tmp_path):
    path = tmp_path / "guardian.db"
    app = old_app()
    assert app.request(0)[0] is True, "it has made the tables, and keeps its connection open"
    with writing(path) as new:
        assert new.write([now(1)]) == 1
        assert app.request(2, status=500) == [True, 2, 2, 0, 0]
        assert new.write([now(3, status=404)]) == 1
    assert app.request(4)[0] is True
    assert app.end() == ""
    again = old_app()
    assert again.request(5) == [True, 1, 1, 0, 0], "an old app that starts after the upgrade records too"
    assert again.end() == ""
    found, recorders = await seen(path)
    assert found == {
        ("new@example.com", 200): 1, ("new@example.com", 404): 1,
        ("old@example.com", 200): 3, ("old@example.com", 500): 1,
    }  # fmt: skip
    assert recorders == [(1, 1, 0), (3, 3, 0)]


async def test_one_user_of_both_has_one_name_and_one_session(old_app, tmp_path):
    path = tmp_path / "guardian.db"
    app = old_app()
    with writing(path) as new:
        for second in range(0, 60, 20):
            assert app.request(second, user="ada@example.com")[0] is True
            assert new.write([now(second + 10, user="ada@example.com")]) == 1
    app.end()
    assert published(path, "user_email, duration_seconds", "user_sessions") == {("ada@example.com", 50): 1}
    assert (await seen(path))[0] == {("ada@example.com", 200): 6}


def test_a_sealed_summary_hears_of_what_an_old_tracker_brings_late(old_app, tmp_path):
    path = tmp_path / "guardian.db"
    with writing(path) as new:
        new.write([now(0)])
        new.db.execute("REPLACE INTO guardian_meta (key, value) VALUES ('sealed_until_us', ?)", (T_US + 600_000_000,))
        app = old_app()
        assert app.request(10)[0] is True
        assert new.db.execute("SELECT start_us FROM guardian_dirty").fetchall() == [(T_US,)]
    app.end()


def writing(path):
    """Today's writer, closed at the end of the block."""
    return closing(Writer(str(path)))
