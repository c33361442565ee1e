"""The rows of sealed summaries. Each part of a bucket's totals is a row of its own, so readers only load what they
show.

Times are Unix microseconds. A bucket without events has no row. Neither have the 5 minutes of a lone hour
(see `lone_hours`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import chain, islice, pairwise
from typing import NamedTuple

import numpy as np

from guardian.core.codec.table import Table, joined
from guardian.core.totals import ALL, COLUMNS, Part, Totals
from guardian.stores.sqlite.buckets import DAY, EVER, SPANS, ids
from guardian.stores.sqlite.connections import in_one_state
from guardian.stores.sqlite.decoded import Decoded, decoded
from guardian.stores.sqlite.listed import Listed, Range, Stretch, starts_of
from guardian.stores.sqlite.seal_keys import seal_key, seal_range, seal_start
from guardian.stores.sqlite.seal_marks import read_marks

FAILED = 5
"""A part besides those of `Part`, for days and the latest hours: the failed requests (see `sealed_failures`)."""
STORED = (*Part, FAILED)
"""All parts that a bucket may have."""
WHERE = "id >= ? AND id < ?"
"""The rows of a part and a length, by the range of their keys (`seal_range`)."""
_IN = """
    FROM json_each(?) j CROSS JOIN guardian_seal s
        ON s.id >= json_extract(j.value, '$[0]') AND s.id < json_extract(j.value, '$[1]')
"""
_ENDS = f"SELECT (SELECT min(id) FROM guardian_seal WHERE {WHERE}), (SELECT max(id) FROM guardian_seal WHERE {WHERE})"
_LONG = 400 * DAY
_BODIES = "SELECT s.id, s.body FROM json_each(?) j CROSS JOIN guardian_seal s ON s.id = j.value"
_FILE_BYTES = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_listed = Listed()


def starts(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> list[int]:
    """The starts of the buckets of this length in [start, end) that have events, ascending."""
    found = db.execute(f"SELECT id FROM guardian_seal WHERE {WHERE} ORDER BY id", _range(span_us, start_us, end_us))
    return [seal_start(key) for (key,) in found]


def count(db: sqlite3.Connection, start_us: int, end_us: int) -> int:
    """How many single events of [start, end) are stored."""
    sql = "SELECT count(*) FROM guardian_request WHERE id >= ? AND id < ?"
    number: int = db.execute(sql, ids(start_us, end_us)).fetchone()[0]
    return number


def more_than(number: int, db: sqlite3.Connection, start_us: int, end_us: int) -> bool:
    """Whether more than so many single events of [start, end) are stored. The rest of them are not counted."""
    sql = "SELECT 1 FROM guardian_request WHERE id >= ? AND id < ? LIMIT 1 OFFSET ?"
    return db.execute(sql, (*ids(start_us, end_us), number)).fetchone() is not None


def starts_in(db: sqlite3.Connection, ranges: Sequence[Range]) -> list[list[int]]:
    """The same for each of these ranges, by one query for those that are not kept."""
    return [starts_of(each) for each in in_one_state(db, lambda db: _stretches(db, ranges))] if ranges else []


def _stretches(db: sqlite3.Connection, ranges: Sequence[Range]) -> list[list[Stretch]]:
    def fetch(some: Sequence[Range]) -> Iterator[tuple[int, int]]:
        rows = db.execute(f"SELECT j.key, s.id {_IN}", (_keys(Part.STATUSES, some),))
        return ((place, seal_start(key)) for place, key in rows)

    asked = [clipped(db, *each) for each in ranges]
    marks = read_marks(db, min(start for _, start, _ in asked), max(end for _, _, end in asked))
    return _listed.stretches(marks, asked, fetch)


def clipped(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> Range:
    """The same buckets; of a range of years only from the first to the last bucket that there is."""
    if end_us - start_us <= _LONG:
        return span_us, start_us, end_us
    keys = _range(span_us, start_us, end_us)
    first, last = db.execute(_ENDS, keys * 2).fetchone()
    return span_us, *((start_us, start_us) if first is None else (seal_start(first), seal_start(last) + 1))


class Stored(NamedTuple):
    """The buckets' starts, and what is inside of a part of each."""

    starts: list[int]
    tables: list[Table]


def tables_in(db: sqlite3.Connection, part: Part, ranges: Sequence[Range]) -> list[Stored]:
    """What is stored of a part for the buckets of each range, in order and by one query for those that are not kept."""

    def read(db: sqlite3.Connection) -> list[Stored]:
        listed = _stretches(db, ranges)
        tables = iter(tables_of(db, part, list(chain.from_iterable(listed))))
        return [Stored(starts_of(some), list(chain.from_iterable(islice(tables, len(some))))) for some in listed]

    return in_one_state(db, read) if ranges else []


def tables_of(
    db: sqlite3.Connection, part: int, stretches: Sequence[Stretch], *, keep: bool = True
) -> list[list[Table]]:
    """What is inside of this part of the buckets of each stretch. Call it in the transaction that listed them. Without
    `keep` nothing of it stays in the cache, nor pushes out what is there."""

    def fetch(keys: Sequence[int]) -> Iterable[tuple[int, bytes]]:
        if keep:
            decoded().make_room(db.execute(_FILE_BYTES).fetchone()[0])
        return db.execute(_BODIES, (json.dumps(keys),))

    return (decoded() if keep else Decoded(0)).tables(part, stretches, fetch)


def _keys(part: int, ranges: Sequence[Range]) -> str:
    return json.dumps([seal_range(part, *each) for each in ranges])


def _range(span_us: int, start_us: int, end_us: int) -> tuple[int, int]:
    """The keys that say which buckets of [start, end) have events: each has this part."""
    return seal_range(Part.STATUSES, span_us, start_us, end_us)


def read(db: sqlite3.Connection, span_us: int, start_us: int, parts: Collection[Part] = ALL) -> Totals:
    """The totals of one bucket, as far as these parts give them. Raises ValueError or zlib.error if one is damaged."""
    found = [totals for _, totals in read_run(db, span_us, start_us, start_us + 1, parts)]
    return found[0] if found else Totals.of([])


class Run(NamedTuple):
    """Columns of one part for a run of buckets: the buckets' starts, their concatenated rows, and the row numbers at
    which the buckets begin (and the last one ends)."""

    starts: list[int]
    columns: list[np.ndarray]
    edges: list[int]


def run(db: sqlite3.Connection, part: Part, span_us: int, start_us: int, end_us: int, wanted: Collection[int]) -> Run:
    """These columns of a part for the buckets of this length in [start, end) that have events, in order. Raises
    ValueError or zlib.error if one is damaged.
    """
    [stored] = tables_in(db, part, [(span_us, start_us, end_us)])
    return Run(stored.starts, *joined(stored.tables, wanted))


def columns(
    db: sqlite3.Connection, part: Part, span_us: int, start_us: int, end_us: int, wanted: Collection[int]
) -> list[np.ndarray]:
    """Only the columns of `run`."""
    return run(db, part, span_us, start_us, end_us, wanted).columns


def read_run(
    db: sqlite3.Connection, span_us: int, start_us: int, end_us: int, parts: Collection[Part] = ALL
) -> Iterator[tuple[int, Totals]]:
    """The buckets of this length that begin in [start, end), of one state: (start, totals), in order."""
    found = in_one_state(db, lambda db: _columns_in(db, span_us, start_us, end_us, parts))
    for start, tables_of in found.items():
        yield start, Totals.of_columns(tables_of)


def _columns_in(
    db: sqlite3.Connection, span_us: int, start_us: int, end_us: int, parts: Collection[Part]
) -> dict[int, dict[Part, Sequence[np.ndarray]]]:
    found: dict[int, dict[Part, Sequence[np.ndarray]]]
    found = {start: {} for start in starts(db, span_us, start_us, end_us)}
    for part in parts:
        tables = run(db, part, span_us, start_us, end_us, range(COLUMNS[part]))
        for start, (a, b) in zip(tables.starts, pairwise(tables.edges), strict=True):
            found[start][part] = [column[a:b] for column in tables.columns]
    return found


def bodies(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> list[tuple[int, int, bytes]]:
    """The rows of the buckets that begin in [start, end), with bodies as stored: (start, part, body)."""
    sql = f"SELECT id, body FROM guardian_seal WHERE {WHERE} ORDER BY id"
    return [
        (seal_start(key), int(part), body)
        for part in Part
        for key, body in db.execute(sql, seal_range(part, span_us, start_us, end_us))
    ]


def put(db: sqlite3.Connection, span_us: int, start_us: int, totals: Totals) -> int:
    """Replace the totals of a bucket. Returns 1; for empty totals, which delete the bucket, the number of buckets
    deleted."""
    if not len(totals.users):
        keys = [(seal_key(part, span_us, start_us),) for part in STORED]
        return int(db.executemany("DELETE FROM guardian_seal WHERE id = ?", keys).rowcount > 0)
    store(db, span_us, start_us, packed(totals))
    return 1


Packed = Sequence[tuple[int, int, bytes]]
"""Totals as they are stored, for each part: its number, the number of requests, its body."""


def packed(totals: Totals) -> Packed:
    """Totals that are not empty, as they are stored. This is the slow part of `put`: do it before the transaction."""
    requests = int(totals.users[:, 1].sum())
    return [(part, requests, body) for part, body in totals.pack().items()]


def store(db: sqlite3.Connection, span_us: int, start_us: int, rows: Packed) -> None:
    """Replace the totals of a bucket."""
    bound = [(seal_key(part, span_us, start_us), requests, body) for part, requests, body in rows]
    db.executemany("REPLACE INTO guardian_seal (id, requests, body) VALUES (?, ?, ?)", bound)


def copy(db: sqlite3.Connection, inner_us: int, at_us: int, span_us: int, start_us: int) -> None:
    """Store the bucket of `inner_us` that begins at `at_us` as that of `span_us` from `start_us` on: all of it."""
    keys = [(seal_key(part, span_us, start_us), seal_key(part, inner_us, at_us)) for part in Part]
    sql = "REPLACE INTO guardian_seal (id, requests, body) SELECT ?, requests, body FROM guardian_seal WHERE id = ?"
    db.executemany(sql, keys)


def requests(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> int:
    """The number of requests in the buckets of this length that begin in [start, end)."""
    sql = f"SELECT coalesce(sum(requests), 0) FROM guardian_seal WHERE {WHERE}"
    number: int = db.execute(sql, _range(span_us, start_us, end_us)).fetchone()[0]
    return number


def first(db: sqlite3.Connection, span_us: int) -> int | None:
    """When the first bucket of this length begins; None if there is none."""
    (key,) = db.execute(f"SELECT min(id) FROM guardian_seal WHERE {WHERE}", _range(span_us, 0, EVER)).fetchone()
    return None if key is None else seal_start(key)


def delete(db: sqlite3.Connection, before_us: int) -> None:
    """Delete the buckets that begin before this moment."""
    keys = [seal_range(part, span, 0, before_us) for part in STORED for span in SPANS]
    db.executemany(f"DELETE FROM guardian_seal WHERE {WHERE}", keys)


def people(db: sqlite3.Connection) -> Iterator[set[int]]:
    """The numbers of the people in each bucket, newest bucket first."""
    buckets = [(start, span) for span in SPANS for start in starts(db, span, 0, EVER)]
    for start, span in sorted(buckets, reverse=True):
        yield set(read(db, span, start, (Part.PEOPLE,)).users[:, 0].tolist())
