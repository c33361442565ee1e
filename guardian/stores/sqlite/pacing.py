"""Long work on a file that somebody else writes to: in small steps with pauses, so that nobody waits long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, sleep

from guardian.stores.sqlite.log import cut

LONG = 0.004
"""Seconds that a step may take: who waits for the lock then looks again after 1, 2 and 5 ms, and has it."""
FIRST, LEAST, MOST = 100, 20, 2_000
"""How many rows, or pages, a step begins with, and its bounds."""
_OWN_PAGES, _USUAL_PAGES = 200, 1_000


def in_steps(step: Callable[[int], int]) -> int:
    """Call `step` with how much to do until it has done less than that; how much it did in all. The steps are as large
    as they can be done in LONG, and each is followed by a pause that is as long."""
    number, done = FIRST, 0
    while True:
        began = perf_counter()
        did = step(number)
        took = perf_counter() - began
        done += did
        if did < number:
            return done
        if took > LONG:
            number = max(number // 2, LEAST)
        elif took < LONG / 2:
            number = min(number * 2, MOST)
        sleep(max(took, LONG))


@contextmanager
def own_checkpoints(db: sqlite3.Connection) -> Iterator[None]:
    """Let this connection move the log into the file early, so that none of the others has to do it for it."""
    db.execute(f"PRAGMA wal_autocheckpoint = {_OWN_PAGES}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA wal_autocheckpoint = {_USUAL_PAGES}")


def cut_log(db: sqlite3.Connection) -> None:
    """Move the log into the file and cut it, where nobody is in the way; nobody waits for that longer than a step."""
    for _ in range(_TRIES):
        if cut_once(db):
            return
        sleep(LONG)


def cut_once(db: sqlite3.Connection) -> bool:
    """Whether the log was moved into the file and cut: not while somebody reads from it, or writes. Nobody waits."""
    # This one holds up nobody, and shows whether an older state is read; the other takes the lock of the writers.
    busy, pages, moved = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if busy or moved < pages:
        return False
    return cut(db, 0)


_TRIES = 50
