"""Measures how long an event loop is kept from turning: by its own callbacks, or by other threads, through the GIL.

CPU time counts, not wall time, and not while the loop waited for a core, so other processes disturb little.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

WAKE = 0.001
LATE = 0.005
"""The seconds after which a tick is late: it is noted then what the other threads do."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The time between two ticks, in ms: by the clock, `cpu` of the whole process, and `own` CPU of the loop's thread.

    `cpu` is above what the loop was held for where a thread computed without the GIL, and leaves out what the loop,
    ready to run, waited for a core that others had: Linux counts that. `stacks` says what ran, if it is known.
    """

    wall: float
    cpu: float
    own: float
    stacks: str = ""


async def gaps(work: Callable[[], Awaitable[object]], *, where: bool = False) -> list[Gap]:
    """Do the work; the gaps meanwhile, the one with most CPU first. `where` notes where the other threads were when the
    loop had its turn at last."""
    found: list[Gap] = []
    done = False

    async def tick() -> None:
        while not done:
            began = time.perf_counter(), time.process_time(), time.thread_time(), _coreless()
            await asyncio.sleep(WAKE)
            ended = time.perf_counter(), time.process_time(), time.thread_time(), _coreless()
            wall, cpu, own, coreless = ((after - before) * 1000 for before, after in zip(began, ended, strict=True))
            if wall > 2 * WAKE * 1000 or not found:  # few: their number should cause no collection
                stacks = _stacks() if where and wall > LATE * 1000 else ""
                found.append(Gap(wall, min(cpu, wall - coreless), own, stacks))

    ticker = asyncio.create_task(tick())
    await asyncio.sleep(0.01)
    await work()
    done = True
    await ticker
    return sorted(found, key=lambda gap: -gap.cpu)


def _coreless() -> float:
    """The seconds that this thread has waited for a core while it was ready to run; 0 where the system does not say."""
    try:
        with open("/proc/thread-self/schedstat", "rb", buffering=0) as file:
            return int(file.read().split()[1]) / 1e9
    except OSError:
        return 0.0


class Collections:
    """The runs of Python's garbage collector: how long the longest took, in ms of CPU; every thread waits for it."""

    def __init__(self) -> None:
        self.longest, self._began = 0.0, 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _: object) -> None:
        now = time.thread_time()
        if phase == "start":
            self._began = now
        else:
            self.longest = max(self.longest, (now - self._began) * 1000)

    def taken(self) -> float:
        """The longest since this was asked last."""
        longest, self.longest = self.longest, 0.0
        return longest


_IDLE = ("selectors.py", "threading.py", "queue.py", "base_events.py", "core.py", "thread.py")
"""Files of the innermost calls of threads that wait for work."""


def _stacks() -> str:
    """What the other threads do, but for those that wait: a line for each, the innermost call first."""
    lines = []
    for thread, frame in sys._current_frames().items():
        calls = list(_calls(frame))
        if thread != threading.get_ident() and not calls[0].startswith(_IDLE):
            lines.append("      " + " < ".join(calls[:6]))
    return "\n".join(lines)


def _calls(frame: FrameType | None) -> list[str]:
    calls = []
    while frame is not None:
        calls.append(f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno} {frame.f_code.co_name}")
        frame = frame.f_back
    return calls
