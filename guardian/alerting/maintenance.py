"""Maintenance windows, in which no incident opens: once, or recurring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from guardian.core.cadence import Cron


class Maintenance(Protocol):
    """Times in which no incident opens."""

    def covers(self, now: datetime) -> bool:
        """Whether `now` (aware) lies in the window; windows are half-open, [start, end)."""
        ...


@dataclass(frozen=True, slots=True)
class Once:
    """The span [start, end), aware."""

    start: datetime
    end: datetime

    def covers(self, now: datetime) -> bool:
        """See Maintenance."""
        return self.start <= now < self.end


@dataclass(frozen=True, slots=True)
class Recurring:
    """A window of `length` that starts at each match of a crontab expression, in the time of `zone`."""

    cron: Cron
    length: timedelta
    zone: ZoneInfo

    def covers(self, now: datetime) -> bool:
        """See Maintenance."""
        return any(
            start <= now < start + self.length
            for day in _days((now - self.length).astimezone(self.zone).date(), now.astimezone(self.zone).date())
            for start in _starts(self.cron, day, self.zone)
        )


@lru_cache(maxsize=1024)
def _starts(cron: Cron, day: date, zone: ZoneInfo) -> tuple[datetime, ...]:
    return tuple(start.astimezone(UTC) for start in cron.ends_on(day, zone))


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)
