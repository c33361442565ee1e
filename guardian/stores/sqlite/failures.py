"""The newest failed requests of each person in SQLite, picked from the index of failed ones alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

import numpy as np

from guardian.stores.sqlite.people import People
from tracker.event import Event, Failure
from tracker.sqlite.keys import SEQUENCE_BITS

_INDEXED = "SELECT id, user FROM guardian_request WHERE id >= ? AND id < ? AND failure IS NOT NULL"
_ROWS = """
    SELECT e.id, e.user, e.route, e.status % 1000, e.duration_us, e.failure, e.latency_us FROM json_each(?) j
    CROSS JOIN guardian_request e ON e.id = j.value
"""
_ROUTES = "SELECT id, endpoint, method, feature FROM guardian_route"
_FAILURES = "SELECT id, kind, message, location FROM guardian_failure WHERE id IN (SELECT value FROM json_each(?))"
_USERS = "SELECT id, email FROM guardian_user WHERE id IN (SELECT value FROM json_each(?))"


def newest_failures(
    db: sqlite3.Connection,
    people: People,
    window: tuple[int, int],
    *,
    per_person: int,
    users: Sequence[int] | None = None,
    routes: Sequence[int] | None = None,
) -> dict[str, list[Event]]:
    """The newest failed events of each person, at most so many, oldest first; `window` is of ids, [first, end).

    With `users` or `routes`, numbers of the dictionaries, of those alone.
    """
    only, values = "", [*window]
    for column, numbers in (("user", users), ("route", routes)):
        if numbers is not None:
            only += f" AND {column} IN (SELECT value FROM json_each(?))"
            values.append(json.dumps(list(numbers)))  # type: ignore[arg-type]
    table = np.array(db.execute(f"{_INDEXED}{only} ORDER BY id", values).fetchall(), np.int64).reshape(-1, 2)
    picked = _last_of_each(people.persons(table[:, 1]), per_person)
    rows = db.execute(_ROWS, (json.dumps(table[picked, 0].tolist()),)).fetchall()
    where = {row[0]: row[1:] for row in db.execute(_ROUTES)}
    why = {row[0]: Failure(*row[1:]) for row in db.execute(_FAILURES, (_distinct(rows, 5),))}
    who = {number: people.name(number, email) for number, email in db.execute(_USERS, (_distinct(rows, 1),))}
    found: dict[str, list[Event]] = {}
    for number, user, route, status, duration_us, failure, latency_us in rows:
        name, (endpoint, method, feature) = who[user], where[route]
        at_us = number >> SEQUENCE_BITS
        event = Event(at_us, name, endpoint, method, feature, status, duration_us, why[failure], latency_us)
        found.setdefault(name, []).append(event)
    return found


def _last_of_each(persons: np.ndarray, number: int) -> np.ndarray:
    """The places of the last so many of each person, in order."""
    order = np.argsort(persons, kind="stable")
    mine = persons[order]
    ends = np.flatnonzero(np.diff(mine, append=-1))
    last = np.repeat(ends, np.diff(ends, prepend=-1))
    return np.sort(order[last - np.arange(len(mine)) < number])


def _distinct(rows: Sequence[tuple[int, ...]], column: int) -> str:
    return json.dumps(list({row[column] for row in rows}))
