"""Handles the end of a process, and forks, for its recorders."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from typing import Protocol

FORK_WAIT = 1.0
"""The most seconds that a fork waits for each writer to leave SQLite, which normally takes milliseconds."""


class Forkable(Protocol):
    """The methods of a recorder that are used here."""

    @property
    def ending(self) -> float:
        """How many seconds the end of the process waits at most for this one."""

    def close(self, timeout: float | None = None) -> bool:
        """Store what waits."""

    def pause(self, timeout: float) -> bool:
        """Keep the writer out of SQLite; False if that did not work in time."""

    def resume(self) -> None:
        """Let it in again."""

    def reset(self) -> None:
        """Start with nothing, as a forked child does."""


_watched: weakref.WeakSet[Forkable] = weakref.WeakSet()
_paused: list[Forkable] = []


def watch(recorder: Forkable) -> None:
    """Drain this recorder when the process ends, and start it anew in a forked child."""
    _watched.add(recorder)


def _drain() -> None:
    began = time.monotonic()
    for recorder in list(_watched):
        recorder.close(max(0.05, began + recorder.ending - time.monotonic()))


def _before_fork() -> None:
    # A child forked while a thread is inside SQLite inherits SQLite's global mutexes locked, for ever.
    _paused.extend(recorder for recorder in list(_watched) if recorder.pause(FORK_WAIT))


def _after_fork_in_parent() -> None:
    while _paused:
        _paused.pop().resume()


def _after_fork_in_child() -> None:
    _paused.clear()
    for recorder in list(_watched):
        recorder.reset()


atexit.register(_drain)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
