"""How long a report takes, beside SQL over the published table and over the compact rows by their key.

    PYTHONPATH=. python bench/report.py [guardian.db] [--end 2026-03-31T12:03:07+00:00] [--sql] [--runs 5]

The database is read, and sealed; make a copy. Without one, a million events of 60 days and 5,000 people are made as
by bench/past.py, and SQL is asked as well. Prints the CPU of a report of 2, 24 and 720 hours that names 1,000 people,
of one that names everybody, and of `stats()`: the first of a process, and the least of the next ones; memory at most
(the daemon, with one heap for all threads, needs less: bench/daemon.py); and for the SQL, which only counts and has
no active time and no quantiles, ratios to a summary's time.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sqlite3
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bench import past
from guardian.application.usage import UsageGuardian
from guardian.stores.sqlite.events import SqliteRepository

PLAIN = """
    SELECT user_email, feature_name, endpoint, method, status_code, count(*), sum(NOT success), max(timestamp)
    FROM feature_usage WHERE timestamp >= ? AND timestamp < ? GROUP BY 1, 2, 3, 4, 5
"""
KEYED = """
    SELECT user, route, status, count(*), sum(status >= 400), max(id) FROM guardian_request WHERE id >= ? AND id < ?
    GROUP BY 1, 2, 3
"""


def ask(path: Path, text: str, values: list[Any]) -> list[Any]:
    """The rows of a query, by a connection of its own."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(text, values).fetchall()


async def milliseconds(work: Callable[[], Awaitable[object]], repeat: int = 5) -> float:
    """The median time by the clock."""
    times = []
    for _ in range(repeat):
        begin = perf_counter()
        await work()
        times.append((perf_counter() - begin) * 1000)
    return statistics.median(times)


async def cpu(work: Callable[[], Awaitable[object]], runs: int) -> tuple[float, float]:
    """Milliseconds of CPU of the first run, and the least of the next ones."""
    times = []
    for _ in range(1 + runs):
        begin = process_time()
        await work()
        times.append((process_time() - begin) * 1000)
    return times[0], min(times[1:])


async def reports(repository: SqliteRepository, end: datetime, runs: int) -> None:
    """Print what reports cost."""
    guardian = UsageGuardian(repository, clock=lambda: end)
    for hours, most in ((2, 1000), (24, 1000), (720, 1000), (720, None)):
        took = await cpu(lambda hours=hours, most=most: guardian.generate_report(hours, max_users=most), runs)
        named = "everybody named" if most is None else f"{most:,} named"
        print(f"{hours:4} h, {named}: {took[0]:.0f}, then {took[1]:.1f} ms of CPU", flush=True)
        if most and hours == 720:
            print(f"memory at most: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    took = await cpu(lambda: repository.stats(end), 20)
    print(f"stats(): {took[0]:.1f}, then {took[1]:.2f} ms of CPU")


async def beside_sql(repository: SqliteRepository, path: Path, end: datetime) -> None:
    """Print what counting takes, and what SQL takes for less."""
    print("hours     summary   SQL on the view      ratio   SQL by key      ratio")
    for hours in (2, 24, 720):
        start = end - timedelta(hours=hours)
        window = [at.isoformat(timespec="microseconds") for at in (start, end)]
        keys = [int(at.timestamp()) * 1_000_000 << 10 for at in (start, end)]
        ours = await milliseconds(lambda start=start: repository.summary(start, end))
        view = await milliseconds(lambda window=window: asyncio.to_thread(ask, path, PLAIN, window), 1)
        keyed = await milliseconds(lambda keys=keys: asyncio.to_thread(ask, path, KEYED, keys), 1)
        print(
            f"{hours:5}  {ours:7.1f} ms  {view:14.0f} ms  {view / ours:8.1f}x  {keyed:8.1f} ms  {keyed / ours:8.1f}x",
            flush=True,
        )


async def main(path: Path, end: datetime, runs: int, sql: bool) -> None:
    """Seal what is to be sealed, and print."""
    repository = await SqliteRepository.open(path)
    await repository.seal(end)
    await reports(repository, end, runs)
    if sql:
        await beside_sql(repository, path, end)
    await repository.close()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("database", nargs="?", type=Path)
    options.add_argument("--end", type=datetime.fromisoformat, default=past.NOW)
    options.add_argument("--runs", type=int, default=5)
    options.add_argument("--sql", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        database = given.database or Path(name) / "guardian.db"
        if given.database is None:
            past.store(database, 1_000_000, 60, 5_000)
        asyncio.run(main(database, given.end, given.runs, given.sql or given.database is None))
