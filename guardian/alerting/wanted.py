"""What rules need to know about the time before a history: features in use, and minutes of earlier weeks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple


class Compared(NamedTuple):
    """What a rule compares with the same hour of earlier weeks: how many weeks, how many seconds, and which features
    (names or patterns; None: everything)."""

    weeks: int
    window: int
    features: tuple[str, ...] | None


@dataclass(frozen=True)
class Wanted:
    """What rules need besides the counts: the requests of single minutes before them. `minutes` holds the minutes,
    keyed by whose requests are needed: a tuple of feature names and patterns, or None for everything. A feature last
    used before `known_us` no longer counts as existing."""

    minutes: Mapping[tuple[str, ...] | None, frozenset[int]] = field(default_factory=dict)
    known_us: int | None = None


NOTHING_MORE = Wanted()
"""Nothing besides the counts."""


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns (`chat_*`) equals or matches this feature."""
    return any(name == p or (any(mark in p for mark in "*?[") and fnmatchcase(name, p)) for p in patterns)


def weeks_ago(minute: int, weeks: int, zone: tzinfo) -> int:
    """How many seconds before this minute (since 1970) it was the same time of the week, `weeks` weeks back, on the
    clock of `zone`: an hour more or less than whole weeks where the clocks changed in between."""
    return _weeks_ago(minute // 15, weeks, zone)


@lru_cache(maxsize=64)
def _weeks_ago(quarter: int, weeks: int, zone: tzinfo) -> int:
    """The same by quarter of an hour, to be cached: clocks only change at whole quarters (tz database)."""
    now = quarter * 900
    then = datetime.fromtimestamp(now, zone) - timedelta(weeks=weeks)
    return now - int(then.timestamp())
