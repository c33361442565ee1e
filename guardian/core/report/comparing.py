"""What a report may be compared with: periods that were recorded in full, days with the same weekday. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from statistics import median
from zoneinfo import ZoneInfo

from guardian.core.report.model import Comparison
from guardian.core.storage import RecorderHealth, StorageStats

DAY, WEEK = timedelta(days=1), timedelta(days=7)
CLOCK_CHANGE = timedelta(hours=1)
PERIODS, LEAST_PERIODS = 8, 3
"""The usual value is the median of this many periods; with fewer than the least, there is none."""


def recorded_since(stats: StorageStats, recorders: Iterable[RecorderHealth]) -> datetime | None:
    """Since when the records are complete: from the first event or heartbeat, or from the oldest totals if retention
    has deleted events. None: nothing was ever recorded."""
    first = stats.totals_since if stats.purged else stats.oldest
    alive = () if stats.purged else (each.started_at for each in recorders)
    return min((at for at in (first, *alive) if at is not None), default=None)


def by_weekday(start: datetime, end: datetime) -> bool:
    """Whether [start, end) is compared with the same weekday: it is a day or more (one of 23 hours counts), and less
    than a week, which has all of them."""
    return DAY - CLOCK_CHANGE <= end - start < WEEK - CLOCK_CHANGE


def earlier_periods(start: datetime, end: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """The eight periods before [start, end) that are like it, the newest first.

    At the same times of the zone's clock, some weeks before; periods longer than a week follow each other.
    """
    length = end - start
    if length > WEEK + CLOCK_CHANGE:
        return [(start - n * length, end - n * length) for n in range(1, PERIODS + 1)]
    return [(_weeks_before(start, n, zone), _weeks_before(end, n, zone)) for n in range(1, PERIODS + 1)]


def _weeks_before(at: datetime, weeks: int, zone: ZoneInfo) -> datetime:
    local = at.astimezone(zone)
    return (local.replace(tzinfo=None) - weeks * WEEK).replace(tzinfo=zone, fold=local.fold).astimezone(UTC)


def compare(
    before: datetime, earlier: tuple[datetime, datetime], *, weekday: bool, since: datetime | None
) -> Comparison:
    """With what a report is compared: `earlier`, the same `weekday`, or the window from `before` on; with nothing where
    that began before `since`, when recording began (None: never)."""
    begin = earlier[0] if weekday else before
    if since is None or begin < since:
        return Comparison("nothing", recorded_since=since)
    return Comparison("weekday" if weekday else "before", recorded_since=since)


def server_rate(outcomes: Mapping[int, int]) -> float:
    """The share of the requests, by outcome, that hit a server error; 0.0 where there was no request."""
    requests = sum(outcomes.values())
    server = sum(number for outcome, number in outcomes.items() if outcome >= 500)
    return server / requests if requests else 0.0


def usual_rate(periods: Iterable[Mapping[int, int]]) -> float | None:
    """The median rate of server errors of periods, requests by outcome, that had some; None of fewer than three."""
    rates = [server_rate(each) for each in islice(filter(None, periods), PERIODS)]
    return median(rates) if len(rates) >= LEAST_PERIODS else None
