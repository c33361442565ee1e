"""When reports go out and what each covers: calendar windows of a time zone.

A schedule cuts time into periods that follow each other without a gap, and each goes out after it has ended:

| text | a period | goes out |
| --- | --- | --- |
| `every 2h`, `2h`, `every 30m` | from one multiple of 2 h on the local clock to the next | when it has ended |
| `every 5h`, which divides no day | 5 h, counted from Monday 1 January 2001 on | when it has ended |
| `daily at 08:00` | a local day, 23 to 25 hours long | at 08:00 of the next day |
| `weekly Monday 09:00` | Monday to Monday | on that weekday of the next week |
| `monthly 1 09:00` | a calendar month | on that day (1 to 28) of the next month |
| `monthly last 09:00` | from the last day of a month to the last day of the next | on that last day |
| `cron 0 9 * * 1-5` | from one time that matches to the next | when it has ended |

A time zone such as `Europe/Zurich` may end the text. A time that a clock change skips happens once, as much later as
the clock jumped; one that happens twice counts the first time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from guardian.core.cadence import WEEKDAYS, Cadence, Cron, Daily, Elapsed, Every, Monthly, Weekly

_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_WORDS = {"every": 1, "daily": 1, "weekly": 2, "monthly": 2, "cron": 5}
_EXAMPLES = "'every 2h', 'daily at 08:00 Europe/Zurich', 'weekly Monday 09:00', 'monthly 1 09:00', 'cron 0 9 * * 1-5'"


class Period(NamedTuple):
    """A half-open window `[start, end)`, in UTC."""

    start: datetime
    end: datetime


@lru_cache(maxsize=4096)
def _ends(cadence: Cadence, zone: ZoneInfo, day: date) -> tuple[datetime, ...]:
    return tuple(sorted(set(cadence.ends_on(day, zone))))


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cadence in a zone. `str()` gives the text that parses to the same schedule."""

    cadence: Cadence
    zone: ZoneInfo

    def __str__(self) -> str:
        return f"{self.cadence} {self.zone.key}"

    def same_periods(self, other: Schedule, now: datetime) -> bool:
        """Whether both cut the year before `now` into the same periods, whenever each is reported."""
        today = now.astimezone(self.zone).date()
        days = (today - timedelta(days=n) for n in range(366))
        return self.zone == other.zone and all(
            _ends(self.cadence, self.zone, day) == _ends(other.cadence, other.zone, day) for day in days
        )

    def last_complete(self, now: datetime) -> Period:
        """The newest period that has ended by `now`, whether or not its report is to go out yet."""
        end = self._end_until(now)
        return Period(self._end_until(end - _TICK), end)

    def fire(self, period: Period) -> datetime:
        """When the report of this period goes out."""
        return self.cadence.fire(period.end, self.zone)

    def last_due(self, now: datetime) -> Period:
        """The newest period whose report was to go out by `now`."""
        period = self.last_complete(now)
        while self.fire(period) > now:
            period = Period(self._end_until(period.start - _TICK), period.start)
        return period

    def due_after(self, end: datetime | None, now: datetime) -> list[Period]:
        """The periods that end after `end` and whose report was to go out by `now`, oldest first.

        `end` is where the ledger stands. None, a schedule that has never run, owes nothing: the first report is the
        one of the first time that comes (see `last_due` for where such a ledger begins).
        """
        due: list[Period] = []
        if end is None:
            return due
        start, end = self._end_until(end), self._end_after(end)
        while self.cadence.fire(end, self.zone) <= now:
            due.append(Period(start, end))
            start, end = end, self._end_after(end)
        return due

    def upcoming(self, now: datetime) -> tuple[datetime, Period]:
        """The next time after `now` at which a report goes out, and the period that it covers."""
        period = self.last_due(now)
        while self.fire(period) <= now:
            period = Period(period.end, self._end_after(period.end))
        return self.fire(period), period

    def _end_after(self, moment: datetime) -> datetime:
        return self._search(moment, +1)

    def _end_until(self, moment: datetime) -> datetime:
        return self._search(moment, -1)

    def _search(self, moment: datetime, step: int) -> datetime:
        """The nearest end after the moment (+1), or at or before it (-1)."""
        day = moment.astimezone(self.zone).date() - step * _DAY
        for _ in range(366 * 9):  # 29 February comes at least every eight years
            ends = _ends(self.cadence, self.zone, day)
            found = [end for end in ends if (end > moment if step > 0 else end <= moment)]
            if found:
                return min(found) if step > 0 else max(found)
            day += step * _DAY
        raise ValueError(f"{str(self)!r} never comes: no day of nine years matches")


def parse_schedule(text: str, default_zone: str) -> Schedule:
    """The schedule that a text of the module's table means; `default_zone` (tz database name) is used if it names none.

    Raises ValueError with one sentence that quotes the text and says what would be right.
    """
    words = [word for word in text.split() if word.lower() != "at"]
    if words and re.fullmatch(r"\d+[a-zA-Z]+", words[0]):
        words.insert(0, "every")
    kind, rest = (words[0].lower(), words[1:]) if words else ("", [])
    if kind == "monthly" and rest and not (len(rest) > 1 and ":" in rest[1]):
        rest.insert(1, "08:00")
    zone = rest.pop() if len(rest) == _WORDS.get(kind, 0) + 1 else default_zone
    spaced = " ".join(rest[_WORDS[kind] :]) if len(rest) > _WORDS.get(kind, len(rest)) else ""
    if spaced:
        from guardian.core.zones import nearest_zone

        if nearest_zone(spaced):  # a name in several words, as New York
            _zone(spaced, text)
    if len(rest) != _WORDS.get(kind):
        raise ValueError(f"{text!r} is not a schedule: write for example {_EXAMPLES}")
    return Schedule(_cadence(kind, rest, text), _zone(zone, text))


def _cadence(kind: str, rest: list[str], text: str) -> Cadence:
    match kind:
        case "every":
            return _every(rest[0].lower(), text)
        case "daily":
            return Daily(_clock(rest[0], text))
        case "weekly":
            return Weekly(_weekday(rest[0], text), _clock(rest[1], text))
        case "monthly":
            return _monthly(rest[0].lower(), _clock(rest[1], text), text)
    return _cron(" ".join(rest), text)


def _every(span: str, text: str) -> Every | Elapsed:
    found = re.fullmatch(r"(\d{1,4})(h|m)", span, re.ASCII)
    minutes = int(found[1]) * (60 if found[2] == "h" else 1) if found else 0
    if not minutes:
        raise ValueError(f"{text!r} names no length of time: write hours or minutes, as every 2h or every 30m")
    return Elapsed(minutes) if 1440 % minutes else Every(minutes)


def _monthly(day: str, at: time, text: str) -> Monthly:
    if day == "last":
        return Monthly(None, at)
    if not re.fullmatch(r"[1-9]|1\d|2[0-8]", day):
        raise ValueError(f"{text!r} names no day that each month has: write a day from 1 to 28, or 'last'")
    return Monthly(int(day), at)


def check_cron(expression: str) -> str:
    """The same crontab expression. Raises ValueError with one sentence for what is none, or never matches."""
    return _cron(expression, expression).expression


def _cron(expression: str, text: str) -> Cron:
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        reason = str(error) or "no day matches"
        raise ValueError(
            f"{text!r} is not a crontab expression ({reason}): write five fields, as 0 9 * * 1-5"
        ) from None
    return Cron(expression)


def _clock(word: str, text: str) -> time:
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", word, re.ASCII):
        raise ValueError(f"{text!r} has no time of day where {word!r} stands: write it as 08:00")
    hour, minute = word.split(":")
    return time(int(hour), int(minute))


def _weekday(word: str, text: str) -> int:
    for number, name in enumerate(WEEKDAYS):
        if word.lower() in (name.lower(), name[:3].lower()):
            return number
    raise ValueError(f"{text!r} has no weekday where {word!r} stands: write it as Monday or Mon")


def _zone(name: str, text: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        from guardian.core.zones import nearest_zone

        near = nearest_zone(name)
        cure = f"did you mean {near}?" if near else "write it as Europe/Zurich"
        raise ValueError(f"{text!r} is in the time zone {name!r}, which does not exist: {cure}") from None
