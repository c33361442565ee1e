"""That a process lives, and how many events it has taken: said with each batch, and when nothing comes."""

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
"""An idle process says that it lives this often."""
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
        """Whether the last one was long enough ago. It is, too, where it lies ahead: the clock was set back, and what
        was said then would be believed for as long."""
        return not 0 <= self._clock() - self._beat < HEARTBEAT_SECONDS

    def beat(self) -> None:
        """It was said just now."""
        self._beat = self._clock()

    def row(self, counts: Stats, stored: int, poison: int) -> Heartbeat:
        """What is true once so many more are stored, and so many turned out to be poison."""
        return Heartbeat(
            self.id, self._started_us, self._now_us(),
            counts.accepted, counts.stored + stored, counts.dropped + poison, _version(),
        )  # fmt: skip

    def _now_us(self) -> int:
        return int(self._clock() * 1_000_000)


@lru_cache(maxsize=1)
def _version() -> str:
    """The version of the program that wrote a heartbeat; "unknown" where it is not installed as a package."""
    from importlib.metadata import PackageNotFoundError, version  # heavy, and only the writer thread needs it

    for name in ("usage-guardian-tracker", "usage-guardian"):
        with suppress(PackageNotFoundError):
            return version(name)
    return "unknown"
