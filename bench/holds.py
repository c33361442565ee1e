"""Measures how long an event loop is kept from turning: by its own callbacks, or by other threads, through the GIL.

CPU time counts, not wall time, so other processes of the machine disturb little.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import re
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

WAKE = 0.001
LATE = 0.010
"""The seconds after which the stacks of a late tick are noted."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The time between two ticks, in ms: by the clock, `cpu` of the whole process, and `own` CPU of the loop's thread.

    `cpu` is above what the loop was held for where a thread computed without the GIL. `stacks` says what ran, if it is
    known.
    """

    wall: float
    cpu: float
    own: float
    stacks: str = ""


async def gaps(work: Callable[[], Awaitable[object]], *, where: bool = False) -> list[Gap]:
    """Do the work; the gaps meanwhile, the one with most CPU first. `where` notes stacks, at the risk of a crash: they
    are read while they change."""
    found: list[Gap] = []
    done = False
    with tempfile.TemporaryFile("w+") as file:

        async def tick() -> None:
            while not done:
                if where:  # from a thread that needs no GIL, so it sees what holds it
                    faulthandler.dump_traceback_later(LATE, file=file)
                began = time.perf_counter(), time.process_time(), time.thread_time()
                await asyncio.sleep(WAKE)
                ended = time.perf_counter(), time.process_time(), time.thread_time()
                faulthandler.cancel_dump_traceback_later()
                wall, cpu, own = ((after - before) * 1000 for before, after in zip(began, ended, strict=True))
                file.seek(0)
                if wall > 2 * WAKE * 1000 or not found:  # few: their number should cause no collection
                    found.append(Gap(wall, min(cpu, wall), own, _short(file.read()) if wall > LATE * 1000 else ""))
                file.seek(0)
                file.truncate()

        ticker = asyncio.create_task(tick())
        await asyncio.sleep(0.01)
        await work()
        done = True
        await ticker
    return sorted(found, key=lambda gap: -gap.cpu)


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


_LINE = re.compile(r'File "(?:.*/)?([^/]+/[^/]+)", line (\d+) in (\S+)')
_IDLE = ("selectors.py", "threading.py", "queue.py", "base_events.py", "aiosqlite")


def _short(dump: str) -> str:
    """A dump of faulthandler's without the threads that wait: a line for each, the innermost call first."""
    lines = []
    for thread in dump.split("\n\n"):
        calls = [f"{where}:{line} {name}" for where, line, name in _LINE.findall(thread)]
        waits = not calls or any(name in calls[0] for name in _IDLE) or calls[0].endswith("thread.py:81 _worker")
        if not waits:
            lines.append("      " + " < ".join(calls[:6]))
    return "\n".join(lines)
