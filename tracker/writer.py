"""Events into SQLite: one transaction a batch, names as numbers, sessions and stale summaries kept along."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from tracker.event import ANONYMOUS, SESSION_GAP_US, Event, Failure
from tracker.schema import SEQUENCE_BITS, TRACKER_MIGRATIONS, connect, migrate

BUCKET_US = 5 * 60 * 1_000_000
"""The smallest sealed summary covers five minutes; a late event makes the one that it falls into stale."""
ROUTE_CAP = 5_000
"""At most so many (endpoint, method, feature) triples are told apart; what comes later is `(other)`."""
OTHER = "(other)"
_CACHE_CAP = 50_000
_MAX_INT = 2**63 - 1
_MAX_US = _MAX_INT >> SEQUENCE_BITS

Key = TypeVar("Key")


class Poison(ValueError):
    """An event that SQLite cannot hold: a lone surrogate, an integer over 64 bits, a value of a wrong type."""


class Writer:
    """One process' way into the database file. Not thread-safe: it belongs to one thread at a time.

    Raises NewerDatabase or sqlite3.Error when it is opened on a file that it cannot use.
    """

    def __init__(self, path: str, *, timeout: float = 5.0) -> None:
        self.db = connect(path, timeout=timeout)
        try:
            migrate(self.db, TRACKER_MIGRATIONS, owner="tracker")
        except BaseException:
            self.db.close()
            raise
        self._users: dict[str, int] = {}
        self._routes: dict[tuple[str, str, str], int] = {}
        self._failures: dict[Failure, int] = {}
        self._epoch: Any = None

    def write(self, events: Sequence[Event], *, heartbeat: tuple[Any, ...] | None = None) -> int:
        """Store a batch in one transaction; how many of it were stored (a poison event costs only itself).

        `heartbeat` is a row of guardian_recorder that is written along. Raises sqlite3.Error where the database does
        not take the batch; nothing of it is stored then.
        """
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            meta = dict(db.execute("SELECT key, value FROM guardian_meta"))
            if meta.get("dictionary_epoch") != self._epoch:
                # Another process has erased somebody: numbers that were known may stand for nobody now.
                self._forget()
                self._epoch = meta.get("dictionary_epoch")
            rows = self._rows(events)
            if rows:
                self._sessions(rows)
                _insert(db, rows)
                _mark_late(db, rows, int(meta.get("sealed_until_us") or 0))
            if heartbeat is not None:
                db.execute("REPLACE INTO guardian_recorder VALUES (?, ?, ?, ?, ?, ?, ?)", heartbeat)
            db.execute("COMMIT")
        except BaseException:
            self._forget()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        return len(rows)

    def _forget(self) -> None:
        self._users.clear()
        self._routes.clear()
        self._failures.clear()

    def _rows(self, events: Iterable[Event]) -> list[list[Any]]:
        """The rows of guardian_event, in the order of time, without ids yet but with times; poison left out."""
        rows = []
        for event in events:
            try:
                rows.append(self._row(event))
            except (Poison, UnicodeEncodeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
                continue
        rows.sort(key=lambda row: row[0])
        return rows

    def _row(self, event: Event) -> list[Any]:
        numbers = (event.at_us, event.status, event.duration_us)
        if not all(type(n) is int and 0 <= n <= _MAX_INT for n in numbers) or event.at_us > _MAX_US:
            raise Poison("a number is not a whole number that fits")
        user = self._users.get(event.user)
        if user is None:
            user = self._number(self._users, event.user, "guardian_user (email)", (event.user,))
        triple = event[2:5]
        route = self._routes.get(triple)
        if route is None:
            route = self._route(triple)
        failure = None
        if event.failure is not None:
            failure = self._failures.get(event.failure)
            if failure is None:
                columns = "guardian_failure (kind, message, location)"
                failure = self._number(self._failures, event.failure, columns, tuple(event.failure))
        return [event.at_us, user, route, event.status, event.duration_us, failure]

    def _route(self, triple: tuple[str, str, str]) -> int:
        known = "SELECT 1 FROM guardian_route WHERE endpoint = ? AND method = ? AND feature = ?"
        if not self.db.execute(known, triple).fetchone():
            (number,) = self.db.execute("SELECT count(*) FROM guardian_route").fetchone()
            if number >= ROUTE_CAP:
                return self._number(
                    self._routes, triple, "guardian_route (endpoint, method, feature)", (OTHER, OTHER, OTHER)
                )
        return self._number(self._routes, triple, "guardian_route (endpoint, method, feature)", triple)

    def _number(self, cache: dict[Key, int], key: Key, columns: str, values: tuple[str, ...]) -> int:
        """The id of a dictionary row, made if it is missing."""
        if not all(type(value) is str for value in values):
            raise Poison("a name is not a text")
        table, names = columns.split(" ", 1)
        marks = ", ".join("?" * len(values))
        where = " AND ".join(f"{name} = ?" for name in names.strip("()").split(", "))
        self.db.execute(f"INSERT OR IGNORE INTO {table} {names} VALUES ({marks})", values)
        (number,) = self.db.execute(f"SELECT id FROM {table} WHERE {where}", values).fetchone()
        if len(cache) >= _CACHE_CAP:
            cache.clear()
        cache[key] = number
        return number

    def _sessions(self, rows: Sequence[Sequence[Any]]) -> None:
        """Extend each user's latest session, or open one where the gap was 30 minutes or more."""
        anonymous = self._users.get(ANONYMOUS)
        spans: dict[int, list[tuple[int, int]]] = {}
        for at_us, user, _, _, duration_us, _ in rows:
            if user == anonymous:
                continue
            mine = spans.setdefault(user, [])
            if mine and at_us - duration_us - mine[-1][1] < SESSION_GAP_US:
                mine[-1] = (mine[-1][0], at_us)
            else:
                mine.append((at_us - duration_us, at_us))
        for user, sessions in spans.items():
            for start, end in sessions:
                self._session(user, start, end)

    def _session(self, user: int, start: int, end: int) -> None:
        near = self.db.execute(
            "SELECT id, start_us, end_us FROM guardian_session "
            "WHERE user = ? AND end_us > ? AND start_us < ? ORDER BY end_us",
            (user, start - SESSION_GAP_US, end + SESSION_GAP_US),
        ).fetchall()
        if not near:
            self.db.execute(
                "INSERT INTO guardian_session (user, start_us, end_us) VALUES (?, ?, ?)", (user, start, end)
            )
            return
        # What came late may close the gap between two sessions: they were one.
        first = near[0][0]
        self.db.executemany("DELETE FROM guardian_session WHERE id = ?", [(row[0],) for row in near[1:]])
        bounds = (min(start, near[0][1]), max(end, *(row[2] for row in near)))
        self.db.execute("UPDATE guardian_session SET start_us = ?, end_us = ? WHERE id = ?", (*bounds, first))

    def close(self) -> None:
        """Close the connection; safe to call twice."""
        self.db.close()


def write_events(db: sqlite3.Connection, events: Sequence[Event]) -> int:
    """Store a batch through a connection of the caller's, whose tables are there; how many were stored."""
    writer = Writer.__new__(Writer)
    writer.db, writer._users, writer._routes, writer._failures, writer._epoch = db, {}, {}, {}, None
    return writer.write(events)


def _insert(db: sqlite3.Connection, rows: Sequence[list[Any]]) -> None:
    """Give each row an id of its own, its time and a sequence number, and insert it."""
    # Another process may have taken numbers in this span; more than 1,024 in one microsecond run on into the next.
    low, high = rows[0][0] << SEQUENCE_BITS, (rows[-1][0] + 10_000) << SEQUENCE_BITS
    taken = {number for (number,) in db.execute("SELECT id FROM guardian_event WHERE id >= ? AND id < ?", (low, high))}
    last = low - 1
    for row in rows:
        number = max(row[0] << SEQUENCE_BITS, last + 1)
        while number in taken:
            number += 1
        row[0] = last = number
    db.executemany("INSERT INTO guardian_event VALUES (?, ?, ?, ?, ?, ?)", rows)


def _mark_late(db: sqlite3.Connection, rows: Sequence[Sequence[Any]], sealed_until_us: int) -> None:
    if rows[0][0] >> SEQUENCE_BITS >= sealed_until_us:
        return
    times = [row[0] >> SEQUENCE_BITS for row in rows]
    late = {at // BUCKET_US * BUCKET_US for at in times if at < sealed_until_us}
    db.executemany("INSERT OR IGNORE INTO guardian_dirty VALUES (?)", [(start,) for start in late])
