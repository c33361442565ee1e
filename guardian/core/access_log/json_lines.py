"""Access logs of Caddy and Traefik: a JSON object a line.

Caddy: `request` (`method`, `uri`), `status`, `duration` (seconds, or a text as `1.5ms`), `ts` (the end: Unix seconds,
or a text), `user_id`. Traefik: `RequestMethod`, `RequestPath`, `DownstreamStatus`, `Duration` (nanoseconds), `StartUTC`
or `time`, `ClientUsername`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from guardian.core.access_log.columns import ONE_BY_ONE, Columns, statuses_of, without_nobody
from guardian.core.access_log.line import Request, Times, Unreadable, micros_of, status_of
from guardian.core.access_log.skeletons import NUMBER, TEXT, WHOLE, Skeletons

_TEXT_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")
_UNITS = {"h": 3_600e6, "m": 60e6, "s": 1e6, "ms": 1e3, "us": 1.0, "µs": 1.0, "ns": 1e-3}
_LATEST_S = 253_402_300_800  # the year 10000
_MISSING = "a field of this format is missing or of another kind"


class Caddy:
    """Parses Caddy's lines."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._shapes = Skeletons(
            {
                ("ts",): NUMBER, ("user_id",): TEXT, ("request", "method"): TEXT, ("request", "uri"): TEXT,
                ("status",): WHOLE, ("duration",): NUMBER,
            }
        )  # fmt: skip

    def __call__(self, line: bytes) -> Request:
        """The request of a line without its end. Raises Unreadable."""
        entry = _object(line)
        request = entry.get("request")
        if not isinstance(request, dict):
            raise Unreadable(_MISSING)
        at_us = _moment(self._times, entry.get("ts"))
        took = entry.get("duration")
        duration = _text_duration(took) if isinstance(took, str) else _number(took, 1e6)
        return Request(
            at_us, _name(entry.get("user_id")), _text(request.get("method")), _target(request.get("uri")),
            status_of(_whole(entry.get("status"))), duration,
        )  # fmt: skip

    def quick(self, lines: Sequence[bytes]) -> tuple[Columns, Sequence[int]]:
        """See Quick."""
        rows, others = self._shapes.read(lines)
        if not rows:
            raise Unreadable(ONE_BY_ONE)
        at, names, methods, targets, statuses, took = zip(*rows, strict=True)
        seconds = [*map(float, at)]
        if min(seconds) < 0 or max(seconds) >= _LATEST_S:
            raise Unreadable(ONE_BY_ONE)
        moments = [round(each * 1_000_000) for each in seconds]
        durations = [_number(float(each), 1e6) for each in took]
        return (moments, without_nobody(names), methods, _paths(targets), statuses_of(statuses), durations), others


class Traefik:
    """Parses Traefik's lines."""

    def __init__(self, times: Times) -> None:
        self._times = times
        self._shapes = Skeletons(
            {
                ("StartUTC",): TEXT, ("ClientUsername",): TEXT, ("RequestMethod",): TEXT, ("RequestPath",): TEXT,
                ("DownstreamStatus",): WHOLE, ("Duration",): WHOLE,
            }
        )  # fmt: skip

    def __call__(self, line: bytes) -> Request:
        """The request of a line without its end. Raises Unreadable."""
        entry = _object(line)
        duration = _number(entry.get("Duration"), 1e-3)
        start = entry.get("StartUTC") or entry.get("StartLocal")
        at_us = _moment(self._times, start) + (duration or 0) if start else _moment(self._times, entry.get("time"))
        return Request(
            at_us, _name(entry.get("ClientUsername")), _text(entry.get("RequestMethod")),
            _target(entry.get("RequestPath")),
            status_of(_whole(entry.get("DownstreamStatus", entry.get("OriginStatus")))), duration,
        )  # fmt: skip

    def quick(self, lines: Sequence[bytes]) -> tuple[Columns, Sequence[int]]:
        """See Quick."""
        rows, others = self._shapes.read(lines)
        if not rows:
            raise Unreadable(ONE_BY_ONE)
        starts, names, methods, targets, statuses, took = zip(*rows, strict=True)
        durations = [_number(int(each), 1e-3) for each in took]
        began = map(self._times.iso, starts)
        moments = [start + (duration or 0) for start, duration in zip(began, durations, strict=True)]
        return (moments, without_nobody(names), methods, _paths(targets), statuses_of(statuses), durations), others


def _paths(targets: Sequence[bytes]) -> list[bytes]:
    return [target.partition(b"?")[0] if b"?" in target else target for target in targets]


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise Unreadable("the line is no JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("the line is no JSON object")
    return found


def _moment(times: Times, value: Any) -> int:
    if isinstance(value, str):
        return times.iso(value.encode("utf-8", "replace"))
    if type(value) not in (int, float) or not isfinite(value) or not 0 <= value < 1e15:
        raise Unreadable("the time is not one of an access log")
    seconds: float = value / 1_000 if value >= _LATEST_S else value  # Caddy's `unix_milli_float`
    return round(seconds * 1_000_000)


def _number(value: Any, unit: float) -> int | None:
    return micros_of(value, unit) if type(value) in (int, float) and abs(value) < 1e18 else None


def _text_duration(text: str) -> int | None:
    if len(text) > 40 or not _TEXT_DURATION.fullmatch(text):
        return None
    return micros_of(sum(float(value) * _UNITS[unit] for value, unit in _PART.findall(text)), 1.0)


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise Unreadable(_MISSING)
    return value


def _name(value: Any) -> bytes | None:
    return value.encode("utf-8", "replace") if isinstance(value, str) and value not in ("", "-") else None


def _text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise Unreadable(_MISSING)
    return value.encode("utf-8", "replace")


def _target(value: Any) -> bytes:
    return _text(value).partition(b"?")[0]
