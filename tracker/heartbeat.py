"""Heartbeats: that a process lives, and how many events it has accepted. Written with each batch, and regularly while
idle."""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache

from tracker.buffer import Stats
from tracker.sink import Heartbeat

HEARTBEAT_SECONDS = 30.0
"""The interval of heartbeats in an idle process."""
_serial = itertools.count(1)


class Pulse:
    """When the next heartbeat is due by `clock`, in seconds of Unix time, and what it says."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._beat = float("-inf")
        self._started_us = self._now_us()
        self.id = f"{socket.gethostname()}:{os.getpid()}:{self._started_us}:{next(_serial)}"

    @property
    def is_due(self) -> bool:
        """Whether the last heartbeat was long enough ago. Also if it lies in the future: the clock was set back, and
        the old heartbeat would be believed until that time."""
        return not 0 <= self._clock() - self._beat < HEARTBEAT_SECONDS

    def beat(self) -> None:
        """Record that a heartbeat was just written."""
        self._beat = self._clock()

    def row(self, counts: Stats, stored: int, poison: int) -> Heartbeat:
        """The heartbeat as it will be true after this batch: `stored` more events stored, and `poison` that can never
        be."""
        return Heartbeat(
            self.id, self._started_us, self._now_us(),
            counts.accepted, counts.stored + stored, counts.dropped + poison, _version(),
        )  # fmt: skip

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


@lru_cache(maxsize=1)
def _version() -> str:
    """The version of the program that wrote a heartbeat; "unknown" where it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and only the writer thread needs it

    for name in ("usage-guardian-tracker", "usage-guardian"):
        with suppress(PackageNotFoundError):
            return version(name)
    return "unknown"
