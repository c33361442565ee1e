"""What a minute of alerting costs, with every kind of rule, after an hour of so many events a second.

    PYTHONPATH=. python bench/tick.py [--rate 200] [--people 50000] [--minutes 10] [--storm] [--filled FILE]

The app has 40 features and 250 people for each event a second, so that each of them makes a request about every four
minutes whatever the rate. One request in twenty fails, at random; hardly anybody has a burst of errors (`user_burst`).
With `--storm` every request fails from the second minute on, so that within ten minutes one person in ten has a burst,
and each rule fires. `--people` gives another number of people: with 50,000 at 2,000 events a second each of them meets
an error about every eight minutes, and some hundred have a burst each minute: a storm too, though a slow one.

Prints the CPU of the first judged minute after a start, of each that follows (median, least and worst), and of one with
a late event; how many statements a minute takes and how many rows it writes (medians); how many incidents are in the
state at the end and how large it is; and the most memory. `--filled` keeps the file with the hour of events, so that
the next run begins at once. The goals are in docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import shutil
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from guardian.alerting.engine import Surroundings
from guardian.application.judging.live import LiveHistory, judge_passed_minutes
from guardian.settings.rules import parse_rule
from guardian.stores.alert_state import STATE_JSON
from guardian.stores.sqlite.alerts import SqliteAlertStore
from guardian.stores.sqlite.buckets import ids
from guardian.stores.sqlite.history import SqliteHistory
from guardian.stores.sqlite.state import SqliteStateStore
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer

KINDS = ("error_rate", "feature_down", "user_burst", "latency", "traffic_drop", "traffic_spike", "new_error")
NOW = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
BATCH = 5_000
FEATURES, FAILURES = 40, 30


class Host:
    """An app of 40 features, one request in `1 / failing` of which fails."""

    def __init__(self, path: Path, people: int) -> None:
        self._writer, self._stored, self._chance = Writer(str(path)), 0, np.random.default_rng(7)
        self._people, self.failing = people, 0.05
        self._failures = [Failure("Boom", "no", f"app.py:{n} f") for n in range(FAILURES)]

    def minute(self, end: datetime, number: int) -> None:
        """So many requests in the minute before `end`, evenly spread."""
        draw, start = self._chance, int(end.timestamp() - 60) * 1_000_000
        at = start + np.arange(number) * 60_000_000 // number
        drawn = (draw.integers(each, size=number) for each in (self._people, FEATURES, FAILURES))
        rows = zip(
            at.tolist(), *(each.tolist() for each in drawn),
            (draw.random(number) < self.failing).tolist(), draw.integers(100, 90_000, number).tolist(), strict=True,
        )  # fmt: skip
        events = [
            Event(
                when, f"user{person}@example.com", f"/r{route}", "GET", f"r{route}",
                500 if bad else 200, took, self._failures[failure] if bad else None,
            )
            for when, person, route, failure, bad, took in rows
        ]  # fmt: skip
        for first in range(0, number, BATCH):
            self.write(events[first : first + BATCH])

    def write(self, batch: list[Event], late_us: int = 0) -> None:
        """Store a batch with its heartbeat, so long after its last event."""
        self._stored += len(batch)
        row = ("one", 0, max(event.at_us for event in batch) + late_us, self._stored, self._stored, 0, "1")
        self._writer.write(batch, heartbeat=lambda stored, poison: row)


def fill(path: Path, host: Host, rate: int, people: int) -> None:
    """An hour at this rate, and the same hour of four earlier weeks thinly, so that every kind can compare. The hour is
    its first minute again and again, each time with other people: writing millions of events one by one takes long."""
    for week in range(1, 5):
        for minute in range(-59, 1, 4):
            host.minute(NOW - timedelta(weeks=week) + timedelta(minutes=minute), 500)
    everybody = [f"user{person}@example.com" for person in range(people)]
    at_us = int((NOW - timedelta(weeks=1)).timestamp()) * 1_000_000
    for first in range(0, people, BATCH):
        names = everybody[first : first + BATCH]
        host.write([Event(at_us + first + n, name, "/r1", "GET", "r1", 200, 900, None) for n, name in enumerate(names)])
    start = NOW - timedelta(minutes=60)
    host.minute(start + timedelta(minutes=1), rate * 60)
    copied = "SELECT id + ?, (user + ? - 1) % ? + 1, route, status, duration_us, failure, latency_us, source"
    first_id, end_id = ids(*(int((start + timedelta(minutes=n)).timestamp()) * 1_000_000 for n in (0, 1)))
    with closing(sqlite3.connect(path)) as db, db:
        for minute in range(1, 60):
            shift = ids(minute * 60_000_000, 0)[0] - ids(0, 0)[0], minute * 7919, people
            sql = f"INSERT INTO guardian_request {copied} FROM guardian_request WHERE id >= ? AND id < ?"
            db.execute(sql, (*shift, first_id, end_id))


class Work:
    """What a minute of alerting had to do: the statements that SQLite ran, and the rows that they changed."""

    def __init__(self) -> None:
        self._opened: list[sqlite3.Connection] = []
        self._statements, self._connect = 0, sqlite3.connect
        sqlite3.connect = self._noticed  # type: ignore[assignment]

    def _noticed(self, *how: Any, **more: Any) -> sqlite3.Connection:
        db = self._connect(*how, **more)
        db.set_trace_callback(self._ran)
        self._opened.append(db)
        return db

    def _ran(self, statement: str) -> None:
        self._statements += 1

    def so_far(self) -> tuple[int, int]:
        """Statements, and rows changed, by all connections opened since."""
        return self._statements, sum(db.total_changes for db in self._opened)


class Minute(NamedTuple):
    """What one minute took: CPU and time in ms, statements, rows written; incidents in the state, and its size in
    bytes."""

    cpu: float
    wall: float
    statements: int
    written: int
    incidents: int
    size: int


async def live_through(path: Path, host: Host, rate: int, minutes: int, *, storm: bool) -> list[Minute]:
    """Judge so many minutes, and one more with a late event; return what each took."""
    work = Work()
    state = await SqliteStateStore.open(path)
    tables = {kind: {} for kind in (*KINDS, "tracker_silent", "burn_rate")}
    rules = tuple(parse_rule(name, table, critical_features=("r1", "r2")) for name, table in tables.items())
    store, live = SqliteAlertStore(state), LiveHistory(SqliteHistory(path, keep=True), rules)
    around = Surroundings(rules, ZoneInfo("UTC"))
    took = []
    for minute in range(minutes + 2):
        now = NOW + timedelta(minutes=minute)
        if minute:
            if storm and minute > 1:
                host.failing = 1.0
            host.minute(now, rate * 60)
        if minute == minutes + 1:
            at_us = int((now - timedelta(minutes=40)).timestamp()) * 1_000_000
            host.write([Event(at_us + 7, "late@example.com", "/r1", "GET", "r1", 200, 900, None)], 40 * 60_000_000)
        before, began, cpu = work.so_far(), time.perf_counter(), time.process_time()
        await judge_passed_minutes(
            store, live, around, lambda notice, snapshot: ([], {"": ""}), now=now + timedelta(seconds=6), token=None
        )
        spent = (time.process_time() - cpu) * 1000, (time.perf_counter() - began) * 1000
        statements, written = (after - each for after, each in zip(work.so_far(), before, strict=True))
        there = await store.load()
        size = len(STATE_JSON.dump_json(there))
        took.append(Minute(*spent, statements, written, len(there.incidents()), size))
    await state.close()
    return took


def tell(took: list[Minute], rate: int, people: int) -> None:
    """Print what the minutes took."""
    first, *usual, late = took
    print(f"{rate:,} events/s of {people:,} people")
    print(f"first judged minute: {first.cpu:,.0f} ms of CPU, {first.wall:,.0f} ms in all")
    print(f"a minute: {statistics.median(each.cpu for each in usual):.1f} ms of CPU", end=" ")
    print(f"(least {min(each.cpu for each in usual):.1f}, worst {max(each.cpu for each in usual):.1f})", end=", ")
    statements, written = (statistics.median(getattr(m, name) for m in usual) for name in ("statements", "written"))
    print(f"{statements:.0f} statements, {rate * 60:,} events read, {written:.0f} rows written")
    print(f"with a late event: {late.cpu:.1f} ms of CPU")
    print(f"at the end: {late.incidents:,} incidents, a state of {late.size / 1000:,.0f} kB")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--people", type=int)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--storm", action="store_true")
    parser.add_argument("--filled", type=Path)
    options = parser.parse_args()
    people = options.people or options.rate * 250
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guardian.db"
        if options.filled and options.filled.exists():
            shutil.copy(options.filled, path)
            host = Host(path, people)
        else:
            host = Host(path, people)
            fill(path, host, options.rate, people)
            if options.filled:
                with sqlite3.connect(path) as db:
                    db.execute("VACUUM INTO ?", (str(options.filled),))
        took = asyncio.run(live_through(path, host, options.rate, options.minutes, storm=options.storm))
        tell(took, options.rate, people)


if __name__ == "__main__":
    main()
