"""What the parsers share: the request of a line, the error for other lines, and reading of fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

LONGEST = 64 * 1024
"""The most bytes of a line: servers refuse longer request heads, so they log no longer lines."""
LEFT = 499
"""The status of a request whose client left before an answer; some servers log 0 or 000."""
_MOST_US = 30 * 86_400 * 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"), 1
    )
}
_KEPT_TIMES = 4_096


class Unreadable(ValueError):
    """The line is not a request. The message is one of a few fixed texts, and contains nothing of the line."""


class Request(NamedTuple):
    """One line of an access log.

    `at_us` is the end of the request in Unix microseconds. `name` is the user whom the server says it let in, as
    written, None for nobody. `target` is what was asked for, as written, without its query. `duration_us` is None where
    the log does not give it.
    """

    at_us: int
    name: bytes | None
    method: bytes
    target: bytes
    status: int
    duration_us: int | None


def status_of(number: int) -> int:
    """A status as Guardian counts it. Raises Unreadable for a number that is none."""
    if number == 0:
        return LEFT
    if not 100 <= number <= 599:
        raise Unreadable("the status is no HTTP status")
    return number


def micros_of(value: float, unit: float) -> int | None:
    """A duration in microseconds, from a value in a given unit (µs); None if no request can last that long."""
    if not 0 <= value * unit < _MOST_US:  # a NaN is not
        return None
    return round(value * unit)


_CLF = re.compile(rb"(\d\d)/([A-Z][a-z][a-z])/(\d{4}):(\d\d):(\d\d):(\d\d)(\.\d{1,6})? ([+-])(\d\d)(\d\d)")
_ISO = re.compile(
    rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?(?: ?(Z|UTC|[+-]\d\d:?\d\d))?(?![\d:.])"
)
ISO_TIME = rb"(?>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d))?(?![\d:.]))"
"""The pattern of what `leading_time` finds, as a part of a greater one."""
_SECONDS = {b"%02d" % second: second * 1_000_000 for second in range(60)}
_FRACTION_AND_ZONE = re.compile(rb"(?:[.,](\d{1,9}))?+( ?(?:Z|UTC|[+-]\d\d:?\d\d))?")


class Times:
    """Parses times, caching minutes, since a log repeats each many times. `zone` applies to times without one."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[bytes, int] = {}  # from the text around the seconds to the start of the minute

    def clf(self, text: bytes) -> int:
        """Microseconds of a time as in `10/Oct/2000:13:55:36 -0700`. Raises Unreadable."""
        second = _SECONDS.get(text[18:20])
        around = text[:18] + text[20:]
        begins = self._known.get(around)
        if begins is None or second is None:
            return self._noted(self._clf, text, around, second, lambda each: text[:18] + each + text[20:])
        return begins + second

    def iso(self, text: bytes) -> int:
        """Microseconds of a time as in `2026-03-02T13:30:00.123Z`. Raises Unreadable."""
        second, end = _SECONDS.get(text[17:19]), _FRACTION_AND_ZONE.fullmatch(text, 19)
        fraction, zone = end.groups(b"") if end else (b"", b"")
        around = text[:17] + zone
        begins = self._known.get(around)
        if begins is None or second is None or end is None:
            return self._noted(self._iso, text, around, second, lambda each: text[:17] + each + zone)
        return begins + second + int(fraction.ljust(6, b"0")[:6]) if fraction else begins + second

    def _noted(
        self,
        read: Callable[[bytes], int],
        text: bytes,
        around: bytes,
        second: int | None,
        of_second: Callable[[bytes], bytes],
    ) -> int:
        """The moment; its minute is noted where all of it lies in one piece, as it does but where clocks change."""
        at_us = read(text)
        if second is not None:
            with suppress(Unreadable):
                begins = read(of_second(b"00"))
                if begins <= at_us < begins + 60_000_000 and read(of_second(b"59")) - begins == 59_000_000:
                    if len(self._known) >= _KEPT_TIMES:
                        self._known.clear()
                    self._known[around] = begins
        return at_us

    def _clf(self, text: bytes) -> int:
        found = _CLF.fullmatch(text)
        if found is None or found[2] not in _MONTHS:
            raise Unreadable("the time is not one of an access log")
        day, _, year, hour, minute, second, fraction, sign, hours, minutes = found.groups()
        offset = int(hours) * 60 + int(minutes)
        part = round(float(fraction) * 1_000_000) if fraction else 0
        parts = (int(year), _MONTHS[found[2]], int(day), int(hour), int(minute), int(second))
        return _unix(parts, part, UTC) - (-offset if sign == b"-" else offset) * 60_000_000

    def _iso(self, text: bytes) -> int:
        found = _ISO.fullmatch(text)
        if found is None:
            raise Unreadable("the time is not one of an access log")
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        part = int((fraction or b"0").ljust(6, b"0")[:6])
        parts = (int(year), int(month), int(day), int(hour), int(minute), int(second))
        if zone is None:
            return _unix(parts, part, self._zone)
        if zone in (b"Z", b"UTC"):
            return _unix(parts, part, UTC)
        offset = int(zone[1:3]) * 60 + int(zone[-2:])
        return _unix(parts, part, UTC) - (-offset if zone[:1] == b"-" else offset) * 60_000_000


def leading_time(line: bytes) -> bytes | None:
    """The ISO time with which a line begins, as systemd, Docker and log settings put it there; None where none is."""
    found = _ISO.match(line, 1 if line[:1] == b"[" else 0)
    return found[0] if found else None


def _unix(parts: tuple[int, int, int, int, int, int], part: int, zone: tzinfo) -> int:
    year, month, day, hour, minute, second = parts
    try:
        # A leap second, 60, is the last moment of its minute.
        found = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=zone) - _EPOCH
    except (ValueError, OverflowError):
        raise Unreadable("the time does not exist") from None
    at_us = found // _MICROSECOND + part
    if at_us < 0:
        raise Unreadable("the time lies before 1970")
    return at_us
