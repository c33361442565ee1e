"""Long work on a file that others write to: in small portions with pauses, so that nobody waits long."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter, sleep

from guardian.stores.sqlite.log import cut

LONG = 0.004
"""The seconds that a portion may take: SQLite retries a lock after 1, 2 and 5 ms, and then gets it."""
FIRST, LEAST, MOST = 100, 20, 2_000
"""How many rows or pages the first portion has, and the bounds."""
_OWN_PAGES, _USUAL_PAGES = 200, 1_000


def in_portions(work: Callable[[int], int]) -> int:
    """Call `work` with how many rows or pages to handle, until it handles fewer; returns how many it handled in all.
    Portions are sized to take LONG, each followed by an equally long pause."""
    number, done = FIRST, 0
    while True:
        began = perf_counter()
        did = work(number)
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
    """Let this connection checkpoint the log early, so that no other connection has to."""
    db.execute(f"PRAGMA wal_autocheckpoint = {_OWN_PAGES}")
    try:
        yield
    finally:
        db.execute(f"PRAGMA wal_autocheckpoint = {_USUAL_PAGES}")


def cut_log(db: sqlite3.Connection) -> None:
    """Move the log into the file and truncate it, if nobody is in the way; nobody waits for it longer than for a
    portion."""
    for _ in range(_TRIES):
        if cut_once(db):
            return
        sleep(LONG)


def cut_once(db: sqlite3.Connection) -> bool:
    """Try to move the log into the file and truncate it; False while somebody reads from it or writes. Never waits."""
    # This one blocks nobody, and shows whether an older state is being read; the other takes the write lock.
    busy, pages, moved = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    if busy or moved < pages:
        return False
    return cut(db, 0)


_TRIES = 50
