"""What many people cost where a report leaves the house: the mail, a page of the API's list, all of it as CSV.

    PYTHONPATH=. python bench/people.py [--people 100 20000 200000]

Everybody makes five requests within a day, one in fifty fails. Times are of the CPU, so that other work on the machine
counts little; the memory is the most that the process had.
"""

import argparse
import asyncio
import random
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from guardian.application.listing import asked_for, read_csv, read_page
from guardian.application.report_mails import compose_reports
from guardian.application.root import open_application
from guardian.settings.schema import Settings
from tracker.event import Event, Failure
from tracker.sqlite.writer import Writer


def fill(path: Path, people: int, now: datetime) -> None:
    """Five requests of each person, in the order of time."""
    chance, writer = random.Random(1), Writer(str(path))
    start, number = int((now - timedelta(hours=23)).timestamp() * 1_000_000), people * 5
    boom = Failure("Boom", "Internal Server Error", "app.py:7 f")
    batch = []
    for n in range(number):
        user = f"somebody.{n % people}@example.com"
        status, failure = (500, boom) if chance.random() < 0.02 else (200, None)
        feature = f"feature{chance.randrange(30)}"
        at = start + n * 82_000_000_000 // number
        batch.append(
            Event(at, user, f"/api/{feature}", "POST", feature, status, chance.randrange(5_000, 400_000), failure)
        )
        if len(batch) == 20_000:
            writer.write(batch)
            batch.clear()
    writer.write(batch)
    writer.close()


def spent(began: float) -> str:
    """The CPU since then, in milliseconds."""
    return f"{(time.process_time() - began) * 1000:,.0f} ms"


async def measure(people: int, now: datetime) -> None:
    """Print a line for so many people."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "guardian.db"
        fill(path, people, now)
        settings = Settings(database=path, reports_dir=Path(folder), admins=("a@example.com",))
        async with open_application(settings, clock=lambda: now) as app:
            await app.repository.seal(now)
            wanted = asked_for(now, 24, None, None, None)
            await read_page(app, wanted, 1_000)
            began = time.process_time()
            await read_page(app, wanted, 1_000)
            page = spent(began)
            began, size = time.process_time(), 0
            async for text in await read_csv(app, wanted, None):
                size += len(text)
            table = f"{spent(began)} for {size / 1e6:,.1f} MB"
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            began = time.process_time()
            report = await app.usage.generate_report(24, max_users=settings.report.max_users)
            summary = spent(began)
            whole = await app.usage.generate_report(24)
            began = time.process_time()
            [mail] = await compose_reports(app, whole, "k", ["a@example.com"], None)
            written = f"{len(mail.body) / 1e3:,.0f} kB in {spent(began)}"
            named = len(report["users"])
    parts = f"page {page}, CSV {table}, {memory:,.0f} MB; summary of {named:,} {summary}, mail {written}"
    print(f"{people:>9,} people: {parts}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, nargs="+", default=[100, 20_000, 200_000])
    now = datetime.now(UTC)
    for people in parser.parse_args().people:
        asyncio.run(measure(people, now))


if __name__ == "__main__":
    main()
