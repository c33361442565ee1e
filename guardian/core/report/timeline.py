"""Where the bars of a report's timeline begin. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from math import ceil
from zoneinfo import ZoneInfo

_SPANS = (300, 900, 1800, 3600, 3 * 3600, 6 * 3600)
_MOST_BARS = 48


def bar_edges(start: datetime, end: datetime, zone: ZoneInfo) -> list[datetime]:
    """Where the bars of the timeline begin, then `end`: about 50, all of one length but for the first and the last.

    They begin at full 5 minutes, hours or days of the zone's clock; a day on which the clock changes begins anew.
    """
    length = (end - start).total_seconds()
    span = next((timedelta(seconds=s) for s in _SPANS if length / s <= _MOST_BARS), None)
    days = 1 if span else ceil(length / 86400 / _MOST_BARS)
    day, edges = start.astimezone(zone).date(), [start]
    while (midnight := _midnight(day, zone)) < end:
        following = _midnight(day + timedelta(days=days), zone)
        at = midnight
        while at < min(following, end):
            if at > start:
                edges.append(at)
            at = at + span if span else following
        day += timedelta(days=days)
    return [*edges, end]


def moved(edges: Sequence[datetime], start: datetime, end: datetime) -> list[datetime]:
    """The same edges in [start, end), another period; none where that is longer or shorter, as where a clock changed,
    or where there are none."""
    found = [start + (edge - edges[0]) for edge in edges]
    return found if found and found[-1] == end else []


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
