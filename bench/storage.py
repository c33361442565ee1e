"""How many events a second the tracker's writer stores.

    python bench/storage.py [--events 100000] [--users 1000] [--batch 500]

Single-threaded, on one SQLite file in a temporary folder, WAL, one transaction a batch: dictionaries, sessions and
unique ids included. Prints the median and the best of 5 runs, and bytes an event.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer


def events(number: int, users: int) -> list[Event]:
    """A busy quarter of an hour: 40 routes, one request in twenty fails."""
    chance, at, found = random.Random(7), 1_700_000_000_000_000, []
    failure = Failure("HTTP 404", "Not Found")
    for _ in range(number):
        at += chance.randrange(200, 2_000)
        user, route, bad = chance.randrange(users), chance.randrange(40), chance.random() < 0.05
        took = chance.randrange(100, 90_000)
        row = (at, f"user{user}@example.com", f"/api/r{route}/{{id}}", "GET", f"r{route}", 404 if bad else 200, took)
        found.append(Event(*row, failure if bad else None))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=1_000)
    parser.add_argument("--batch", type=int, default=500)
    options = parser.parse_args()
    found, rates = events(options.events, options.users), []
    for _ in range(5):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "guardian.db"
            writer = Writer(str(path))
            began = perf_counter()
            for first in range(0, len(found), options.batch):
                writer.write(found[first : first + options.batch])
            rates.append(len(found) / (perf_counter() - began))
            writer.close()
            size = path.stat().st_size / len(found)
    print(f"{options.events:,} events of {options.users:,} users in batches of {options.batch}:")
    print(f"{statistics.median(rates):,.0f} events/s (best {max(rates):,.0f}), {size:.0f} bytes an event")


if __name__ == "__main__":
    main()
