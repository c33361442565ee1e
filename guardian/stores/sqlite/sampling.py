"""A bounded sample of a window's requests from SQLite: as fast for a day of millions as for an hour."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import TypeVar

import numpy as np

from guardian.alerting.sample import Place, Released, Route, Sample, place
from guardian.core.counting import distinct
from guardian.core.summary import WEBSOCKET
from guardian.stores.people.aliases import Aliases
from guardian.stores.sqlite.buckets import ids
from guardian.stores.sqlite.numbers import read_numbers
from guardian.stores.sqlite.people import person_names
from guardian.stores.sqlite.routes import all_routes
from guardian.stores.sqlite.singles import PACKED, unpacked
from tracker.event import ANONYMOUS
from tracker.source import Source
from tracker.sqlite.dictionaries import OTHER
from tracker.sqlite.keys import SEQUENCE_BITS

Name = TypeVar("Name")

_SLICES = 100
"""If a window has too many requests, it is split into this many stretches, and only the start of each is read."""
LATENCY = "coalesce(latency_us, duration_us)"
TIMED = f"status < 400 AND status != {WEBSOCKET} AND {LATENCY} >= 0"
"""The SQL for a request's latency, and for whether it is a good request with a known latency."""
_COLUMNS = ("id", PACKED, LATENCY, "coalesce(failure, -1)", "coalesce(source, -1)")


def read_sample(db: sqlite3.Connection, start_us: int, end_us: int, most: int, aliases: Aliases) -> Sample:
    """At most `most` requests of [start, end), at most half of them failed and half good: see `HistoryStore.sample`."""
    parts = [_rows(db, start_us, end_us, most // 2, which) for which in ("NOT NULL", "NULL")]
    table = np.concatenate([rows for rows, _ in parts])
    return _sample(db, table, np.concatenate([weight for _, weight in parts]), aliases)


def read_failed_page(
    db: sqlite3.Connection, first: int, end: int, *, most: int, aliases: Aliases
) -> tuple[Sample, int]:
    """The first failed requests with keys in [first, end), at most `most`, and the key at which to continue: `end` if
    these are all."""
    page = (
        "SELECT id FROM guardian_request WHERE id >= ? AND id < ? AND failure IS NOT NULL ORDER BY id LIMIT 1 OFFSET ?"
    )
    until = (db.execute(page, (first, end, most)).fetchone() or (end,))[0]
    table = np.stack(read_numbers(db, _COLUMNS, "id >= ? AND id < ? AND failure IS NOT NULL", (first, until)), axis=1)
    return _sample(db, table, np.ones(len(table)), aliases), until


def read_slow_page(
    db: sqlite3.Connection,
    first: int,
    end: int,
    *,
    over_us: float,
    feature: str | None,
    most: int,
    aliases: Aliases,
) -> tuple[Sample, int]:
    """The same for good requests that took longer than `over_us`, of this feature or of all."""
    only = "" if feature is None else "AND route IN (SELECT id FROM guardian_route WHERE feature = ?)"
    cursor = db.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM guardian_request "
        f"WHERE id >= ? AND id < ? AND {TIMED} AND {LATENCY} > ? {only} ORDER BY id LIMIT ?",
        (first, end, over_us, *(() if feature is None else (feature,)), most),
    )
    table = np.fromiter(chain.from_iterable(cursor), dtype=np.int64).reshape(-1, 5)
    return _sample(db, table, np.ones(len(table)), aliases), int(table[-1, 0]) + 1 if len(table) == most else end


def _sample(db: sqlite3.Connection, table: np.ndarray, weight: np.ndarray, aliases: Aliases) -> Sample:
    user, route, status = unpacked(table[:, 1])
    user, users = _named(user, _people(db, user, aliases), ANONYMOUS)
    route, routes = _named(route, _routes(db), (OTHER, OTHER, OTHER))
    source, sources = _named(table[:, 4], _sources(db), Source())
    failure, failures = _named(table[:, 3], _failures(db, table[:, 3]), (OTHER, ""))
    return Sample(
        table[:, 0] >> SEQUENCE_BITS, user, route, source, status, table[:, 2], failure, weight,
        users, routes, sources, failures,
    )  # fmt: skip


def read_releases(db: sqlite3.Connection, start_us: int, end_us: int) -> list[Released]:
    """See `HistoryStore.releases`."""
    found = db.execute(
        "SELECT release, min(first_us) AS at_us FROM guardian_source "
        "WHERE release NOT IN ('', ?) AND first_us IS NOT NULL GROUP BY release ORDER BY at_us, release",
        (OTHER,),
    ).fetchall()
    return [Released(*row) for row in found[1:] if start_us <= row[1] < end_us]


def _rows(db: sqlite3.Connection, start_us: int, end_us: int, most: int, which: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the failed or the good requests, and how many requests each row stands for."""
    more = f"SELECT 1 FROM guardian_request WHERE id >= ? AND id < ? AND failure IS {which} LIMIT 1 OFFSET ?"
    if db.execute(more, (*ids(start_us, end_us), most)).fetchone() is None:
        rows = _read(db, [(start_us, end_us)], most, which)[:, 1:]
        return rows, np.ones(len(rows))
    # The start of each stretch stands for all of it, weighted by the share of its time that was read.
    edges = list(pairwise(np.linspace(start_us, end_us, _SLICES + 1).astype(np.int64).tolist()))
    some = max(most // _SLICES, 1)
    table = _read(db, edges, some + 1, which)
    found, weights = [], []
    places = np.searchsorted(table[:, 0], range(_SLICES + 1)).tolist()
    for (first, last), (low, high) in zip(edges, pairwise(places), strict=True):
        times = 1.0
        if high - low > some:  # the time read ends at the first row left out
            times = (last - first) / max(int(table[high - 1, 1] >> SEQUENCE_BITS) - first, 1)
            high -= 1
        found.append(table[low:high, 1:])
        weights.append(np.full(high - low, times))
    return np.concatenate(found), np.concatenate(weights)


def _read(db: sqlite3.Connection, stretches: Sequence[tuple[int, int]], most: int, which: str) -> np.ndarray:
    """At most so many rows of each stretch, in order, each after the stretch's place, by one statement."""
    cursor = db.execute(
        f"SELECT place, {', '.join(_COLUMNS)} FROM (SELECT key AS place, json_extract(value, '$[0]') AS low, "
        "json_extract(value, '$[1]') AS high FROM json_each(?)) CROSS JOIN guardian_request ON id IN (SELECT id FROM "
        f"guardian_request WHERE id >= low AND id < high AND failure IS {which} ORDER BY id LIMIT ?)",
        (json.dumps([ids(*each) for each in stretches]), most),
    )
    table = np.fromiter(chain.from_iterable(cursor), dtype=np.int64).reshape(-1, 6)
    return table[np.argsort(table[:, 1], kind="stable")]


def _named(numbers: np.ndarray, names: dict[int, Name], otherwise: Name) -> tuple[np.ndarray, list[Name]]:
    """The index of each number's name (-1 for the number -1), and the names; `otherwise` for a deleted one."""
    different, inverse = np.unique(numbers, return_inverse=True)
    found: dict[Name, int] = {}
    codes = [
        -1 if number < 0 else found.setdefault(names.get(number, otherwise), len(found))
        for number in different.tolist()
    ]
    return np.array(codes, dtype=np.int64)[inverse], [*found]


def _people(db: sqlite3.Connection, numbers: np.ndarray, aliases: Aliases) -> dict[int, str]:
    return person_names(db, aliases, distinct(numbers).tolist())


def _routes(db: sqlite3.Connection) -> dict[int, Route]:
    return {number: (route.endpoint, route.method, route.feature) for number, route in all_routes(db).items()}


def _sources(db: sqlite3.Connection) -> dict[int, Source]:
    return {number: Source(*pair) for number, *pair in db.execute("SELECT id, release, instance FROM guardian_source")}


def _failures(db: sqlite3.Connection, numbers: np.ndarray) -> dict[int, Place]:
    wanted = str([number for number in distinct(numbers).tolist() if number >= 0])
    found = db.execute(
        "SELECT f.id, f.kind, f.location FROM json_each(?) j JOIN guardian_failure f ON f.id = j.value", [wanted]
    )
    return {number: place(kind, location) for number, kind, location in found}
