"""How many events a second get through a Recorder into the database and into its summaries, and what that costs.

    PYTHONPATH=. python bench/ingest.py [--events 500000] [--users 50000] [--database COPY.db]

As many events as the buffer takes, 4 microseconds apart, from one thread; then they are sealed. Prints events a second
with and without sealing, the CPU of the writer thread and of sealing for an event, and what became of each. A given
database is written to: give a new copy each time. What it lacks of summaries is sealed before.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

from guardian.stores.people.book import NO_BOOK
from guardian.stores.sqlite.backend import SqliteBackend
from guardian.stores.sqlite.sealing import seal
from tracker.event import Event, Failure
from tracker.recorder import Recorder
from tracker.sqlite.connection import connect

APART_US = 4
DAY_US = 86_400_000_000


def events(number: int, users: int, start_us: int) -> list[Event]:
    """40 routes, one request in twenty fails, a few users are busier than the others."""
    chance, failure, found = random.Random(7), Failure("HTTP 404", "Not Found"), []
    for n in range(number):
        user, route, bad = int(users * chance.random() ** 2), chance.randrange(40), chance.random() < 0.05
        row = (f"user{user}@example.com", f"/api/r{route}/{{id}}", "GET", f"r{route}", 404 if bad else 200)
        took = chance.randrange(100, 90_000)
        found.append(Event(start_us + n * APART_US, *row, took, failure if bad else None))
    return found


async def _opened(path: Path) -> None:
    """Make the tables of the daemon, as its start does."""
    stores = await SqliteBackend(path).open(NO_BOOK)
    await stores.events.close()
    await stores.state.close()


def measure(path: Path, number: int, users: int) -> None:
    """Store and seal, and print."""
    asyncio.run(_opened(path))
    start_us = int(time.time()) // 600 * 600_000_000 + DAY_US
    found = events(number, users, start_us)
    recorder = Recorder(path)
    # Who is new costs a row of names: that is measured by the first events of a flood, and ends.
    for event in {event.user: event for event in found}.values():
        recorder.add(event._replace(at_us=start_us - 60_000_000))
        if recorder.stats().queued > 9_000:
            recorder.flush(60)
    recorder.flush(60)
    db = connect(str(path))
    seal(db, start_us - DAY_US)  # what a given file lacks is not what these events cost
    writer = recorder._writer.thread
    assert writer is not None and writer.ident is not None
    clock = time.pthread_getcpuclockid(writer.ident)
    began, cpu = time.perf_counter(), time.clock_gettime(clock)
    for first in range(0, number, 500):
        for event in found[first : first + 500]:
            recorder.add(event)
        while recorder.stats().queued > 9_000:
            time.sleep(0.001)
    recorder.flush(60)
    stored, cpu = time.perf_counter() - began, time.clock_gettime(clock) - cpu
    stats = recorder.stats()
    recorder.close()
    began, sealing = time.perf_counter(), time.process_time()
    seal(db, start_us + DAY_US)
    sealed, sealing = time.perf_counter() - began, time.process_time() - sealing
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    print(f"{number:,} events of {users:,} users: {number / stored:,.0f} events/s through the Recorder")
    print(f"{number / (stored + sealed):,.0f} events/s with sealing after it ({sealed:.2f} s)")
    print(f"CPU of an event: {cpu / number * 1e6:.2f} µs in the writer, {sealing / number * 1e6:.2f} µs sealing")
    print("accepted {:,} = stored {:,} + dropped {:,} + queued {:,}".format(*stats))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=500_000)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--database", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.database or Path(folder) / "guardian.db", options.events, options.users)


if __name__ == "__main__":
    main()
