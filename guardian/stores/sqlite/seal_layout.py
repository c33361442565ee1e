"""The table of sealed summaries, and how those of older versions come into it.

An older daemon must not read half of them, nor what it does not know. So its table gets another name before any row is
moved, and ours gets its own when all are there: whoever looks for a name does not find it, and fails.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from time import sleep

from guardian.core.totals import Part, Totals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, transaction
from guardian.stores.sqlite.connections import in_one_state
from guardian.stores.sqlite.pacing import LONG, own_checkpoints
from guardian.stores.sqlite.seal_keys import NEXT_PART, seal_key
from guardian.stores.sqlite.seals import packed
from tracker.sqlite.migrations import migrate
from tracker.sqlite.schema import Migration

log = logging.getLogger("guardian.stores")

_MIGRATIONS: Sequence[Migration] = (
    (
        "summaries/0001_parts",
        """
        CREATE TABLE guardian_summary_part (part INTEGER NOT NULL, span_us INTEGER NOT NULL, start_us INTEGER NOT NULL,
                                            requests INTEGER NOT NULL, body BLOB NOT NULL,
                                            PRIMARY KEY (part, span_us, start_us)) WITHOUT ROWID;
        """,
    ),
    (
        "summaries/0002_keys",
        """
        CREATE TABLE guardian_seal_new (id INTEGER PRIMARY KEY, requests INTEGER NOT NULL, body BLOB NOT NULL);
        ALTER TABLE guardian_summary_part RENAME TO guardian_summary_left;
        """,
    ),
)
_OLD, _AT_ONCE = 500, 1_000
"""How many summaries of version 0.1 are converted in one transaction, and how many rows of the next one: some 20 ms."""
_SAID = 500
"""Who has more summaries to wait for is told."""
# The columns of failed requests (part 5) are made anew.
_MOVED = f"FROM guardian_summary_left WHERE part <= {max(Part)}"
_KEY = f"""
    part * {NEXT_PART} + start_us / {MINUTES5}
    + CASE span_us {" ".join(f"WHEN {span} THEN {seal_key(0, span, 0)}" for span in (MINUTES5, HOUR, DAY))} END
"""
_NEXT = "ORDER BY part, span_us, start_us LIMIT ?"


def prepare(db: sqlite3.Connection) -> None:
    """Create the table, and bring summaries of older layouts into it; a killed run resumes where it stopped. Raises
    NewerDatabase. Once that is done, this waits for no lock.
    """
    if _tables(db) == {"guardian_seal"}:
        return
    migrate(db, _MIGRATIONS, owner="summaries")
    if (left := in_one_state(db, _left)) > _SAID:
        log.info("Bringing %d summaries into their new layout", left)
    with own_checkpoints(db):
        while not _finish(db):
            _convert(db)
            while _move(db, _AT_ONCE):
                sleep(LONG)  # the app's writer has its turn


def _tables(db: sqlite3.Connection) -> set[str]:
    names = "SELECT name FROM sqlite_schema WHERE name LIKE 'guardian_summary%' OR name LIKE 'guardian_seal%'"
    return {name for (name,) in db.execute(names)}


def _left(db: sqlite3.Connection) -> int:
    """How many rows are still in a table of an older layout. Call it inside a transaction: others may drop one."""
    there, left = _tables(db), 0
    for table, rows in (("guardian_summary", "FROM guardian_summary"), ("guardian_summary_left", _MOVED)):
        left += db.execute(f"SELECT count(*) {rows}").fetchone()[0] if table in there else 0
    return left


def _finish(db: sqlite3.Connection) -> bool:
    """Let the table count, once all are in it. False if some are left."""
    with transaction(db):
        there = _tables(db)
        if _left(db):
            return False
        if "guardian_seal_new" in there:  # nobody else was quicker
            db.execute("ALTER TABLE guardian_seal_new RENAME TO guardian_seal")
        for name in there & {"guardian_summary", "guardian_summary_left"}:
            db.execute(f"DROP TABLE {name}")
    return True


def _move(db: sqlite3.Connection, rows: int) -> int:
    with transaction(db):
        if "guardian_summary_left" not in _tables(db):
            return 0
        db.execute(f"INSERT INTO guardian_seal_new SELECT {_KEY}, requests, body {_MOVED} {_NEXT}", (rows,))
        first = f"SELECT part, span_us, start_us {_MOVED} {_NEXT}"
        return db.execute(f"DELETE {_MOVED} AND (part, span_us, start_us) IN ({first})", (rows,)).rowcount


def _convert(db: sqlite3.Connection) -> None:
    """Bring summaries of version 0.1 into the table of the next one."""
    while rows := in_one_state(db, _oldest):
        converted = [(span, start, Totals.unpack_version_1(body)) for span, start, body in rows]
        with transaction(db):
            for span, start, totals in converted if "guardian_summary_left" in _tables(db) else ():
                old = "DELETE FROM guardian_summary WHERE span_us = ? AND start_us = ?"
                if db.execute(old, (span, start)).rowcount and len(totals.users):  # nobody else was quicker
                    db.executemany(
                        "REPLACE INTO guardian_summary_left VALUES (?, ?, ?, ?, ?)",
                        [(part, span, start, requests, body) for part, requests, body in packed(totals)],
                    )


def _oldest(db: sqlite3.Connection) -> list[tuple[int, int, bytes]]:
    """Some of the summaries of version 0.1 that are left: (length, start, body)."""
    if "guardian_summary" not in _tables(db):
        return []
    return db.execute(f"SELECT span_us, start_us, body FROM guardian_summary LIMIT {_OLD}").fetchall()
