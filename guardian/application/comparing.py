"""Reads what a report is compared with, and how often requests usually meet a server error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile

from guardian.application.window import Scope
from guardian.core.activity import Activity
from guardian.core.report.comparing import by_weekday, compare, earlier_periods, recorded_since, server_rate, usual_rate
from guardian.core.report.judge import SERVER_RATE
from guardian.core.report.model import Comparison
from guardian.core.report.timeline import moved
from guardian.core.storage import RecorderHealth, StorageStats, WindowGone
from guardian.core.summary import Counts
from guardian.stores.events import UsageRepository

Compared = tuple[Counts, datetime, datetime]
"""The totals of the same weekday a week before, and the window that it is of."""


async def compared(
    repository: UsageRepository,
    scope: Scope,
    current: Activity,
    *,
    edges: Sequence[datetime] = (),
    stats: StorageStats,
    recorders: Sequence[RecorderHealth],
) -> tuple[Comparison, Compared | None]:
    """What the report on `scope`, with the totals `current`, is compared with; the second part for the same weekday
    only.

    Where enough failed to ask whether that is usual, eight more periods are read. With `edges`, from `scope.start` to
    `scope.end`, the totals of the weekday have a bar for each two neighbours, moved back, if it is as long. Raises
    StorageError.
    """
    since, weekday = recorded_since(stats, recorders), by_weekday(scope.start, scope.end)
    earlier = earlier_periods(scope.start, scope.end, scope.zone)
    made, found = compare(scope.before, earlier[0], weekday=weekday, since=since), None
    if made.kind == "weekday":
        try:
            drawn = moved(edges, *earlier[0])
            found = (await repository.counts(*earlier[0], features=scope.features, edges=drawn), *earlier[0])
        except WindowGone:
            made = replace(made, kind="nothing")
    if since is not None and server_rate(current.statuses()) > SERVER_RATE:
        recorded = list(takewhile(lambda window: window[0] >= since, earlier))
        known = await repository.outcomes(recorded, features=scope.features)
        made = replace(made, usual_server_rate=usual_rate(known))
    return made, found
