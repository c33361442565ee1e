"""Which requests a report is about, by what somebody asks for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MAX_HOURS = 720
YEARS = (1990, 2199)
"""The first and the last year in which a window may begin or end."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report is about: the requests of [start, end), and those of [before, start), the period before. The bars
    of its chart follow the clock of `zone`. `features` are names in which * stands for any letters: only their requests
    count. Empty: all requests do."""

    before: datetime
    start: datetime
    end: datetime
    zone: ZoneInfo
    features: tuple[str, ...] = ()


def window(now: datetime, hours: int | None, start: datetime | None, end: datetime | None) -> tuple[datetime, datetime]:
    """The half-open window that was asked for, in UTC. Raises ValueError with one sentence."""
    if hours is not None and (start is not None or end is not None):
        raise ValueError("give hours, or start_time and end_time, not both")
    if hours is not None:
        if isinstance(hours, bool) or not isinstance(hours, int) or not 1 <= hours <= MAX_HOURS:
            raise ValueError(f"hours = {hours!r} must be a whole number from 1 to {MAX_HOURS}")
        return now.astimezone(UTC) - timedelta(hours=hours), now.astimezone(UTC)
    if start is None or end is None:
        raise ValueError("give hours, or both start_time and end_time")
    for name, value in (("start_time", start), ("end_time", end)):
        if value.tzinfo is None:
            raise ValueError(f"{name} = {value.isoformat()} has no time zone: add one, such as +00:00")
        if not YEARS[0] <= value.year <= YEARS[1]:
            raise ValueError(f"{name} = {value.isoformat()} must lie in the years {YEARS[0]} to {YEARS[1]}")
    if not start < end:
        raise ValueError(f"start_time = {start.isoformat()} must lie before end_time = {end.isoformat()}")
    return start.astimezone(UTC), end.astimezone(UTC)
