"""Events into SQLite: one transaction a batch, names as numbers, sessions and stale summaries kept along."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence, Set
from contextlib import suppress
from functools import lru_cache
from itertools import chain
from operator import index
from typing import Any, TypeVar

from tracker.event import ANONYMOUS, SESSION_GAP_US, Event, Failure
from tracker.sqlite.database_file import FileChanged, OpenedFile
from tracker.sqlite.schema import SEQUENCE_BITS, connect, prepare

BUCKET_US = 5 * 60 * 1_000_000
"""The smallest sealed summary covers five minutes; a late event makes the one that it falls into stale."""
ROUTE_CAP = 5_000
"""At most so many (endpoint, method, feature) triples are told apart; what comes later is `(other)`."""
FAILURE_CAP = 20_000
"""At most so many failures are told apart; what comes later is `(other)`."""
OTHER = "(other)"
_ROWS = 500  # a full batch of the recorder goes in with one statement
_NOTE = """
    INSERT INTO guardian_recorder_note (recorder, kind, detail, count, seen_us) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (recorder, kind, detail) DO UPDATE SET count = excluded.count, seen_us = excluded.seen_us
"""
_EXTEND = "ON CONFLICT (id) DO UPDATE SET start_us = excluded.start_us, end_us = excluded.end_us"
_CACHE_CAP = 50_000
_CACHED_BYTES = 4_000_000
_MAX_US = 2**63 - 1 >> SEQUENCE_BITS
_MAX_STATUS = 999

Key = TypeVar("Key")
Row = tuple[int, int, int, int, int, int | None, int | None]
"""at_us, user, route, outcome, duration_us, failure, latency_us."""
_REQUEST = "guardian_request (id, user, route, status, duration_us, failure, latency_us)"
_SESSION = "guardian_session (id, user, start_us, end_us)"
_RECORDER = "guardian_recorder (id, started_us, seen_us, accepted, stored, dropped, version)"
_POISON = (ValueError, TypeError, OverflowError, sqlite3.DataError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""What an event raises that SQLite cannot hold: a lone surrogate, an integer over 64 bits, a value of a wrong type."""


class Writer:
    """One process' way into the database. Not thread-safe: it belongs to one thread at a time.

    `database` is a file's path, whose tables are made where they are missing, or a connection whose tables are there.
    `timeout` is how many seconds another process' lock on the file is waited for.
    Raises NewerDatabase or sqlite3.Error when it is opened on a file that it cannot use.
    """

    def __init__(self, database: str | sqlite3.Connection, *, timeout: float = 5.0) -> None:
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
        self._forget()

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
    ) -> int:
        """Store a batch in one transaction; how many of it were stored (a poison event costs only itself).

        `heartbeat` is told how many are stored and how many were poison, and returns the row of guardian_recorder that
        is written along, with the recorder's `notes`: kind, detail, count. Raises sqlite3.Error where the
        database does not take the batch; nothing is stored then.
        """
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            meta = dict(db.execute("SELECT key, value FROM guardian_meta"))
            if meta.get("dictionary_epoch") != self._epoch:
                # Another process has erased somebody: numbers that were known may stand for nobody now.
                self._forget()
                self._epoch = meta.get("dictionary_epoch")
            rows, poison = self._rows(events)
            if rows:
                self._sessions(rows)
                _mark_late(db, _insert(db, rows), int(meta.get("sealed_until_us") or 0))
            if heartbeat is not None:
                row = heartbeat(len(rows), poison)
                db.execute(f"REPLACE INTO {_RECORDER} VALUES (?, ?, ?, ?, ?, ?, ?)", row)
                db.executemany(_NOTE, [(row[0], *note, row[2]) for note in notes])
            db.execute("COMMIT")
        except BaseException:
            self._forget()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return len(rows)

    def _forget(self) -> None:
        self._users: dict[str, int] = {}
        self._routes: dict[tuple[str, str, str], int] = {}
        self._failures: dict[Failure, int] = {}
        self._anonymous: int | None = None
        self._cached = 0

    def _rows(self, events: Iterable[Event]) -> tuple[list[Row], int]:
        """The rows of guardian_request in the order of time, with times in place of ids; and how many were poison."""
        rows: list[Row] = []
        poison = 0
        for event in events:
            try:
                rows.append(self._row(event))
            except _POISON:
                poison += 1
        rows.sort(key=lambda row: row[0])
        return rows, poison

    def _row(self, event: Event) -> Row:
        at, user, endpoint, method, feature, status, duration, failure, latency = event
        if not 0 <= index(duration) <= index(at) <= _MAX_US or not 0 <= index(status) <= _MAX_STATUS:
            raise ValueError("a number that no request has")
        if latency is not None and not 0 <= index(latency) <= duration:
            raise ValueError("a latency that no request has")
        user_id = self._users.get(user)
        if user_id is None:
            user_id = self._person(user)
            if user == ANONYMOUS:
                self._anonymous = user_id
        triple = (endpoint, method, feature)
        route_id = self._routes.get(triple)
        if route_id is None:
            names = ("endpoint", "method", "feature")
            route_id = self._number(self._routes, triple, "guardian_route", names, triple, ROUTE_CAP)
        failure_id = None
        if failure is not None:
            failure_id = self._failures.get(failure)
            if failure_id is None:
                names, values = ("kind", "message", "location"), tuple(failure)
                failure_id = self._number(self._failures, failure, "guardian_failure", names, values, FAILURE_CAP)
        outcome = index(status) if failure is None else event.outcome
        return index(at), user_id, route_id, outcome, index(duration), failure_id, latency

    def _person(self, name: str) -> int:
        """The number of a user, made if they are new.

        Version 0.1 stored every name in lower case. A name without an @ goes on under such a row as long as it is the
        only spelling that comes; with the second one each has a row of its own, and the old one keeps what it has.
        """
        if type(name) is str and name != name.lower():
            lowered = (
                "SELECT u.id, s.spelling FROM guardian_spelling s JOIN guardian_user u ON u.id = s.user "
                "WHERE u.email = ?"
            )
            row = self.db.execute(lowered, (name.lower(),)).fetchone()
            if row is not None:
                spelling = name if row[1] in (None, name) else ""
                self.db.execute("UPDATE guardian_spelling SET spelling = ? WHERE user = ?", (spelling, row[0]))
                if spelling:
                    known: int = row[0]
                    self._users[name] = known
                    return known
                self._users.clear()
                # Other processes may know the old row by its first spelling.
                epoch = os.urandom(8).hex()
                self.db.execute("REPLACE INTO guardian_meta (key, value) VALUES ('dictionary_epoch', ?)", (epoch,))
        return self._number(self._users, name, "guardian_user", ("email",), (name,))

    def _number(
        self,
        cache: dict[Key, int],
        key: Key,
        table: str,
        names: tuple[str, ...],
        values: tuple[str, ...],
        cap: int | None = None,
    ) -> int:
        """The id of a dictionary row, made if it is missing; that of `(other)` where the table has `cap` rows."""
        if not all(type(value) is str for value in values):
            raise TypeError("a name is not a text")
        where = " AND ".join(f"{name} = ?" for name in names)
        known = f"SELECT id FROM {table} WHERE {where}"
        row = self.db.execute(known, values).fetchone()
        if row is None:
            if cap is not None and self.db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] >= cap:
                values = (OTHER,) * len(values)
            marks = ", ".join("?" * len(values))
            self.db.execute(f"INSERT OR IGNORE INTO {table} ({', '.join(names)}) VALUES ({marks})", values)
            row = self.db.execute(known, values).fetchone()
        # Bounded in bytes too: a name may have hundreds of characters, the places of a failure thousands.
        self._cached += sum(len(value) if value.isascii() else 4 * len(value) for value in values)
        if len(cache) >= _CACHE_CAP or self._cached >= _CACHED_BYTES:
            for each in (self._users, self._routes, self._failures):
                each.clear()
            self._cached = 0
        number: int = row[0]
        cache[key] = number
        return number

    def _sessions(self, rows: Sequence[Row]) -> None:
        """Extend the sessions that the rows touch, open new ones, and join those that a late event makes one."""
        spans: dict[int, list[tuple[int, int, int | None]]] = {}
        first = last = rows[-1][0]
        for at, user, _, _, duration, _, _ in rows:
            if user == self._anonymous:
                continue
            start = at - duration
            first = min(first, start)
            mine = spans.setdefault(user, [])
            while mine and start - mine[-1][1] < SESSION_GAP_US:
                start = min(start, mine.pop()[0])
            mine.append((start, at, None))
        # One row of JSON: see _insert_rows.
        (stored,) = self.db.execute(
            "SELECT json_group_array(json_array(s.user, s.start_us, s.end_us, s.id)) FROM json_each(?) j "
            "CROSS JOIN guardian_session s ON s.user = j.value WHERE s.end_us > ? AND s.start_us < ?",
            (json.dumps(list(spans)), first - SESSION_GAP_US, last + SESSION_GAP_US),
        ).fetchone()
        for user, start, end, number in json.loads(stored):
            spans[user].append((start, end, number))
        changed, joined = [], []
        for user, mine in spans.items():
            if len(mine) > 1:
                mine.sort(key=lambda span: span[0])
            for start, end, ids in _join(mine):
                known = [number for number in ids if number is not None]
                if len(known) < len(ids):
                    changed.append((known[0] if known else None, user, start, end))
                    joined += [(number,) for number in known[1:]]
        _insert_rows(self.db, _SESSION, changed, _EXTEND)
        self.db.executemany("DELETE FROM guardian_session WHERE id = ?", joined)

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self.db.close()


def write_events(db: sqlite3.Connection, events: Iterable[Event]) -> int:
    """Store a batch through a connection of the caller's, whose tables are there; how many were stored."""
    return Writer(db).write(events)


def _join(spans: Iterable[tuple[int, int, int | None]]) -> list[tuple[int, int, list[int | None]]]:
    """Sessions out of spans in the order of their starts: (start, end, the ids of the spans in it)."""
    sessions: list[tuple[int, int, list[int | None]]] = []
    for start, end, number in spans:
        if sessions and start - sessions[-1][1] < SESSION_GAP_US:
            begin, until, ids = sessions[-1]
            sessions[-1] = (begin, max(until, end), [*ids, number])
        else:
            sessions.append((start, end, [number]))
    return sessions


def _insert(db: sqlite3.Connection, rows: Sequence[Row]) -> list[int]:
    """Insert the rows, each with an id of its own made of its time and a sequence number; the ids."""
    taken: set[int] = set()
    db.execute("SAVEPOINT batch")
    while True:
        ids = _ids(rows, taken)
        try:
            _insert_rows(db, _REQUEST, [(number, *row[1:]) for number, row in zip(ids, rows, strict=True)])
            break
        except sqlite3.IntegrityError:
            # Another process has had an event in the same microsecond. Nobody else writes until this is committed.
            db.execute("ROLLBACK TO batch")
            found = _taken(db, ids)
            if not found:
                raise
            taken |= found
    db.execute("RELEASE batch")
    return ids


def _ids(rows: Sequence[Row], taken: Set[int]) -> list[int]:
    """A number for each row, in their order: the first from its time on that neither another row nor `taken` has."""
    ids, last = [], -1
    for row in rows:
        last = max(row[0] << SEQUENCE_BITS, last + 1)
        while last in taken:
            last += 1
        ids.append(last)
    return ids


def _taken(db: sqlite3.Connection, ids: Sequence[int]) -> set[int]:
    """Those of the ids that events have already."""
    found = db.execute("SELECT e.id FROM json_each(?) j CROSS JOIN guardian_request e ON e.id = j.value", [str(ids)])
    return {number for (number,) in found}


def _insert_rows(db: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]], conflict: str = "") -> None:
    """Insert rows, many with one statement.

    sqlite3 lets go of the interpreter's lock at each step of a statement: a statement a row would hand it to and fro
    with the host's event loop hundreds of times a batch, and slow its requests down.
    """
    done = 0
    while done < len(rows):
        left = len(rows) - done
        number = _ROWS if left >= _ROWS else 1 << left.bit_length() - 1  # few lengths: SQLite keeps the statements
        values = list(chain.from_iterable(rows[done : done + number]))
        db.execute(_insert_statement(table, len(rows[0]), number, conflict), values)
        done += number


@lru_cache
def _insert_statement(table: str, columns: int, rows: int, conflict: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)} {conflict}"


def _mark_late(db: sqlite3.Connection, ids: Sequence[int], sealed_until_us: int) -> None:
    """Note the sealed buckets that the ids, which are in order, fall into."""
    if ids[0] >> SEQUENCE_BITS >= sealed_until_us:
        return
    late = {at // BUCKET_US * BUCKET_US for number in ids if (at := number >> SEQUENCE_BITS) < sealed_until_us}
    db.executemany("INSERT OR IGNORE INTO guardian_dirty VALUES (?)", [(start,) for start in late])
