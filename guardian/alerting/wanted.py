"""What rules ask for of the time before a history: which features, which minutes of earlier weeks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple


class Compared(NamedTuple):
    """What a rule compares with the same hour of earlier weeks: of how many, how many seconds, of which features (a
    name or a pattern each; None: everything)."""

    weeks: int
    window: int
    features: tuple[str, ...] | None


@dataclass(frozen=True)
class Wanted:
    """What rules ask for beside the counts: the requests of single minutes before them. `minutes` holds, by what they
    are of, which ones: a tuple of names and patterns of features, None is everything. `known_us` is from when on a
    feature that was used counts as one that there is."""

    minutes: Mapping[tuple[str, ...] | None, frozenset[int]] = field(default_factory=dict)
    known_us: int | None = None


NOTHING_MORE = Wanted()
"""Nothing beside the counts."""


def fits(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns (`chat_*`) is, or matches, this feature."""
    return any(name == p or (any(mark in p for mark in "*?[") and fnmatchcase(name, p)) for p in patterns)


def weeks_ago(minute: int, weeks: int, zone: tzinfo) -> int:
    """How many seconds before this minute (since 1970) it was this time of the week by the clock of `zone`, so many
    weeks back: an hour more or less than whole weeks where the clocks have changed since."""
    return _weeks_ago(minute // 15, weeks, zone)


@lru_cache(maxsize=64)
def _weeks_ago(quarter: int, weeks: int, zone: tzinfo) -> int:
    """The same for every minute of a quarter of an hour: clocks are changed at whole quarters (tz database)."""
    now = quarter * 900
    then = datetime.fromtimestamp(now, zone) - timedelta(weeks=weeks)
    return now - int(then.timestamp())
