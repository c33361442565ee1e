"""When what happened until some moment may be counted: what the app's processes still hold back of it comes late."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from guardian.core.time import micros, moment
from guardian.stores.history import HistoryStore

SETTLE = timedelta(seconds=5)
"""No sooner: the last batch of a tracker that stores at once is there by then."""
SETTLE_US = SETTLE // timedelta(microseconds=1)
LATEST = timedelta(seconds=60)
"""No later, whoever may still have some of it."""


def settled(history: HistoryStore, now: datetime) -> datetime:
    """Up to when each process that lives has stored what it took, or everybody has waited as long as they may.

    Asks the database, so call it in a thread. Raises StorageError.
    """
    stored = history.stored_until(micros(now))
    return moment(max(min(stored, micros(now - SETTLE)), micros(now - LATEST)))


async def until_settled(history: HistoryStore, end: datetime, now: datetime) -> None:
    """Wait, from `now` on, until that is `end`: at most LATEST after it. Raises StorageError."""
    wait = max(timedelta(0), end + SETTLE - now)
    while True:
        await asyncio.sleep(wait.total_seconds())
        now += wait
        if await asyncio.to_thread(settled, history, now) >= end:
            return
        wait = timedelta(seconds=1)
