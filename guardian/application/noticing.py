"""Collects what notes are made from: the tracker's reports, the requests, and nearby files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from guardian.application.elsewhere import ALIVE
from guardian.core.clock import was_ahead
from guardian.core.notes import Note, in_order, tracker_notes, traffic_notes
from guardian.core.storage import RecorderHealth
from guardian.stores.events import UsageRepository

LATELY = timedelta(days=1)
"""What the check and the status say is of this time; what a report says is of its window."""

Elsewhere = Callable[[datetime], Sequence[Path]]
"""Finds the other files that the app may record into, at that time (see `guardian.application.elsewhere`)."""


async def noticed(
    repository: UsageRepository,
    recorders: Sequence[RecorderHealth],
    *,
    start: datetime,
    end: datetime,
    now: datetime,
    elsewhere: Elsewhere,
) -> list[Note]:
    """What the recorders of a window said, and where the app records to if nobody is alive that records here."""
    found = tracker_notes(await repository.recorder_notes(start), recorders, start=start, end=end, now=now)
    if ahead := await repository.events_ahead(now) + sum(was_ahead(each.seen_at, now) for each in recorders):
        found.append(Note("ahead", ahead))
    if not any(abs(now - each.seen_at) <= ALIVE for each in recorders):
        found += [Note("elsewhere", 0, str(path)) for path in await asyncio.to_thread(elsewhere, now)]
    return found


async def noticed_lately(
    repository: UsageRepository, now: datetime, *, critical_features: Sequence[str], elsewhere: Elsewhere
) -> list[Note]:
    """Everything to know of the last day, the worst first. Raises StorageError where the store does not answer."""
    start = (now - LATELY).replace(minute=0, second=0, microsecond=0)  # a full hour: sealed summaries begin there
    said = await noticed(
        repository, await repository.recorders(now), start=start, end=now, now=now, elsewhere=elsewhere
    )
    seen = traffic_notes(
        await repository.counts(start, now + timedelta(minutes=1)),
        stats=await repository.stats(now),
        known_features=await repository.feature_names(),
        critical_features=critical_features,
    )
    return in_order([*said, *seen])
