"""Durations, shares and times of day as they are written in settings. Each parser refuses with one sentence."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+)\s*(s|m|h|d|w)")


def parse_duration(value: Any) -> int:
    """Seconds from "90s", "10m", "1h30m", "3d" or a whole number of seconds. Raises ValueError with one sentence."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration: write a number with a unit, such as 10m, 1h or 3d")
    if isinstance(value, int) and value >= 0:
        return value
    text = str(value).replace(" ", "")
    if text == "0":
        return 0
    parts = _DURATION.findall(text)
    if not parts or "".join(a + b for a, b in parts) != text:
        raise ValueError(f"{value!r} is not a duration: write a number with a unit, such as 10m, 1h or 3d")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def between(shortest: str, longest: str, whole_minutes: bool = False) -> AfterValidator:
    """A validator that refuses durations outside [shortest, longest], and with `whole_minutes` those that are not whole
    minutes."""
    low, high = parse_duration(shortest), parse_duration(longest)

    def check(seconds: int) -> int:
        if seconds < low:
            raise ValueError(f"{written(seconds)} is too short: write {shortest} or more")
        if seconds > high:
            raise ValueError(f"{written(seconds)} is too long: write {longest} or less")
        if whole_minutes and seconds % 60:
            before, after = (written(seconds // 60 * 60 + more) for more in (0, 60))
            raise ValueError(f"{written(seconds)} is not whole minutes: write {before} or {after}")
        return seconds

    return AfterValidator(check)


def written(seconds: int) -> str:
    """A duration as it is written in settings, in the largest unit up to days that divides it: "90s", "10m", "7d"."""
    unit = next(name for name in "dhms" if seconds % _UNITS[name] == 0)
    return f"{seconds // _UNITS[unit]}{unit}" if seconds else "0"


def parse_share(value: Any) -> float:
    """A share of 1 from "10%", "0.5 %" or 0.1. Raises ValueError with one sentence."""
    text = str(value).strip()
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if isinstance(value, bool) or not 0 <= share <= 1:
        raise ValueError(f"{value!r} is not a share: write a percentage such as 10%, or a number from 0 to 1")
    return share


def parse_clock_range(value: Any) -> tuple[int, int]:
    """Minutes since midnight (start, end) from "22:00-07:00"; the end may lie before the start."""
    if isinstance(value, tuple | list) and len(value) == 2 and all(at in range(1440) for at in value):
        return int(value[0]), int(value[1])
    match = re.fullmatch(r"\s*([01]?\d|2[0-3]):([0-5]\d)\s*[-–]\s*([01]?\d|2[0-3]):([0-5]\d)\s*", str(value))
    if not match:
        raise ValueError(f"{value!r} is not a range of the clock: write it as 22:00-07:00")
    a, b, c, d = map(int, match.groups())
    if (a, b) == (c, d):
        raise ValueError(f"{value} is no time at all: write an end that is not the start")
    return a * 60 + b, c * 60 + d


Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Whole seconds, written as "10m"."""
Window = Annotated[Duration, between("1m", "7d", whole_minutes=True)]
"""How far a rule looks back, seconds: whole minutes, since requests are counted by the minute."""
Share = Annotated[float, BeforeValidator(parse_share)]
"""0 to 1, written as "10%"."""
ClockRange = Annotated[tuple[int, int], BeforeValidator(parse_clock_range)]
"""Minutes since local midnight, written as "22:00-07:00"."""
