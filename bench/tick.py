"""What a minute of alerting costs, with every kind of rule, after an hour of so many events a second.

    PYTHONPATH=. python bench/tick.py [--rate 200] [--minutes 10]

Prints the CPU of the first judged minute after a start, of each that follows (median and worst), and of one with a late
event; and how much memory the process has at its end. The goals at 200 events a second are 1 s, 10 ms and 20 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from guardian.alerting.engine import Surroundings
from guardian.application.judging.live import LiveHistory, judge_passed_minutes
from guardian.settings.rules import parse_rule
from guardian.stores.sqlite.alerts import SqliteAlertStore
from guardian.stores.sqlite.history import SqliteHistory
from guardian.stores.sqlite.state import SqliteStateStore
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer

KINDS = ("error_rate", "feature_down", "user_burst", "latency", "traffic_drop", "traffic_spike", "new_error")
NOW = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)


class Host:
    """An app of 40 features and 50,000 users, one request in twenty of which fails."""

    def __init__(self, path: Path) -> None:
        self._writer, self._stored, self._chance = Writer(str(path)), 0, random.Random(7)
        self._failures = [Failure("Boom", "no", f"app.py:{n} f") for n in range(30)]

    def minute(self, end: datetime, number: int) -> None:
        """So many requests in the minute before `end`."""
        start, chance = int(end.timestamp() - 60) * 1_000_000, self._chance
        for at in range(start, start + 60_000_000, 60_000_000 // number * 500):
            batch = []
            for n in range(500):
                route, bad = chance.randrange(40), chance.random() < 0.05
                failure = chance.choice(self._failures) if bad else None
                row = (f"user{chance.randrange(50_000)}@example.com", f"/r{route}", "GET", f"r{route}")
                took = chance.randrange(100, 90_000)
                when = at + n * (60_000_000 // number)
                batch.append(Event(when, *row, 500 if bad else 200, took, failure))
            self.write(batch)

    def write(self, batch: list[Event], late_us: int = 0) -> None:
        """Store a batch with its heartbeat, so long after its last event."""
        self._stored += len(batch)
        row = ("one", 0, max(event.at_us for event in batch) + late_us, self._stored, self._stored, 0, "1")
        self._writer.write(batch, heartbeat=lambda stored, poison: row)


async def measure(path: Path, rate: int, minutes: int) -> None:
    """Live through some minutes and print what they cost."""
    host = Host(path)
    for week in range(1, 5):  # a thin past, so that every kind has something to compare with
        for minute in range(-59, 1, 4):
            host.minute(NOW - timedelta(weeks=week) + timedelta(minutes=minute), 500)
    for minute in range(-59, 1):
        host.minute(NOW + timedelta(minutes=minute), rate * 60)
    state = await SqliteStateStore.open(path)
    tables = {kind: {} for kind in (*KINDS, "tracker_silent", "burn_rate")}
    rules = tuple(parse_rule(name, table, critical_features=("r1", "r2")) for name, table in tables.items())
    store, live = SqliteAlertStore(state), LiveHistory(SqliteHistory(path, keep=True), rules)
    around = Surroundings(rules, ZoneInfo("UTC"))
    costs: list[tuple[float, float]] = []
    for minute in range(minutes + 2):
        now = NOW + timedelta(minutes=minute)
        if minute:
            host.minute(now, rate * 60)
        if minute == minutes + 1:
            at_us = int((now - timedelta(minutes=40)).timestamp()) * 1_000_000
            host.write([Event(at_us + 7, "late@example.com", "/r1", "GET", "r1", 200, 900, None)], 40 * 60_000_000)
        began, cpu = time.perf_counter(), time.process_time()
        await judge_passed_minutes(
            store, live, around, lambda notice, snapshot: ([], {"": ""}), now=now + timedelta(seconds=6), token=None
        )
        costs.append((time.process_time() - cpu, time.perf_counter() - began))
    await state.close()
    first, *usual, late = (cpu * 1000 for cpu, _ in costs)
    print(f"first judged minute: {first:,.0f} ms of CPU, {costs[0][1] * 1000:,.0f} ms in all")
    print(f"a minute: {statistics.median(usual):.1f} ms of CPU (worst {max(usual):.1f})")
    print(f"with a late event: {late:.1f} ms of CPU")
    print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=200)
    parser.add_argument("--minutes", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder) / "guardian.db", options.rate, options.minutes))


if __name__ == "__main__":
    main()
