"""Writes events into SQLite: one transaction for each batch, names as numbers, and sessions and stale summaries updated
along."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from tracker.event import Event
from tracker.flat_events import FlatEvents
from tracker.source import Source
from tracker.sqlite.activity import Activity
from tracker.sqlite.batch import Batch, batches
from tracker.sqlite.connection import connect, undo
from tracker.sqlite.database_file import FileChanged, OpenedFile
from tracker.sqlite.dictionaries import Dictionaries
from tracker.sqlite.migrations import prepare
from tracker.sqlite.rows import insert, mark_late, note_late
from tracker.sqlite.sessions import (
    PUT_OFF,
    RECENT_US,
    Seen,
    extend_sessions,
    keep_named,
    note_clients,
    note_put_off,
    recent_activity,
)

_NOTE = """
    INSERT INTO guardian_recorder_note (recorder, kind, detail, count, seen_us) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (recorder, kind, detail) DO UPDATE SET count = excluded.count, seen_us = excluded.seen_us
"""
_FULL = 1_000
"""A batch with at least this many events is a full one."""

_RECORDER = "guardian_recorder (id, started_us, seen_us, accepted, stored, dropped, version)"


class Writer:
    """One process' way into the database. Not thread-safe: it belongs to one thread at a time.

    `database` is a file's path, whose tables are made where they are missing, or a connection whose tables are there.
    `timeout` is how many seconds another process' lock on the file is waited for. With a `key`, a pseudonym is stored
    for each name; `made_by` is which release and instance the events come from, None where that is not known.
    With `rushing`, the sessions of full batches, which come when events come faster than they are stored, are stored
    with a later one: half of a batch's cost is that. Those of RECENT_US of events may wait; a smaller batch, a
    heartbeat alone and `close` store what was put off, which is noted; after a kill the next such Writer does.
    Raises NewerDatabase or sqlite3.Error when it is opened on a file that it cannot use.
    """

    def __init__(
        self,
        database: str | sqlite3.Connection,
        *,
        timeout: float = 5.0,
        key: bytes | None = None,
        made_by: Source | None = None,
        rushing: bool = False,
    ) -> None:
        self._file: OpenedFile | None = None
        if isinstance(database, sqlite3.Connection):
            self.db = database
        else:
            self.db = connect(database, timeout=timeout)
            try:
                prepare(self.db)
            except BaseException:
                self.db.close()
                raise
            self._file = OpenedFile(database)
            self._file.note()
        self._epoch: Any = None
        self._rushing = rushing
        self._key = PUT_OFF + os.urandom(8).hex()  # in guardian_meta
        self._put_off = None if rushing else Activity()  # None: what another Writer left is not known yet
        self._names = Dictionaries(self.db, key)
        self._made_by = made_by if made_by is not None and any(made_by) else None

    def moved(self) -> bool:
        """Whether the file that was opened is no longer the one at its path: it was removed, or another put there."""
        try:
            if self._file is not None:
                self._file.check()
        except FileChanged:
            return True
        return False

    def leave(self) -> None:
        """Close the connection to a file that has moved, so that a new one can be opened at its path."""
        self._put_off = None
        if self._file is not None:
            with suppress(FileChanged):  # there is none now
                self._file.leave(self.db)
        self.close()

    def write(
        self,
        events: Iterable[Event],
        *,
        heartbeat: Callable[[int, int], tuple[Any, ...]] | None = None,
        notes: Iterable[tuple[str, str, int]] = (),
        source: int | None = None,
        along: Callable[[sqlite3.Connection], None] | None = None,
        between: Callable[[], bool] | None = None,
    ) -> int:
        """Store a batch in one transaction; how many of it were stored (a poison event costs only itself).

        `source` is the number of a row of guardian_source, None for that of `made_by`; `along` writes more in the
        same transaction. `between` is called between two parts of the work, each of a millisecond or less. Where
        it answers False, or is None, the rest is done at once, which takes less.

        `heartbeat` is told how many are stored and how many were poison, and returns the row of guardian_recorder that
        is written along, with the recorder's `notes`: kind, detail, count. Raises sqlite3.Error where the
        database does not take the batch; nothing is stored then.
        """
        db, events = self.db, events if isinstance(events, FlatEvents) else list(events)
        db.execute("BEGIN IMMEDIATE")
        try:
            meta = dict(db.execute("SELECT key, value FROM guardian_meta"))
            if meta.get("dictionary_epoch") != self._epoch:
                # Another process has erased somebody: cached numbers may be invalid now.
                self._names.forget()
                self._epoch = meta.get("dictionary_epoch")
                if self._put_off is not None:
                    keep_named(db, self._put_off)
            self._names.begin()
            activity = recent_activity(db) if self._put_off is None else self._put_off
            # Should this batch fail, the last events that are stored tell anew what is put off.
            self._put_off = None if self._rushing else Activity()
            ids: list[int] = []
            clients: list[Seen] = []
            poison = 0
            for batch in batches(events, self._names, between):
                poison += batch.poison
                clients += batch.clients
                activity.add(batch.at_us, batch.user, batch.duration_us, self._names.anonymous)
                ids += self._insert(batch, source, int(meta.get("sealed_until_us") or 0))
            rush = self._rushing and len(ids) >= _FULL and not clients
            rush = rush and activity.until_us - activity.since_us < RECENT_US
            if rush:
                note_put_off(db, self._key, activity)
            else:
                extend_sessions(db, activity, between)
                note_clients(db, clients)
                if self._key in meta:
                    note_put_off(db, self._key, None)
            if along is not None:
                along(db)
            if heartbeat is not None:
                row = heartbeat(len(ids), poison)
                note_late(db, sorted(ids), row[2])
                db.execute(f"REPLACE INTO {_RECORDER} VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                db.executemany(_NOTE, [(row[0], *note, row[2]) for note in notes])
            db.execute("COMMIT")
        except BaseException:
            self._names.forget()
            undo(db)
            raise
        self._put_off = activity if rush else Activity()
        return len(ids)

    def _insert(self, batch: Batch, source: int | None, sealed_until_us: int) -> list[int]:
        """Insert the rows of a batch and mark the sealed buckets that they fall into; their ids, in order."""
        if not batch.at_us:
            return []
        if source is None and self._made_by is not None:
            source = self._names.source(self._made_by, batch.at_us[0])
        ids = insert(self.db, batch, source)
        mark_late(self.db, ids, sealed_until_us)
        return ids

    def close(self) -> None:
        """Store what was put off and close the connection; safe to call twice."""
        if self._put_off is not None and self._put_off.users():
            with suppress(sqlite3.Error):  # the next Writer finds it
                self.write(())
        self.db.close()


def write_events(db: sqlite3.Connection, events: Iterable[Event]) -> int:
    """Store a batch through a connection of the caller's, whose tables are there; how many were stored."""
    return Writer(db).write(events)
