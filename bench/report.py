"""How long the summary of a window takes, beside SQL over the published table and over the compact rows by their key.

    python bench/report.py [--events 1000000] [--users 5000]

Prints milliseconds (median of 5, of SQL one) and ratios for 2, 24 and 720 hours, and what storing and sealing cost.
The SQL only counts: it has no active time and no quantiles.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

from guardian.application.usage import UsageGuardian
from guardian.stores.sqlite.events import SqliteRepository
from tracker.event import Event, Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 31, 12, 3, 7, tzinfo=UTC)
SPAN = timedelta(days=60)
PLAIN = """
    SELECT user_email, feature_name, endpoint, method, status_code, count(*), sum(NOT success), max(timestamp)
    FROM feature_usage WHERE timestamp >= ? AND timestamp < ? GROUP BY 1, 2, 3, 4, 5
"""
KEYED = """
    SELECT user, route, status, count(*), sum(status >= 400), max(id) FROM guardian_request WHERE id >= ? AND id < ?
    GROUP BY 1, 2, 3
"""


def events(number: int, users: int) -> Iterator[list[Event]]:
    """`number` events over 60 days until NOW, in batches of 10,000: visits of 20 requests in about 10 minutes."""
    chance = random.Random(7)
    end = int(NOW.timestamp()) * 1_000_000
    span = int(SPAN / timedelta(microseconds=1))
    failure = Failure("HTTP 500", "Internal Server Error")
    found = []
    for visit in range(number // 20):
        at = end - span + span * visit * 20 // number
        user = f"user{int(users * chance.random() ** 2)}@example.com"
        features = [f"feature_{chance.randrange(30)}" for _ in range(4)]
        for _ in range(20):
            at += int(chance.expovariate(1 / 30e6))
            bad = chance.random() < 0.02
            feature, duration = chance.choice(features), int(chance.lognormvariate(11, 1))
            found.append((at, user, f"/api/{feature}", "GET", feature, 500 if bad else 200, duration, bad))
    found.sort()
    for first in range(0, len(found), 10_000):
        yield [Event(*row[:7], failure if row[7] else None) for row in found[first : first + 10_000]]


def ask(path: Path, text: str, values: list) -> list:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(text, values).fetchall()


async def milliseconds(work, repeat: int = 5) -> float:
    times = []
    for _ in range(repeat):
        begin = perf_counter()
        await work()
        times.append((perf_counter() - begin) * 1000)
    return statistics.median(times)


async def main(number: int, users: int, folder: Path) -> None:
    path = folder / "guardian.db"
    repository = await SqliteRepository.open(path)
    writer = Writer(str(path))
    taken = 0.0
    for batch in events(number, users):
        begin = perf_counter()
        writer.write(batch)
        taken += perf_counter() - begin
    writer.close()
    size = path.stat().st_size
    print(f"store   {number / taken:10,.0f} events/s   {size / number:6.1f} bytes an event")
    begin = perf_counter()
    rows = await repository.seal(NOW)
    taken = perf_counter() - begin
    with closing(connect(str(path))) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    sealed = path.stat().st_size
    print(f"seal    {number / taken:10,.0f} events/s   {sealed / number:6.1f} bytes an event with {rows:,} seals")
    guardian = UsageGuardian(repository, clock=lambda: NOW)
    print("hours     summary   SQL on the view      ratio   SQL by key      ratio   the whole report")
    for hours in (2, 24, 720):
        start = NOW - timedelta(hours=hours)
        window = [at.isoformat(timespec="microseconds") for at in (start, NOW)]
        keys = [int(at.timestamp()) * 1_000_000 << 10 for at in (start, NOW)]
        ours = await milliseconds(lambda start=start: repository.summary(start, NOW))
        view = await milliseconds(lambda window=window: asyncio.to_thread(ask, path, PLAIN, window), 1)
        keyed = await milliseconds(lambda keys=keys: asyncio.to_thread(ask, path, KEYED, keys), 1)
        report = await milliseconds(lambda hours=hours: guardian.generate_report(hours=hours), 3)
        print(
            f"{hours:5}  {ours:7.1f} ms  {view:14.0f} ms  {view / ours:8.1f}x  {keyed:8.1f} ms  {keyed / ours:8.1f}x"
            f"  {report:15.1f} ms",
            flush=True,
        )
    await repository.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--users", type=int, default=5_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(main(given.events, given.users, Path(name)))
