"""A short-lived cache of what pages read, so that pages opened together or one after another share a reading."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

Read = TypeVar("Read")

MOST = 24
"""The size of the cache; the least recently used readings are dropped."""


@dataclass(frozen=True, slots=True)
class _Glance:
    at: datetime
    task: asyncio.Task[Any]


class Glances:
    """Readings by what they are of. Kept for seconds, in memory, and dropped at once when a person is erased, in
    whatever process: `as_of` is told what the store says of that before anything is taken for somebody's eyes."""

    def __init__(self) -> None:
        self._erasures: tuple[int, ...] | None = None
        self._kept: OrderedDict[Hashable, _Glance] = OrderedDict()

    async def take(
        self, key: Hashable, read: Callable[[], Awaitable[Read]], *, now: datetime, fresh: timedelta
    ) -> Read:
        """What was read under this key less than `fresh` ago, else what `read` gives; an exception is not kept.

        Whoever asks while it is being read waits for the same reading, which goes on when one of them leaves.
        """
        known = self._kept.get(key)
        # If the clock was set back, a reading must not stay fresh for hours.
        if known is None or known.task.cancelled() or not timedelta() <= now - known.at < fresh:
            known = _Glance(now, asyncio.ensure_future(_run(read)))
            self._kept[key] = known
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        try:
            return cast(Read, await asyncio.shield(known.task))
        except Exception:
            if self._kept.get(key) is known:
                del self._kept[key]
            raise

    def as_of(self, erasures: tuple[int, ...]) -> None:
        """Clear the cache if `StateStore.erasures` has changed since the last call."""
        if erasures != self._erasures:
            self._erasures = erasures
            self.forget()

    def forget(self) -> None:
        """Clear the cache: somebody was erased."""
        self._kept.clear()


async def _run(read: Callable[[], Awaitable[Read]]) -> Read:
    return await read()
