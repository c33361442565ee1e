"""The rows of one person as the published tables have them, some at a time, in the order of time.

The views themselves cannot be read so: they make text of each key, so every page would visit all rows and sort them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from typing import Any

from guardian.core.time import moment
from guardian.stores.sqlite.buckets import time_of

ROWS = 2_000
"""How many rows a piece has: it is read in some 10 ms."""
_MINE = "e.user IN (SELECT value FROM json_each(?)) AND e.id > ?"
_USAGE = f"""
    SELECT e.id, u.email, r.feature, r.endpoint, r.method, e.status, f.message,
           CAST(round(e.duration_us / 1000.0) AS INTEGER)
    FROM guardian_request e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
    LEFT JOIN guardian_failure f ON f.id = e.failure
    WHERE {_MINE} ORDER BY e.id LIMIT {ROWS}
"""
_ERRORS = f"""
    SELECT e.id, u.email, r.endpoint, r.method, f.kind, e.status, f.message, NULLIF(f.location, '')
    FROM guardian_request e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
    JOIN guardian_failure f ON f.id = e.failure
    WHERE e.failure IS NOT NULL AND {_MINE} ORDER BY e.id LIMIT {ROWS}
"""


def read_sessions(db: sqlite3.Connection, users: Sequence[int]) -> list[dict[str, Any]]:
    """The sessions of these numbers: one a visit, so all at once."""
    rows = db.execute(
        "SELECT * FROM user_sessions WHERE user_email IN (SELECT email FROM guardian_user WHERE id IN "
        "(SELECT value FROM json_each(?))) ORDER BY CAST(id AS INTEGER)",
        (json.dumps(list(users)),),
    )
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def read_usage(db: sqlite3.Connection, *, users: Sequence[int], after: int) -> list[dict[str, Any]]:
    """The next rows of feature_usage behind the key `after`."""
    return [
        {
            "id": str(number), "user_email": email, "feature_name": feature, "endpoint": endpoint, "method": method,
            "timestamp": (at := _time(number)), "success": int(status < 400), "error_message": message,
            "duration_ms": took, "status_code": status % 1000, "created_at": at,
        }
        for number, email, feature, endpoint, method, status, message, took in db.execute(_USAGE, _values(users, after))
    ]  # fmt: skip


def read_errors(db: sqlite3.Connection, *, users: Sequence[int], after: int) -> list[dict[str, Any]]:
    """The next rows of user_errors behind the key `after`."""
    return [
        {
            "id": str(number), "user_email": email, "endpoint": endpoint, "method": method, "error_type": kind,
            "error_code": status % 1000, "error_message": message, "stack_trace": trace,
            "timestamp": (at := _time(number)), "created_at": at,
        }
        for number, email, endpoint, method, kind, status, message, trace in db.execute(_ERRORS, _values(users, after))
    ]  # fmt: skip


def _values(users: Sequence[int], after: int) -> tuple[str, int]:
    return json.dumps(list(users)), after


def _time(number: int) -> str:
    return moment(time_of(number)).isoformat(timespec="microseconds")
