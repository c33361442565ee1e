"""The exact totals of a window in SQLite: from the longest sealed buckets inside it, and from single events."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from guardian.core.storage import WindowGone
from guardian.core.summary import WEBSOCKET
from guardian.core.totals import ALL, Part, Totals
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import AT_US, DAY, HOUR, MINUTES5, SPANS, ids, meta, time_of
from guardian.stores.sqlite.covering import Piece, cover, pieces, runs
from guardian.stores.sqlite.lone_events import kept_hours
from guardian.stores.sqlite.numbers import read_numbers

if TYPE_CHECKING:
    from guardian.stores.sqlite.people import People

_FIRST_AND_LAST = "SELECT (SELECT min(id) FROM guardian_request), (SELECT max(id) FROM guardian_request)"
LATENCY = f"coalesce(latency_us, CASE WHEN status % 1000 = {WEBSOCKET} THEN -1 ELSE duration_us END)"
"""The SQL for an event's latency, from its row in guardian_request; -1 if it is unknown."""
_COLUMNS = (
    "{key}", "user", "status", "duration_us", "route",
    # Of most requests the latency is the duration (see LATENCY): few have one that has to be read.
    "CASE WHEN latency_us IS NOT NULL THEN {key} END", "latency_us",
)  # fmt: skip
_WITHOUT_ROUTES = frozenset({Part.PEOPLE, Part.TIMES})
CHUNK = 50_000
"""How many events are loaded at a time."""


def read_raw(
    db: sqlite3.Connection,
    start_us: int,
    end_us: int,
    routes: Sequence[int] | None = None,
    people: People | None = None,
    parts: Collection[Part] = ALL,
) -> Totals:
    """The totals of [start, end) from single events, as far as these parts give them; with `routes` (dictionary
    numbers), only of those. With `people`, here and below, all ids of a person count as one.
    """
    if routes is None and seals.count(db, start_us, end_us) <= CHUNK:
        at, user, route, status, duration, latency = event_columns(db, start_us, end_us, parts)
        user = user if people is None else people.persons(user)
        return Totals.counted(at, user, route, status, duration, latency, parts)
    only = "" if routes is None else "AND route IN (SELECT value FROM json_each(?))"
    columns = f"{AT_US}, user, route, status, duration_us, {LATENCY}"
    rows = f"SELECT {columns} FROM guardian_request WHERE id >= ? AND id < ? {only}"
    values = ids(start_us, end_us) if routes is None else (*ids(start_us, end_us), json.dumps(list(routes)))
    cursor = db.execute(f"{rows} ORDER BY id", values)
    found = []
    while chunk := cursor.fetchmany(CHUNK):
        table = np.fromiter(chain.from_iterable(chunk), np.int64, 6 * len(chunk)).reshape(-1, 6)
        if people is not None:
            table[:, 1] = people.persons(table[:, 1])
        at, user, route, status, duration, latency = table.T
        found.append(Totals.counted(at, user, route, status, duration, latency, parts))
    return Totals.merge(found)


def read_single(
    db: sqlite3.Connection, piece: Piece, people: People | None = None, parts: Collection[Part] = ALL
) -> Totals:
    """The same of a piece of single events, which may be kept. Call it inside the transaction that found it."""
    kept = kept_hours.columns(db, piece, 6)
    if kept is None:
        return read_raw(db, piece.start, piece.end, people=people, parts=parts)
    at, user, status, route, duration, latency = kept
    return Totals.counted(
        at + piece.start // HOUR * HOUR, user if people is None else people.persons(user),
        route, status, duration, latency, parts,
    )  # fmt: skip


def event_columns(
    db: sqlite3.Connection, start: int, end: int, parts: Collection[Part] = ALL
) -> tuple[np.ndarray, ...]:
    """What `Totals.counted` takes of the events in [start, end) for these parts, in the order of time, read at once: in
    half the time that they take row by row, or a third where no routes are asked for. Raises ValueError if a row holds
    something that is not a number."""
    first, last = ids(start, end)
    number = 7 if Part.DURATIONS in parts else 4 if _WITHOUT_ROUTES.issuperset(parts) else 5
    wanted = [each.format(key=f"id - {first}") for each in _COLUMNS[:number]]
    key, user, status, duration, *more = read_numbers(db, wanted, "id >= ? AND id < ?", (first, last))
    route = more[0] if more else user
    special, latencies = more[1:] or (key[:0], key[:0])
    at = time_of(key + first)
    if not np.all(key[1:] > key[:-1]):
        place = np.argsort(key, kind="stable")
        key, at, user, route, status, duration = (each[place] for each in (key, at, user, route, status, duration))
    latency = np.where(status % 1000 == WEBSOCKET, -1, duration)
    latency[np.searchsorted(key, special)] = latencies
    return at, user, route, status, duration, latency


def read_totals(
    db: sqlite3.Connection,
    start_us: int,
    end_us: int,
    people: People | None = None,
    parts: Collection[Part] = ALL,
) -> Totals:
    """The exact totals of [start, end), as far as these parts give them: from the longest sealed buckets inside it, and
    single events where none fits. Call it inside a transaction, since seals and events must be from one state. Raises
    WindowGone if an edge needs what retention has deleted.
    """
    return Totals.merge([part for _, part in read_pieces(db, pieces(db, start_us, end_us), people, parts)])


def read_pieces(
    db: sqlite3.Connection, made: Sequence[Piece], people: People | None = None, parts: Collection[Part] = ALL
) -> Iterator[tuple[Piece, Totals]]:
    """The totals of each of these pieces, in order. Call it inside the transaction that found them."""
    for span, start, end in runs(made):
        if not span:
            yield Piece(start, end, 0), read_raw(db, start, end, people=people, parts=parts)
            continue
        for at, part in seals.read_run(db, span, start, end, parts):
            yield Piece(at, at + span, span), part if people is None else people.joined(db, part, at, span)


def count_events(db: sqlite3.Connection) -> int:
    """How many single events are stored. Does not visit those in sealed buckets. Call it inside a transaction."""
    first, last = db.execute(_FIRST_AND_LAST).fetchone()
    if first is None:
        return 0
    # Sealed buckets before that count events that are already deleted.
    purged, sealed = meta(db, "purged_until_us"), meta(db, "sealed_until_us")
    number = seals.count(db, 0, purged)
    dirty = db.execute("SELECT start_us FROM guardian_dirty WHERE start_us >= ? ORDER BY start_us", (purged,))
    start, end = max(purged, time_of(first) // DAY * DAY), time_of(last) + 1
    for span, at, until in runs(list(cover(db, start, end, SPANS, sealed, [at for (at,) in dirty]))):
        number += seals.requests(db, span, at, until) if span else seals.count(db, at, until)
    return number


def read_routes(
    db: sqlite3.Connection, start_us: int, end_us: int, routes: Sequence[int], people: People | None = None
) -> Totals:
    """The exact totals of these routes in [start, end), from single events: summaries do not say which of a user's
    errors, and how much of their time, belong to a route. Call it inside a transaction. Raises WindowGone if retention
    has deleted events of the window.
    """
    refuse_gone(db, start_us, end_us)
    return read_raw(db, start_us, end_us, routes, people)


def refuse_gone(db: sqlite3.Connection, start_us: int, end_us: int) -> None:
    """Raises WindowGone if retention has deleted single events of [start, end)."""
    purged, forgotten = meta(db, "purged_until_us"), meta(db, "forgotten_until_us")
    gone = seals.starts(db, MINUTES5, start_us - MINUTES5 + 1, min(end_us, purged))
    if gone or start_us < forgotten:
        raise WindowGone(
            "the single events of this window have been deleted (see retention.events_days), and a report of some "
            "features alone counts them: let retention.events_days be longer than its period"
        )


def count_outcomes(db: sqlite3.Connection, piece: Piece, routes: Sequence[int] | None) -> dict[int, int]:
    """The number of events by outcome in a piece of single events; `routes` as in `read_raw`."""
    if routes is None and (kept := kept_hours.columns(db, piece, 3)):
        numbers = np.bincount(kept[2])
        return {outcome: int(numbers[outcome]) for outcome in np.flatnonzero(numbers).tolist()}
    only = "" if routes is None else "AND route IN (SELECT value FROM json_each(?))"
    values = ids(*piece[:2]) if routes is None else (*ids(*piece[:2]), json.dumps(list(routes)))
    return dict(
        db.execute(f"SELECT status, count(*) FROM guardian_request WHERE id >= ? AND id < ? {only} GROUP BY 1", values)
    )
