"""Compares two databases: every table, the number of requests of each 5 minutes, and reports on random windows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import cycle, islice
from random import Random
from typing import Any

from guardian.application.moving.copying import shared
from guardian.application.moving.sides import Side, in_thread
from guardian.application.moving.steady import steady
from guardian.application.usage import UsageGuardian
from guardian.application.window import YEARS
from guardian.core.storage import WindowGone
from guardian.core.time import moment
from guardian.stores.moving import STRETCH_US, fingerprints

WINDOWS = 12
_HOURS = (24, 168, 6, 720, 1, 2, 24, 6, 2, 1, 24)
"""How long the windows are after the first one. A long one reads the most, and what short ones read again."""
_OF_THE_MOMENT = ("generated_at", "privacy")
"""What a report says of when it was made."""
_STATS = ("events", "users", "oldest", "newest", "purged", "totals_since")
_SAID = {"tombstone": "erased", "person": "people", "alert_state": "alert state"}


async def compare(
    source: Side, target: Side, *, now: datetime, random: Random, progress: Callable[[float], None]
) -> tuple[int, list[str]]:
    """How many windows were compared, and what differs, a sentence each; no sentence names anybody."""
    found = await in_thread(_tables, source, target)
    progress(0.2)
    mine, theirs = await asyncio.gather(*(in_thread(each.moving.stretches) for each in (source, target)))
    for start in sorted(start for start in mine.keys() | theirs.keys() if mine.get(start) != theirs.get(start))[:20]:
        at = f"{moment(start):%Y-%m-%d %H:%M}"
        found.append(f"requests: the 5 minutes from {at} UTC have {mine.get(start, 0):,} and {theirs.get(start, 0):,}")
    progress(0.3)
    starts = [await in_thread(each.moving.bucket_starts) for each in (source, target)]
    if starts[0] != starts[1]:
        found.append(f"summaries: there are {len(starts[0]):,} and {len(starts[1]):,}")
    found += await _counted(source, target, now)
    usages = [UsageGuardian(steady(each.stores.events), clock=lambda: now) for each in (source, target)]
    windows = list(_windows(sorted({*starts[0], *mine}), random))
    for number, (begin, end) in enumerate(windows, 1):
        keys = await _differing(usages, begin, end)
        if keys:
            found.append(f"the report on {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC: {', '.join(keys)}")
        progress(0.3 + 0.7 * number / len(windows))
    return len(windows), found


async def _counted(source: Side, target: Side, now: datetime) -> list[str]:
    """What the stores tell of themselves that is not the same."""
    mine, theirs = [await each.stores.events.stats(now) for each in (source, target)]
    said = ((each, getattr(mine, each), getattr(theirs, each)) for each in _STATS)
    return [f"{name.replace('_', ' ')}: {first} and {second}" for name, first, second in said if first != second]


def _tables(source: Side, target: Side) -> list[str]:
    found = []
    for table in shared(source.moving, target.moving):
        mine, theirs = fingerprints(source.moving, table), fingerprints(target.moving, table)
        missing, more = len(mine.keys() - theirs.keys()), len(theirs.keys() - mine.keys())
        other = sum(mine[key] != theirs[key] for key in mine.keys() & theirs.keys())
        counts = ((missing, "missing"), (more, "too many"), (other, "other"))
        said = [f"{count:,} {what}" for count, what in counts if count]
        if said:
            found.append(f"{_SAID.get(table, table.replace('_', ' '))}: {', '.join(said)}")
    return found


def _windows(starts: list[int], random: Random) -> Iterator[tuple[datetime, datetime]]:
    """Windows between the first and the last of these 5 minutes, of many lengths, the newest hours among them. Every
    other one has its edges at full hours, which is less to be read. None is where only a wrong clock was: there is no
    report on that."""
    asked = [start for start in starts if YEARS[0] < moment(start).year < YEARS[1]]  # windows reach a month further
    if not asked:
        return
    first, last = asked[0], asked[-1] + STRETCH_US
    yield moment(last) - timedelta(hours=2), moment(last)
    for number, hours in enumerate(islice(cycle(_HOURS), WINDOWS - 1)):
        length = timedelta(hours=hours)
        end = moment(random.randrange(first, last + 1, STRETCH_US)) + length / 2
        end -= timedelta(seconds=end.timestamp() % (300 if number % 2 else 3_600))
        yield end - length, end


async def _differing(usages: Sequence[UsageGuardian], start: datetime, end: datetime) -> list[str]:
    """What of the reports on a window is not the same on both sides."""
    reports = await asyncio.gather(*(_report(each, start, end) for each in usages))
    return sorted(
        key
        for key in {*reports[0], *reports[1]}.difference(_OF_THE_MOMENT)
        if reports[0].get(key) != reports[1].get(key)
    )


async def _report(usage: UsageGuardian, start: datetime, end: datetime) -> dict[str, Any]:
    try:
        return await usage.generate_report(start_time=start, end_time=end)
    except WindowGone:
        return {"window": "gone"}
