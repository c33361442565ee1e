"""Small facts from a SQLite file: when the first event and each error came, and the last heartbeats of recorders."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns
from guardian.alerting.history import History, first_sightings
from guardian.core.clock import SLACK
from guardian.stores.history import ALIVE_US
from guardian.stores.sqlite.buckets import EVER, ids, time_of
from guardian.stores.sqlite.connections import in_one_state
from guardian.stores.sqlite.earlier import narrowed, sealed
from guardian.stores.sqlite.imported import OWN
from guardian.stores.sqlite.routes import all_features
from guardian.stores.sqlite.sealed_failures import stretches

_FAILED = "id >= ? AND id < ? AND failure IS NOT NULL"
_ROUTE_BITS = 32


def _places(db: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """For each failure its kind and the innermost line of its location ("" if no exception was seen)."""
    rows = db.execute("SELECT id, kind, location FROM guardian_failure")
    return {number: (kind, location.rsplit("\n", 1)[-1]) for number, kind, location in rows}


def read_first_sightings(db: sqlite3.Connection, only: str = "") -> dict[tuple[str, str], int]:
    """When each (kind, place) of error was first recorded, µs."""
    if not db.in_transaction:
        return in_one_state(db, lambda same: read_first_sightings(same, only))
    places, feature_of = _places(db), all_features(db)
    seen: dict[tuple[str, str], int] = {}
    for failure, route, event in _first_events(db, narrowed(db, only)):
        if failure not in places or route not in feature_of:
            continue
        kind, location = places[failure]
        what = (kind, location or feature_of[route])
        seen[what] = min(seen.get(what, time_of(event)), time_of(event))
    return seen


def _first_events(db: sqlite3.Connection, only: str) -> Iterator[tuple[int, int, int]]:
    """The number of a failure, that of a route, and the key of their first event, for all that there are in each
    stretch of time: one by one in the index where the failed requests are not noted by column too."""
    edge = 0
    noted = stretches(db, 0, EVER, keep=False) if sealed(db, only)[0] else ()  # a daemon reads them once
    for start, end, (keys, _, routes, _, _, failures, _) in noted:
        yield from _first_in_index(db, edge, start, only)
        pairs, first = np.unique(failures << _ROUTE_BITS | routes, return_index=True)
        for pair, key in zip(pairs.tolist(), keys[first].tolist(), strict=True):
            yield pair >> _ROUTE_BITS, pair & (1 << _ROUTE_BITS) - 1, key
        edge = end
    yield from _first_in_index(db, edge, EVER, only)


def _first_in_index(db: sqlite3.Connection, start_us: int, end_us: int, only: str) -> Iterator[tuple[int, int, int]]:
    if start_us < end_us:
        sql = f"SELECT failure, route, min(id) FROM guardian_request WHERE {_FAILED} {only} GROUP BY failure, route"
        yield from db.execute(sql, ids(start_us, end_us))


def grown_sightings(
    history: History, pieces: Iterable[Columns], db: sqlite3.Connection, first: int | None
) -> Mapping[tuple[str, str], int]:
    """The known first sightings and the new ones in the pieces; reads all again if retention has deleted events of
    some."""
    if first is None or min(history.first_seen.values(), default=first) < first:
        return read_first_sightings(db, OWN)
    seen = dict(history.first_seen)
    for piece in pieces:
        for what, at in first_sightings(piece).items():
            seen[what] = min(at, seen.get(what, at))
    return seen


def read_first_event(db: sqlite3.Connection, only: str = "") -> int | None:
    """When (µs) the oldest stored event ended; None for an empty database."""
    (oldest,) = db.execute(f"SELECT min(id) FROM guardian_request WHERE true {only}").fetchone()
    return None if oldest is None else time_of(oldest)


def grown_first_event(history: History, pieces: Iterable[Columns], db: sqlite3.Connection) -> int | None:
    """When (µs) the oldest event ended that was not imported; `pieces` are those of them that came since. Where it is
    the known one, nothing is searched: all that was imported may lie before it."""
    known = history.first_event_us
    if not narrowed(db, OWN) or not (known is None or _there(db, known)):
        return read_first_event(db, OWN)
    found = [int(piece.at_us[0]) for piece in pieces if len(piece)]
    return min(found if known is None else [known, *found], default=None)


def _there(db: sqlite3.Connection, at_us: int) -> bool:
    """Whether there is an event of this moment that was not imported."""
    sql = f"SELECT 1 FROM guardian_request WHERE id >= ? AND id < ? {OWN}"
    return db.execute(sql, ids(at_us, at_us + 1)).fetchone() is not None


def read_heartbeats(db: sqlite3.Connection, end: int) -> list[int]:
    """The latest heartbeat (µs) of each recorder, ascending; `end` is the minute that ended last. Leaves out heartbeats
    from a clock that ran ahead, which would make a dead app look alive.
    """
    latest = (end + 2) * MINUTE_US + SLACK // timedelta(microseconds=1)  # the next minute is already under way
    return sorted(seen for (seen,) in db.execute("SELECT seen_us FROM guardian_recorder WHERE seen_us <= ?", (latest,)))


def read_stored_until(db: sqlite3.Connection, now_us: int) -> int:
    """When (µs) the process that is furthest behind last stored something: the one silent longest among living
    processes with a backlog. `now_us` if there is none."""
    sql = "SELECT min(seen_us) FROM guardian_recorder WHERE seen_us BETWEEN ? AND ? AND accepted > stored + dropped"
    (seen,) = db.execute(sql, (now_us - ALIVE_US, now_us)).fetchone()
    return now_us if seen is None else int(seen)
