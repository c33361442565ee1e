"""Rows into the table of requests, many at once, each under a key of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence, Set
from functools import lru_cache
from itertools import islice
from operator import lt
from typing import TYPE_CHECKING, Any

from tracker.sqlite.keys import SEQUENCE_BITS

if TYPE_CHECKING:
    from tracker.sqlite.batch import Batch

BUCKET_US = 5 * 60 * 1_000_000
"""The smallest sealed summary covers five minutes; a late event makes the one that it falls into stale."""
MINUTE_US = 60_000_000
LATE_US = 4_000_000
"""An event is late if it is stored this long after the end of its minute; rules read a minute five seconds later."""
_LATE = """
    INSERT INTO guardian_late (start_us, count) VALUES (?, ?)
    ON CONFLICT (start_us) DO UPDATE SET count = count + excluded.count
"""
ROWS = 4_096
"""Rows that go in with one statement, at most: a power of two, and a recorder's usual batch. Each part more holds up
all of the host's requests in flight once more."""
Row = tuple[int, int, int, int, int, int | None, int | None]
"""at_us, user, route, outcome, duration_us, failure, latency_us."""
_COLUMNS = ("id", "user", "route", "status", "duration_us", "failure", "latency_us")
_OPTIONAL = ("failure", "latency_us")
_NONE = -2  # neither the number of a failure nor a latency


def insert(db: sqlite3.Connection, batch: Batch, source: int | None = None) -> list[int]:
    """Insert the rows of a batch, each with an id of its own made of its time and a sequence number; the ids.

    `source` is the number of a row of guardian_source.
    """
    taken: set[int] = set()
    # Where a single statement fails, SQLite undoes it; a savepoint would be two more waits for the interpreter's lock.
    several = _few_lengths(len(batch.at_us), _most(db, len(_COLUMNS))) < len(batch.at_us)
    if several:
        db.execute("SAVEPOINT batch")
    while True:
        ids = _ids(batch.at_us, taken)
        try:
            _insert_requests(db, (ids, *batch[1:7]), source)
            break
        except sqlite3.IntegrityError:
            # Another process had an event in the same microsecond. Nobody else can write before we commit.
            if several:
                db.execute("ROLLBACK TO batch")
            found = _taken(db, ids)
            if not found:
                raise
            taken |= found
    if several:
        db.execute("RELEASE batch")
    return ids


def _insert_requests(db: sqlite3.Connection, columns: Sequence[Sequence[Any]], source: int | None) -> None:
    """Insert rows of guardian_request, without what all of them lack."""
    names, given = list(_COLUMNS), list(columns)
    while names[-1] in _OPTIONAL and given[-1].count(None) == len(given[0]):
        names.pop()
        given.pop()
    marks = ["?"] * len(names)
    for place, name in enumerate(names):
        if name in _OPTIONAL and given[place].count(None):
            given[place] = [_NONE if value is None else value for value in given[place]]
            marks[place] = f"nullif(?, {_NONE})"
    if source is not None:
        names.append("source")
        marks.append(str(source))
    values = [0] * (len(given) * len(given[0]))
    for place, column in enumerate(given):
        values[place :: len(given)] = column
    insert_rows(db, f"guardian_request ({', '.join(names)})", f"({', '.join(marks)})", values)


def _ids(at_us: Sequence[int], taken: Set[int]) -> list[int]:
    """A number for each time, in their order: the first from it on that neither another row nor `taken` has."""
    if not taken and all(map(lt, at_us, islice(at_us, 1, None))):
        return [at << SEQUENCE_BITS for at in at_us]
    ids, last = [], -1
    for at in at_us:
        last = max(at << SEQUENCE_BITS, last + 1)
        while last in taken:
            last += 1
        ids.append(last)
    return ids


def _taken(db: sqlite3.Connection, ids: Sequence[int]) -> set[int]:
    """The ids among these that events already have."""
    found = db.execute("SELECT e.id FROM json_each(?) j CROSS JOIN guardian_request e ON e.id = j.value", [str(ids)])
    return {number for (number,) in found}


def insert_rows(db: sqlite3.Connection, into: str, row: str, values: Sequence[int], after: str = "") -> int:
    """Insert rows, many with one statement; how many it inserted or updated. `into` is what stands before the rows and
    `after` what follows them. `row` has a mark for each of a row's `values`, which follow each other.

    sqlite3 releases the GIL at each step of a statement: with one statement a row, it would switch to the host's event
    loop and back hundreds of times a batch, and slow down requests. Let no value be None: sqlite3 asks first how it may
    be adapted, which takes ten times as long as a number. `nullif(?, -1)` makes one of a number.
    """
    done, changed, width = 0, 0, row.count("?")
    most = _most(db, width)
    while done < len(values):
        number = _few_lengths((len(values) - done) // width, most)
        changed += db.execute(_statement(into, row, number, after), values[done : done + number * width]).rowcount
        done += number * width
    return changed


def _most(db: sqlite3.Connection, width: int) -> int:
    """How many rows of this width one statement may hold: before version 3.32 SQLite took 999 values. Some hosts put
    pysqlite3, which has no getlimit, in the place of sqlite3."""
    limit = getattr(db, "getlimit", None)
    fit = (999 if limit is None else limit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)) // width
    return ROWS if fit >= ROWS else 1 << fit.bit_length() - 1


def _few_lengths(left: int, most: int) -> int:
    """How many of these rows go into one statement that may hold `most`: only a few different numbers, so that SQLite's
    statement cache works."""
    return most if left >= most else 1 << left.bit_length() - 1


@lru_cache
def _statement(into: str, row: str, rows: int, after: str) -> str:
    return f"INSERT INTO {into} VALUES {', '.join([row] * rows)} {after}"


def note_late(db: sqlite3.Connection, ids: Sequence[int], now_us: int) -> None:
    """Note of which minutes that ended a while ago the ids, which are in order, are, and how many of each."""
    before_us = (now_us - LATE_US) // MINUTE_US * MINUTE_US
    late: dict[int, int] = {}
    for number in ids:
        at = number >> SEQUENCE_BITS
        if at >= before_us:
            break
        start = at // MINUTE_US * MINUTE_US
        late[start] = late.get(start, 0) + 1
    if late:
        db.executemany(_LATE, list(late.items()))


def mark_late(db: sqlite3.Connection, ids: Sequence[int], sealed_until_us: int) -> None:
    """Note the sealed buckets that the ids, which are in order, fall into."""
    if ids[0] >> SEQUENCE_BITS >= sealed_until_us:
        return
    late = {at // BUCKET_US * BUCKET_US for number in ids if (at := number >> SEQUENCE_BITS) < sealed_until_us}
    db.executemany("INSERT OR IGNORE INTO guardian_dirty VALUES (?)", [(start,) for start in late])
