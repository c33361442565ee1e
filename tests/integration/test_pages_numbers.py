"""/metrics, the bar at the foot of every page and the database say the same numbers, however they were come by."""

import re
import sqlite3
from contextlib import closing
from datetime import timedelta

from guardian.core.outgoing import Outgoing
from tests.support.api_client import NOW, calling, event, open_incident, opened
from tests.support.pages import text_of
from tests.support.plain import plain
from tracker.recorder import Recorder

CAME, LOST = 30, 3


def record(database):
    """Some requests are stored, and some could not even be noted."""
    recorder = Recorder(database, flush_interval=3600, clock=lambda: NOW.timestamp() - 7)
    for n in range(CAME):
        recorder.add(event(NOW - timedelta(minutes=3, seconds=-n)))
    for _ in range(LOST):
        recorder.add_lost("no words")
    assert recorder.close(10)
    return recorder.stats()


def numbers(text):
    """The metrics by name and label."""
    return {name: float(value) for name, value in re.findall(r"^(guardian\S+) (\S+)$", text, re.MULTILINE)}


def rows(database, sql):
    with closing(sqlite3.connect(database)) as db:
        return db.execute(sql).fetchall()


async def test_metrics_bar_and_database_agree(tmp_path):
    async with opened(tmp_path / "d", events=[]) as app:
        database = app.settings.database
        counted = record(database)
        assert (counted.accepted, counted.stored, counted.dropped) == (CAME + LOST, CAME, LOST)
        with closing(sqlite3.connect(database)) as db, db:  # one process that waits, one whose clock was ahead
            seen = int(NOW.timestamp()) * 1_000_000
            db.execute("INSERT INTO guardian_recorder VALUES ('b', 0, ?, 9, 4, 2, '0.1.0')", (seen - 5 * 60 * 10**6,))
            db.execute("INSERT INTO guardian_recorder VALUES ('c', 0, ?, 70, 70, 0, '0.1.0')", (seen + 10**14,))
        await open_incident(app, "chat")
        for n, minutes in enumerate((50, 20)):
            mail = Outgoing(f"report/{n}", "admin@example.com", b"", "report", subject="s")
            await app.state.enqueue([mail], now=NOW - timedelta(minutes=minutes))
        async with calling(app) as client:
            found = numbers((await client.get("/metrics")).text)
        page = plain(await text_of(app, "/system", zone="UTC"))

    accepted, stored, dropped = counted.accepted + 9, counted.stored + 4, counted.dropped + 2
    queued = accepted - stored - dropped
    kept = {name: found[f"guardian_events_{name}"] for name in ("accepted", "stored", "dropped", "queued")}
    assert kept == {"accepted": accepted, "stored": stored, "dropped": dropped, "queued": queued}
    assert f"{accepted} accepted = {stored} stored + {dropped} dropped + {queued} queued" in page
    [(events, newest)] = rows(database, "SELECT count(*), max(timestamp) FROM feature_usage")
    assert (counted.stored, events) == (counted.accepted - counted.dropped, counted.stored)
    age = NOW.timestamp() - (NOW - timedelta(minutes=3, seconds=-(counted.stored - 1))).timestamp()
    assert found["guardian_newest_event_age_seconds"] == age and newest.startswith("2026-03-02T12:2")
    assert "Newest</span> <strong>2 min ago" in page
    assert (found["guardian_recorders_alive"], "Recorders</span> <strong>1 alive" in page) == (1, True)
    assert found['guardian_open_incidents{severity="critical"}'] == 1
    assert rows(database, "SELECT count(*) FROM guardian_incident WHERE status != 'resolved'") == [(1,)]
    assert found["guardian_oldest_unsent_age_seconds"] == 50 * 60
    assert found['guardian_outbox_messages{status="pending"}'] == 2
