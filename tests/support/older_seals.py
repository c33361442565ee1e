"""Puts the sealed summaries of a SQLite file into the layouts that older versions left, and takes today's out."""

import zlib

import numpy as np

from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import SPANS
from guardian.stores.sqlite.seal_keys import seal_range, seal_start

EVER = 2**62


def version_1(db):
    """One row with all numbers for each bucket (version 0.1)."""
    db.execute("CREATE TABLE guardian_summary (span_us, start_us, body, PRIMARY KEY (span_us, start_us)) WITHOUT ROWID")
    for span, start in [(span, start) for span in SPANS for start in seals.starts(db, span, 0, EVER)]:
        totals = seals.read(db, span, start)
        tables = (totals.users, totals.used, totals.statuses, totals.durations)
        parts = [np.array([len(table) for table in tables]), *(np.diff(table, axis=0, prepend=0).T for table in tables)]
        body = zlib.compress(b"".join(part.astype("<i8").tobytes() for part in parts), 3)
        db.execute("INSERT INTO guardian_summary VALUES (?, ?, ?)", (span, start, body))
    db.execute("DROP TABLE guardian_seal")
    db.execute("DELETE FROM guardian_migration WHERE name LIKE 'summaries/%'")


def parts(db):
    """A row for each part, without a key in one number."""
    db.execute(
        "CREATE TABLE guardian_summary_part (part INTEGER NOT NULL, span_us INTEGER NOT NULL, "
        "start_us INTEGER NOT NULL, requests INTEGER NOT NULL, body BLOB NOT NULL, "
        "PRIMARY KEY (part, span_us, start_us)) WITHOUT ROWID"
    )
    for part, span in ((part, span) for part in seals.STORED for span in SPANS):
        sql = f"SELECT id, requests, body FROM guardian_seal WHERE {seals.WHERE}"
        for key, requests, body in db.execute(sql, seal_range(part, span, 0, EVER)).fetchall():
            row = (part, span, seal_start(key), requests, body)
            db.execute("INSERT INTO guardian_summary_part VALUES (?, ?, ?, ?, ?)", row)
    db.execute("DROP TABLE guardian_seal")
    db.execute("DELETE FROM guardian_migration WHERE name LIKE 'summaries/%' AND name != 'summaries/0001_parts'")
