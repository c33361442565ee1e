"""A pool of connections to one SQLite file, for work in threads: opening one takes longer than a short read."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from guardian.stores.sqlite.names import KeptNames
from guardian.stores.sqlite.turns import Turns
from tracker.sqlite.connection import connect, undo
from tracker.sqlite.database_file import OpenedFile

T = TypeVar("T")

KEPT = 2
"""How many idle connections are kept: a report uses one at a time, a page beside it another."""


class Connections:
    """Hands out connections to the file, each to one thread at a time."""

    def __init__(self, file: OpenedFile) -> None:
        self._file = file
        self._turns = Turns(file.path)
        self._lock = Lock()
        self._idle: list[sqlite3.Connection] = []
        self._names = KeptNames()
        self._drops = 0

    @contextmanager
    def use(self) -> Iterator[sqlite3.Connection]:
        """An autocommit connection without a transaction, as `tracker.sqlite.connection.connect` opens it.

        If the write-ahead log is long, it is given its turn first, for at most a second (see Turns). Raises FileChanged
        if the opened file is no longer there, and whatever `connect` raises. A connection whose work failed or left a
        transaction open is not reused.
        """
        with self.use_with_names() as (db, _):
            yield db

    @contextmanager
    def use_with_names(self) -> Iterator[tuple[sqlite3.Connection, KeptNames]]:
        """The same, with the names that are kept of its file."""
        self._file.check()
        with self._lock:
            db, drops, names = self._idle.pop() if self._idle else None, self._drops, self._names
        if db is None:
            db = connect(self._file.path, timeout=10.0, create=False)
        keep = False
        try:
            self._turns.give(db)
            yield db, names
            if keep := not db.in_transaction:
                db.execute("PRAGMA shrink_memory")  # up to 2 MB of pages each, read again from the system in 0.2 ms
        finally:
            with self._lock:
                keep = keep and drops == self._drops and len(self._idle) < KEPT
                if keep:
                    self._idle.append(db)
            if not keep:
                db.close()

    def drop(self) -> None:
        """Close the idle connections, and forget the names; one in use is closed when its work is done."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._drops += 1
            self._names = KeptNames()
        for db in idle:
            db.close()


def in_one_state(db: sqlite3.Connection, read: Callable[[sqlite3.Connection], T]) -> T:
    """The result of `read`, run on one state of the database: that of the transaction that is open, if one is."""
    if db.in_transaction:
        return read(db)
    db.execute("BEGIN")
    try:
        return read(db)
    finally:
        undo(db)
