"""The kinds of schedule: where each cuts the local calendar into periods, and when a period's report goes out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_DAY = timedelta(days=1)


class Cadence(Protocol):
    """The part of a schedule that knows its kind; all instants are UTC, hashable so that days can be cached."""

    def __hash__(self) -> int: ...

    def ends_on(self, day: date, zone: ZoneInfo) -> Iterable[datetime]:
        """The instants of one local day at which a period ends, in any order."""
        ...

    def fire(self, end: datetime, zone: ZoneInfo) -> datetime:
        """When the report of the period that ends at `end` goes out: never before `end`."""
        ...


def _instant(day: date, at: time, zone: ZoneInfo, fold: int = 0) -> datetime:
    return datetime.combine(day, at, zone).replace(fold=fold).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Every:
    """Windows of `minutes`, cut wherever the local clock shows a multiple of them; a day always begins a window."""

    minutes: int

    def ends_on(self, day: date, zone: ZoneInfo) -> Iterable[datetime]:
        """Midnight, and each instant of the day whose local time is a multiple."""
        yield _instant(day, time(), zone)
        for minute in range(0, 1440, self.minutes):
            at = time(*divmod(minute, 60))
            for fold in (0, 1):
                instant = _instant(day, at, zone, fold)
                if instant.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, at):
                    yield instant

    def fire(self, end: datetime, zone: ZoneInfo) -> datetime:
        """At once."""
        return end

    def __str__(self) -> str:
        return f"every {self.minutes // 60}h" if self.minutes % 60 == 0 else f"every {self.minutes}m"


@dataclass(frozen=True, slots=True)
class Elapsed:
    """Windows of `minutes` that do not divide a day: all of that very length, counted from Monday 1 January 2001."""

    minutes: int

    def ends_on(self, day: date, zone: ZoneInfo) -> Iterable[datetime]:
        """The instants of the day at which a whole number of windows has passed since that Monday's midnight."""
        origin, span = _instant(date(2001, 1, 1), time(), zone), timedelta(minutes=self.minutes)
        start, end = _instant(day, time(), zone), _instant(day + _DAY, time(), zone)
        at = origin - (origin - start) // span * span
        while at < end:
            yield at
            at += span

    def fire(self, end: datetime, zone: ZoneInfo) -> datetime:
        """At once."""
        return end

    def __str__(self) -> str:
        return str(Every(self.minutes))


@dataclass(frozen=True, slots=True)
class Daily:
    """Local days, sent at `at` of the day after."""

    at: time

    def ends_on(self, day: date, zone: ZoneInfo) -> Iterable[datetime]:
        """Its beginning."""
        yield _instant(day, time(), zone)

    def fire(self, end: datetime, zone: ZoneInfo) -> datetime:
        """At the local time, of the day that begins at `end`."""
        return max(end, _instant(end.astimezone(zone).date(), self.at, zone))

    def __str__(self) -> str:
        return f"daily at {self.at:%H:%M}"


@dataclass(frozen=True, slots=True)
class Weekly:
    """Weeks from Monday to Monday, sent on `weekday` (0 is Monday) of the week after."""

    weekday: int
    at: time

    def ends_on(self, day: date, zone: ZoneInfo) -> Iterable[datetime]:
        """The beginning of a Monday."""
        if day.weekday() == 0:
            yield _instant(day, time(), zone)

    def fire(self, end: datetime, zone: ZoneInfo) -> datetime:
        """On the weekday of the week that begins at `end`."""
        monday = end.astimezone(zone).date()
        return max(end, _instant(monday + self.weekday * _DAY, self.at, zone))

    def __str__(self) -> str:
        return f"weekly {WEEKDAYS[self.weekday]} {self.at:%H:%M}"


@dataclass(frozen=True, slots=True)
class Monthly:
    """Months, sent on `day` of the month after; `day` None: cut and sent on the last day of each month."""

    day: int | None
    at: time

    def ends_on(self, day: date, zone: ZoneInfo) -> Iterable[datetime]:
        """The beginning of a first day of a month, or of a last one."""
        edge = day if self.day else day + _DAY
        if edge.day == 1:
            yield _instant(day, time(), zone)

    def fire(self, end: datetime, zone: ZoneInfo) -> datetime:
        """On the day, of the month that begins at `end`."""
        first = end.astimezone(zone).date()
        return max(end, _instant(first + ((self.day or 1) - 1) * _DAY, self.at, zone))

    def __str__(self) -> str:
        return f"monthly {self.day or 'last'} {self.at:%H:%M}"


@dataclass(frozen=True, slots=True)
class Cron:
    """From one match of a crontab expression to the next; clock changes as in Debian's cron (see cronsim)."""

    expression: str

    def ends_on(self, day: date, zone: ZoneInfo) -> Iterable[datetime]:
        """The matches of one local day."""
        matches = CronSim(self.expression, datetime.combine(day, time(), zone) - timedelta(seconds=1))
        if not matches.match_day(day):  # spares the walk to a match that may be years away
            return
        for match in matches:
            if match.date() > day:
                return
            if match.date() == day:
                yield match.astimezone(UTC)

    def fire(self, end: datetime, zone: ZoneInfo) -> datetime:
        """At once."""
        return end

    def __str__(self) -> str:
        return f"cron {self.expression}"
