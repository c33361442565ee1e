"""The rows of sealed summaries. Each part of a bucket's totals is a row of its own, so readers only load what they
show.

Times are Unix microseconds. A bucket without events has no row.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from guardian.core.totals import ALL, COLUMNS, Part, Totals
from guardian.stores.sqlite.buckets import SPANS
from guardian.stores.sqlite.decoded import Key, decoded
from tracker.sqlite.connection import undo
from tracker.sqlite.migrations import migrate
from tracker.sqlite.schema import Migration

_MIGRATIONS: Sequence[Migration] = (
    (
        "summaries/0001_parts",
        """
        CREATE TABLE guardian_summary_part (part INTEGER NOT NULL, span_us INTEGER NOT NULL, start_us INTEGER NOT NULL,
                                            requests INTEGER NOT NULL, body BLOB NOT NULL,
                                            PRIMARY KEY (part, span_us, start_us)) WITHOUT ROWID;
        """,
    ),
)
FAILED = 5
"""A part besides those of `Part`, for days and the latest hours: the failed requests (see `sealed_failures`)."""
log = logging.getLogger("guardian.stores")

_OLD = 500
"""How many summaries of the previous layout are converted in one transaction."""
_PARTS, _STORED = (f"({', '.join(str(int(part)) for part in some)})" for some in (Part, (*Part, FAILED)))
WHERE = "part = ? AND span_us = ? AND start_us >= ? AND start_us < ?"
"""The rows of a part and a length that begin in [start, end)."""
_IN = """
    FROM json_each(?) j CROSS JOIN guardian_summary_part s
        ON s.part = {part} AND s.span_us = json_extract(j.value, '$[0]') AND s.start_us >= json_extract(j.value, '$[1]')
        AND s.start_us < json_extract(j.value, '$[2]')
"""
_STARTS_IN = f"SELECT j.key, s.start_us {_IN.format(part=int(Part.STATUSES))}"
_BODIES_IN = f"SELECT j.key, s.start_us, s.body {_IN.format(part='?')}"
Range = tuple[int, int, int]
"""(length, start, end): the buckets of this length that begin in [start, end)."""


def prepare(db: sqlite3.Connection) -> None:
    """Create the table, and convert summaries of the previous layout. Raises NewerDatabase. Once that is done, this
    waits for no lock.
    """
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'guardian_summary%'")}
    if there == {"guardian_summary_part"}:
        return
    migrate(db, _MIGRATIONS, owner="summaries")
    _convert(db)


def starts(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> list[int]:
    """The starts of the buckets of this length in [start, end) that have events, ascending."""
    sql = f"SELECT start_us FROM guardian_summary_part WHERE {WHERE} ORDER BY start_us"
    return [start for (start,) in db.execute(sql, (Part.STATUSES, span_us, start_us, end_us))]


def starts_in(db: sqlite3.Connection, ranges: Sequence[Range]) -> list[list[int]]:
    """The same for each of these ranges, each in order, by one query."""
    found = [list[int]() for _ in ranges]
    for place, start in db.execute(_STARTS_IN, (json.dumps(ranges),)):
        found[place].append(start)
    for some in found:
        some.sort()  # which ORDER BY would do for all ranges together, though they mostly come in order
    return found


def bodies_in(db: sqlite3.Connection, part: int, ranges: Sequence[Range]) -> list[list[tuple[Key, bytes]]]:
    """What is stored of a part for the buckets of each range, in order and by one query, for `Decoded.joined`."""
    found = [list[tuple[Key, bytes]]() for _ in ranges]
    for place, start, body in db.execute(_BODIES_IN, (json.dumps(ranges), part)):
        found[place].append(((part, ranges[place][0], start), body))
    for some in found:
        some.sort()  # see starts_in
    return found


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


def run(db: sqlite3.Connection, part: int, span_us: int, start_us: int, end_us: int, wanted: Collection[int]) -> Run:
    """These columns of a part for the buckets of this length in [start, end) that have events, in order. Raises
    ValueError or zlib.error if one is damaged.
    """
    sql = f"SELECT start_us, body FROM guardian_summary_part WHERE {WHERE} ORDER BY start_us"
    rows = db.execute(sql, (part, span_us, start_us, end_us)).fetchall()
    return _run([((part, span_us, start), body) for start, body in rows], wanted)


def runs_in(db: sqlite3.Connection, part: int, ranges: Sequence[Range], wanted: Collection[int]) -> Iterator[Run]:
    """The same of each of these ranges, by one query."""
    for bodies in bodies_in(db, part, ranges) if ranges else ():
        yield _run(bodies, wanted)


def _run(bodies: Sequence[tuple[Key, bytes]], wanted: Collection[int]) -> Run:
    return Run([start for (_, _, start), _ in bodies], *decoded().joined(bodies, wanted))


def columns(
    db: sqlite3.Connection, part: Part, span_us: int, start_us: int, end_us: int, wanted: Collection[int]
) -> list[np.ndarray]:
    """Only the columns of `run`."""
    return run(db, part, span_us, start_us, end_us, wanted).columns


def read_run(
    db: sqlite3.Connection, span_us: int, start_us: int, end_us: int, parts: Collection[Part] = ALL
) -> Iterator[tuple[int, Totals]]:
    """The buckets of this length that begin in [start, end): (start, totals), in order."""
    found: dict[int, dict[Part, Sequence[np.ndarray]]]
    found = {start: {} for start in starts(db, span_us, start_us, end_us)}
    for part in parts:
        tables = run(db, part, span_us, start_us, end_us, range(COLUMNS[part]))
        for start, (a, b) in zip(tables.starts, pairwise(tables.edges), strict=True):
            found[start][part] = [column[a:b] for column in tables.columns]
    for start, tables_of in found.items():
        yield start, Totals.of_columns(tables_of)


def bodies(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> list[tuple[int, int, bytes]]:
    """The rows of the buckets that begin in [start, end), with bodies as stored: (start, part, body)."""
    where = f"part IN {_PARTS} AND span_us = ? AND start_us >= ? AND start_us < ?"
    sql = f"SELECT start_us, part, body FROM guardian_summary_part WHERE {where} ORDER BY part, start_us"
    return db.execute(sql, (span_us, start_us, end_us)).fetchall()


def put(db: sqlite3.Connection, span_us: int, start_us: int, totals: Totals) -> int:
    """Replace the totals of a bucket. Returns 1; for empty totals, which delete the bucket, the number of buckets
    deleted."""
    if not len(totals.users):
        sql = f"DELETE FROM guardian_summary_part WHERE part IN {_STORED} AND span_us = ? AND start_us = ?"
        return int(db.execute(sql, (span_us, start_us)).rowcount > 0)
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
    columns = "part, span_us, start_us, requests, body"
    bound = [(part, span_us, start_us, requests, body) for part, requests, body in rows]
    db.executemany(f"REPLACE INTO guardian_summary_part ({columns}) VALUES (?, ?, ?, ?, ?)", bound)


def copy(db: sqlite3.Connection, inner_us: int, at_us: int, span_us: int, start_us: int) -> None:
    """Store the bucket of `inner_us` that begins at `at_us` as that of `span_us` from `start_us` on: all of it."""
    columns = "part, span_us, start_us, requests, body"
    sql = f"REPLACE INTO guardian_summary_part ({columns}) SELECT part, ?, ?, requests, body FROM guardian_summary_part"
    for part in Part:
        where = "WHERE part = ? AND span_us = ? AND start_us = ?"
        db.execute(f"{sql} {where}", (span_us, start_us, part, inner_us, at_us))


def requests(db: sqlite3.Connection, span_us: int, start_us: int, end_us: int) -> int:
    """The number of requests in the buckets of this length that begin in [start, end)."""
    sql = f"SELECT coalesce(sum(requests), 0) FROM guardian_summary_part WHERE {WHERE}"
    number: int = db.execute(sql, (Part.STATUSES, span_us, start_us, end_us)).fetchone()[0]
    return number


def delete(db: sqlite3.Connection, before_us: int) -> None:
    """Delete the buckets that begin before this moment."""
    keys = [(part, span, before_us) for part in (*Part, FAILED) for span in SPANS]
    db.executemany("DELETE FROM guardian_summary_part WHERE part = ? AND span_us = ? AND start_us < ?", keys)


def people(db: sqlite3.Connection) -> Iterator[set[int]]:
    """The numbers of the people in each bucket, newest bucket first."""
    sql = "SELECT span_us, start_us FROM guardian_summary_part WHERE part = ? ORDER BY start_us DESC"
    for span, start in db.execute(sql, (Part.PEOPLE,)).fetchall():
        yield set(read(db, span, start, (Part.PEOPLE,)).users[:, 0].tolist())


def _convert(db: sqlite3.Connection) -> None:
    """Convert summaries of the previous layout; a killed run resumes where it stopped. The old table is dropped at the
    end: an older daemon then fails because it is missing, instead of reporting zeros.
    """
    if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'guardian_summary'").fetchone():
        return
    (left,) = db.execute("SELECT count(*) FROM guardian_summary").fetchone()
    if left > _OLD:
        log.info("Bringing %d summaries into their new layout", left)
    while rows := db.execute(f"SELECT span_us, start_us, body FROM guardian_summary LIMIT {_OLD}").fetchall():
        converted = [(span, start, Totals.unpack_version_1(body)) for span, start, body in rows]
        db.execute("BEGIN IMMEDIATE")
        try:
            for span, start, totals in converted:
                # If it was sealed again meanwhile, the old one is gone.
                gone = db.execute("DELETE FROM guardian_summary WHERE span_us = ? AND start_us = ?", (span, start))
                if gone.rowcount:
                    put(db, span, start, totals)
            db.execute("COMMIT")
        except BaseException:
            undo(db)
            raise
    db.execute("DROP TABLE IF EXISTS guardian_summary")
