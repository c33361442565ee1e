"""A past to measure on: makes a database of so many events of so many people, as an app of some size leaves it.

    PYTHONPATH=. python bench/past.py FILE [--events 10000000] [--days 90] [--users 50000] [--until ISO]

Events end at 2026-03-31 12:03:07 UTC, where nothing else is said. A visit is 20 requests, half a minute apart, of
four of 60 features; more of them come about noon. Few people come often: the number of a visitor is the square of an
even chance. Two in a hundred requests fail. Prints what storing and sealing them cost, and the bytes of an event by
table. The same arguments make the same events.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import process_time

import numpy as np

from guardian.stores.sqlite.events import SqliteRepository
from tracker.event import Event, Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 31, 12, 3, 7, tzinfo=UTC)
DAY = timedelta(days=1) // timedelta(microseconds=1)
VISIT, FEATURES = 20, 60
BATCH = 5_000
FAILED = (
    (500, Failure("HTTP 500", "Internal Server Error")),
    (404, Failure("HTTP 404", "Not Found")),
    (500, Failure("ValueError", "no such model", "app/chat.py:12 answer")),
)


def each_day(number: int, days: int, users: int, until: datetime = NOW) -> Iterator[list[Event]]:
    """Some `number` events over so many days before `until`, a list a day, in the order of time."""
    chance = np.random.default_rng(7)
    start = int(until.timestamp()) * 1_000_000 - days * DAY
    visits = round(number / days / VISIT)
    names = [f"user{n}@example.com" for n in range(users)]
    features = [f"feature_{n}" for n in range(FEATURES)]
    left = np.empty((5, 0), np.int64)
    for first in range(start, start + days * DAY, DAY):
        shape = visits, VISIT
        begun = first + (chance.normal(0.5, 0.25, (visits, 1)) % 1 * DAY).astype(np.int64)
        at = begun + np.cumsum(chance.exponential(30e6, shape), axis=1).astype(np.int64)
        user = np.repeat((users * chance.random((visits, 1)) ** 2).astype(np.int64), VISIT, axis=1)
        mine = chance.integers(0, FEATURES, (visits, 4))
        route = np.take_along_axis(mine, chance.integers(0, 4, shape), axis=1)
        failed = np.where(chance.random(shape) < 0.02, chance.integers(0, len(FAILED), shape), -1)
        took = chance.lognormal(11, 1, shape).astype(np.int64)
        rows = np.concatenate([left, np.stack([each.ravel() for each in (at, user, route, failed, took)])], axis=1)
        rows = rows[:, np.argsort(rows[0], kind="stable")]
        over = int(np.searchsorted(rows[0], first + DAY))
        left = rows[:, over:]
        yield [
            Event(us, names[who], f"/api/{features[what]}", "GET", features[what], *_outcome(why, duration))
            for us, who, what, why, duration in zip(*rows[:, :over].tolist(), strict=True)
        ]


def _outcome(why: int, duration: int) -> tuple[int, int, Failure | None]:
    if why < 0:
        return 200, duration, None
    status, failure = FAILED[why]
    return status, duration, failure


def store(path: Path, number: int, days: int, users: int, until: datetime = NOW) -> tuple[int, float]:
    """Store such events in a new database. How many they are, and the seconds of CPU that the writer took."""
    writer, stored, took = Writer(str(path)), 0, 0.0
    for events in each_day(number, days, users, until):
        began = process_time()
        for first in range(0, len(events), BATCH):
            writer.write(events[first : first + BATCH])
        took += process_time() - began
        stored += len(events)
    writer.close()
    return stored, took


async def seal(path: Path, now: datetime = NOW) -> tuple[int, float]:
    """How many summaries were written, and the seconds of CPU it took."""
    repository = await SqliteRepository.open(path)
    began = process_time()
    rows = await repository.seal(now)
    took = process_time() - began
    await repository.close()
    return rows, took


def sizes(path: Path) -> dict[str, int]:
    """The bytes of each table and index of the file, the largest first."""
    with closing(connect(str(path))) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        try:
            return dict(db.execute("SELECT name, sum(pgsize) AS size FROM dbstat GROUP BY name ORDER BY size DESC"))
        except sqlite3.OperationalError:  # an SQLite without dbstat
            return {}


def main() -> None:
    """Make the file, and print."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("file", type=Path)
    options.add_argument("--events", type=int, default=10_000_000)
    options.add_argument("--days", type=int, default=90)
    options.add_argument("--users", type=int, default=50_000)
    options.add_argument("--until", type=datetime.fromisoformat, default=NOW)
    given = options.parse_args()
    stored, took = store(given.file, given.events, given.days, given.users, given.until)
    print(f"stored {stored:,} events: {took / stored * 1e6:.2f} µs of CPU each", flush=True)
    rows, took = asyncio.run(seal(given.file, given.until))
    print(f"sealed into {rows:,} summaries: {took / stored * 1e6:.2f} µs of CPU an event", flush=True)
    found = sizes(given.file)
    print(f"{given.file.stat().st_size / stored:.1f} bytes an event")
    for name, size in list(found.items())[:10]:
        print(f"  {size / stored:6.2f}  {name}")


if __name__ == "__main__":
    main()
