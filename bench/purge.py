"""How long a writer waits at most while old events are deleted beside it, and while nothing is.

    PYTHONPATH=. python bench/purge.py [--events 400000] [--seconds 5]

A database of so many events a hundred days old; one process stores 20 events every 5 ms, another one deletes what is
old. Prints the longest wait of the writer in each case, how long deleting took, and the size of the
file before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guardian.stores.people.book import NO_BOOK
from guardian.stores.sqlite.backend import SqliteBackend
from guardian.stores.sqlite.events import SqliteRepository
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def events(start: datetime, number: int, seconds: float, seed: int = 3) -> list[Event]:
    """So many events spread over so many seconds."""
    chance, failure = random.Random(seed), Failure("HTTP 404", "Not Found")
    first, step = int(start.timestamp() * 1e6), int(seconds * 1e6 / number)
    return [
        Event(first + n * step, f"user{chance.randrange(5_000)}@example.com", f"/r{n % 40}", "GET", f"r{n % 40}",
              404 if n % 20 == 0 else 200, 5, failure if n % 20 == 0 else None)
        for n in range(number)
    ]  # fmt: skip


def write(path: str, seconds: float, answer: multiprocessing.Queue[float]) -> None:
    """Store something again and again for so long; how long the longest batch took, in milliseconds."""
    writer, longest, end = Writer(path), 0.0, time.monotonic() + seconds
    n = 0
    while time.monotonic() < end:
        n += 1
        batch = events(NOW + timedelta(seconds=n), 20, 1)
        began = time.perf_counter()
        writer.write(batch)
        longest = max(longest, time.perf_counter() - began)
        time.sleep(0.005)
    writer.close()
    answer.put(longest * 1000)


async def clean(path: Path) -> float:
    """Delete what is old; how many seconds that took."""
    repository = await SqliteRepository.open(path)
    began = time.perf_counter()
    await repository.purge(events_before=NOW - timedelta(days=90), summaries_before=NOW - timedelta(days=365))
    taken = time.perf_counter() - began
    await repository.close()
    return taken


async def prepared(path: Path, number: int) -> None:
    """A database with an old past that is summarised."""
    stores = await SqliteBackend(path).open(NO_BOOK)
    writer = Writer(str(path))
    for day in range(10):
        found = events(NOW - timedelta(days=110 - day), number // 10, 86_000, day)
        for first in range(0, len(found), 5_000):
            writer.write(found[first : first + 5_000])
    writer.close()
    await stores.events.seal(NOW)
    await stores.events.close()
    await stores.state.close()


def beside(path: Path, seconds: float) -> tuple[float, float]:
    """The writer's longest wait for so many seconds, and how long deleting took."""
    answer: multiprocessing.Queue[float] = multiprocessing.Queue()
    host = multiprocessing.Process(target=write, args=(str(path), seconds, answer))
    host.start()
    time.sleep(0.5)
    taken = asyncio.run(clean(path))
    longest = answer.get()
    host.join()
    return longest, taken


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=400_000)
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path, answer = Path(folder) / "guardian.db", multiprocessing.Queue()
        asyncio.run(prepared(path, options.events))
        size = path.stat().st_size
        write(str(path), options.seconds, answer)
        print(f"longest wait of a writer with nothing beside it: {answer.get():.0f} ms")
        longest, taken = beside(path, options.seconds)
        print(f"beside a purge of {options.events:,} events, which took {taken:.1f} s: {longest:.0f} ms")
        print(f"the file has {path.stat().st_size / 1e6:.0f} MB, {size / 1e6:.0f} before")


if __name__ == "__main__":
    main()
