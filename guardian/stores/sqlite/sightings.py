"""Small facts from a SQLite file: when the first event and each error came, and the last heartbeats of recorders."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import timedelta

from guardian.alerting.columns import MINUTE_US, Columns
from guardian.alerting.history import History, first_sightings
from guardian.core.clock import SLACK
from guardian.stores.history import ALIVE_US
from guardian.stores.sqlite.buckets import time_of
from guardian.stores.sqlite.imported import OWN
from guardian.stores.sqlite.routes import all_features


def _places(db: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """For each failure its kind and the innermost line of its location ("" if no exception was seen)."""
    rows = db.execute("SELECT id, kind, location FROM guardian_failure")
    return {number: (kind, location.rsplit("\n", 1)[-1]) for number, kind, location in rows}


def read_first_sightings(db: sqlite3.Connection, only: str = "") -> dict[tuple[str, str], int]:
    """When each (kind, place) of error was first recorded, µs."""
    places, feature_of = _places(db), all_features(db)
    seen: dict[tuple[str, str], int] = {}
    for failure, route, event in db.execute(
        f"SELECT failure, route, min(id) FROM guardian_request WHERE failure IS NOT NULL {only} GROUP BY failure, route"
    ):
        if failure not in places or route not in feature_of:
            continue
        kind, location = places[failure]
        what = (kind, location or feature_of[route])
        seen[what] = min(seen.get(what, time_of(event)), time_of(event))
    return seen


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
