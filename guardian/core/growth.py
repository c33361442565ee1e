"""How fast a store grows, at which size retention stops that, and when the disk is full. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from guardian.core.storage import StorageStats

LATELY = timedelta(days=7)
"""The time from which the daily number of requests is estimated."""
UNMERGED_MOST = 128 * 2**20
"""More unmerged bytes than this (twice the log's normal size) mean that a foreign reader holds back the log."""
_LEAST = timedelta(hours=6)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Growth:
    """The store grows by `a_day` bytes a day until it has `holds_at` bytes, where retention removes as much as is
    added.

    `full_in` is in how many days the disk is full; None where retention comes first, or nothing grows.
    """

    a_day: float
    holds_at: float
    full_in: float | None


def growth(stats: StorageStats, lately: int, now: datetime, *, events_days: int, free: int) -> Growth | None:
    """How a store grows in which `lately` requests came within LATELY, with so many bytes `free` beside it.

    None where less than six hours were recorded, which tell nothing.
    """
    if stats.oldest is None or not stats.events or now - stats.oldest < _LEAST:
        return None
    days = min(LATELY, now - stats.oldest) / _DAY
    a_day = stats.size_bytes / stats.events * lately / days
    ahead = 0.0 if stats.purged else max(0.0, events_days - (now - stats.oldest) / _DAY)
    comes = a_day * ahead
    return Growth(a_day, stats.size_bytes + comes, free / a_day if comes > free else None)
