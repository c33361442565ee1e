"""Failed requests in SQLite, found through sealed days and hours, and the index of failed requests only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from guardian.core.counting import among, begins, distinct, in_order
from guardian.core.failed_events import FailedEvents
from guardian.stores.sqlite import sealed_failures
from guardian.stores.sqlite.buckets import ids, time_of
from guardian.stores.sqlite.people import People, names_of
from guardian.stores.sqlite.routes import all_routes
from tracker.event import Failure
from tracker.sqlite.keys import SEQUENCE_BITS

_CHUNK = 20_000
_INDEXED = "FROM guardian_request WHERE id >= ? AND id < ? AND failure IS NOT NULL"
_ROWS = """
    SELECT e.id, e.user, e.route, e.status, e.duration_us, e.failure, coalesce(e.latency_us, -2) FROM json_each(?) j
    CROSS JOIN guardian_request e ON e.id = j.value
"""
TEXTS = "SELECT id, kind, message, location FROM guardian_failure WHERE id IN (SELECT value FROM json_each(?))"
"""Each failure by its number, for a JSON list of numbers."""


class Failed(NamedTuple):
    """Failed requests in order of time: their keys, person numbers and route numbers, and in `noted` their status,
    duration, failure and latency (-2: unknown). `routes` and `noted` are empty if they were not asked for. A request
    that is not from a sealed bucket has status -1: its details are only in the table.
    """

    ids: np.ndarray
    persons: np.ndarray
    routes: np.ndarray
    noted: np.ndarray

    def last_of_each(self, number: int) -> Failed:
        """The last `number` requests of each person."""
        places = np.arange(len(self.persons))
        if number == 1:
            newest = np.zeros(int(self.persons.max(initial=0)) + 1, np.int64)
            newest[self.persons] = places  # for equal indices the last one wins
            return self.where(np.flatnonzero(newest[self.persons] == places))
        many = np.flatnonzero((np.bincount(self.persons) > number)[self.persons])
        order = many[in_order(self.persons[many])]
        ends = np.flatnonzero(np.diff(self.persons[order], append=-1))
        last = np.repeat(ends, np.diff(ends, prepend=-1))
        keep = np.ones(len(places), bool)
        keep[order[last - np.arange(len(order)) >= number]] = False
        return self.where(np.flatnonzero(keep))

    def where(self, places: np.ndarray) -> Failed:
        """The requests at these indices."""
        return Failed(*(column[places] if len(column) else column for column in self))


def read_failed(
    db: sqlite3.Connection,
    people: People,
    window: tuple[int, int],
    *,
    routes: Sequence[int] | None = None,
    with_routes: bool = False,
) -> Failed:
    """The failed requests with keys in [first, end); with `routes` (dictionary numbers), only theirs."""
    columns = ("id", "user", "route") if with_routes else ("id", "user")
    first, end = window
    found, notes = [[_NONE] * len(columns)], [_UNKNOWN[:0]]

    def read_index(until: int) -> None:
        if first >= until:  # as between two days: a statement less
            return
        more = _in_index(db, columns, (first, until), routes)
        found.extend(more)
        notes.extend(np.broadcast_to(_UNKNOWN, (len(part[0]), 4)) for part in more)

    whole = with_routes or routes is not None
    for start, until, noted in sealed_failures.stretches(db, time_of(first), time_of(end), whole=whole):
        read_index(ids(start, until)[0])
        kept = [*noted[: len(columns)], *([np.stack(noted[3:], axis=1)] if with_routes else [])]
        if routes is not None:
            keep = among(noted[2], np.array(sorted(routes), np.int64))
            kept = [column[keep] for column in kept]
        found.append(kept[: len(columns)])
        notes += kept[len(columns) :]
        first = ids(start, until)[1]
    read_index(end)
    read = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    persons = people.persons(read[1])
    return Failed(read[0], persons, *((read[2], np.concatenate(notes)) if with_routes else (_NONE, _UNKNOWN[:0])))


def _in_index(
    db: sqlite3.Connection,
    columns: Sequence[str],
    window: tuple[int, int],
    routes: Sequence[int] | None,
) -> list[list[np.ndarray]]:
    """These columns of the failed requests in a range of keys, in pieces."""
    only, values = "", list[Any]()
    if routes is not None:
        only = " AND route IN (SELECT value FROM json_each(?))"
        values.append(json.dumps(list(routes)))
    # One text for each column: a Python tuple with three numbers for each row would take three times as long.
    texts = ", ".join(f"group_concat({column})" for column in columns)
    sql = f"SELECT {texts} FROM (SELECT {', '.join(columns)} {_INDEXED}{only} ORDER BY id LIMIT {_CHUNK})"
    first, end = window
    found = list[list[np.ndarray]]()
    while (row := db.execute(sql, (first, end, *values)).fetchone())[0] is not None:
        found.append([np.fromstring(text, np.int64, sep=",") for text in row])
        first = int(found[-1][0][-1]) + 1
        if len(found[-1][0]) < _CHUNK:
            break
    return found


_NONE = np.zeros(0, np.int64)
_UNKNOWN = np.array([[-1, 0, 0, 0]], np.int64)


def events_of(
    db: sqlite3.Connection, people: People, failed: Failed, names: Mapping[int, str] | None = None
) -> FailedEvents:
    """These failed events grouped by person, in the given order; `names` maps the numbers of all these persons to
    names, if they are known."""
    table = rows_of(db, people, failed)
    table = table[in_order(table[:, 1])]
    reasons = db.execute(TEXTS, (json.dumps(distinct(table[:, 5]).tolist()),))
    why = _by_number((number, Failure(*reason)) for number, *reason in reasons)
    routes = all_routes(db).items()
    where = [
        _by_number((number, getattr(route, part)) for number, route in routes)
        for part in ("endpoint", "method", "feature")
    ]
    first = np.flatnonzero(begins(table[:, 1]))
    persons = table[first, 1].tolist()
    who = names_of(db, people, persons) if names is None else names
    keys, _, route, status, duration, failure, latency = table.T
    rows = keys >> SEQUENCE_BITS, route, status % 1000, duration, failure, latency
    return FailedEvents([who[person] for person in persons], [*first.tolist(), len(table)], rows, where, why)


def rows_of(db: sqlite3.Connection, people: People, failed: Failed) -> np.ndarray:
    """One row for each of these failed events, in the given order: key, person number, route, stored status, duration,
    failure and latency (-2: unknown). `failed` must have been read with routes."""
    noted = failed.noted[:, 0] >= 0 if len(failed.noted) else np.zeros(len(failed.ids), bool)
    known = failed.where(np.flatnonzero(noted))
    table = np.column_stack((known.ids, known.persons, known.routes, known.noted)) if noted.any() else _NO_ROWS
    unknown = failed.ids[~noted]
    read = np.array(db.execute(_ROWS, (json.dumps(unknown.tolist()),)).fetchall() or _NO_ROWS, np.int64)
    read[:, 1] = people.persons(read[:, 1])
    table = np.concatenate((table, read))
    if len(table) > len(read) > 0:
        table = table[np.argsort(table[:, 0], kind="stable")]
    return table


def _by_number(pairs: Iterable[tuple[int, Any]]) -> np.ndarray:
    """An object array with each value at its number."""
    found = dict(pairs)
    objects = np.empty(max(found, default=-1) + 1, object)
    for number, value in found.items():
        objects[number] = value
    return objects


_NO_ROWS = np.zeros((0, 7), np.int64)
