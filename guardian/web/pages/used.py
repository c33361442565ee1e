"""When a feature was first and last used in a window, to the minute, however long the bars of its chart are."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from guardian.core.report.timeline import bar_edges
from guardian.core.storage import WindowGone
from guardian.core.summary import TimelineBar

MINUTE = timedelta(minutes=1)
FINEST = 5 * MINUTE
"""Sealed buckets have this length; inside one, single minutes are examined."""
Bars = Callable[[list[datetime]], Awaitable[list[TimelineBar]]]
"""What gives a bar for each two neighbours of some edges."""


async def first_and_last(
    found: Sequence[TimelineBar], end: datetime, bars: Bars, zone: ZoneInfo
) -> tuple[datetime, datetime] | None:
    """The minutes of the first and of the last request of these bars, which end at `end`; None for no request.

    Where retention has deleted what would tell the minute: the beginning of the shortest piece that is known.
    """
    edges = [*(bar.start for bar in found), end]
    used = [(a, b) for bar, (a, b) in zip(found, pairwise(edges), strict=True) if bar.requests]
    if not used:
        return None
    first, last = await asyncio.gather(_minute(*used[0], bars, zone, 0), _minute(*used[-1], bars, zone, -1))
    return first, last


async def _minute(start: datetime, end: datetime, bars: Bars, zone: ZoneInfo, which: int) -> datetime:
    """Where the first (0) or the last (-1) minute with a request of [start, end) begins, in which there is one."""
    while end - start > MINUTE:
        if end - start > FINEST:
            edges = bar_edges(start, end, zone)
        else:
            minutes = int((end - start) / MINUTE)
            edges = [*(start + MINUTE * n for n in range(minutes + 1)), end]
            edges = edges[:-1] if edges[-2] == end else edges
        try:
            inside = await bars(edges)
        except WindowGone:
            break
        used = [(a, b) for bar, (a, b) in zip(inside, pairwise(edges), strict=True) if bar.requests]
        if not used:  # an event was deleted in between
            break
        start, end = used[which]
    return start
