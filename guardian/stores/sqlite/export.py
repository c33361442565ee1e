"""The rows of the published tables, page by page in order of their keys, for one person or a window. The views
themselves cannot be paged: they turn each key into text, so every page would visit and sort all rows.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from guardian.core.time import moment
from guardian.stores.sqlite.buckets import ids, time_of

ROWS = 2_000
"""The rows of one page, which is read in about 10 ms."""
Row = dict[str, Any]
_MINE = "e.user IN (SELECT value FROM json_each(?)) AND e.id > ?"
_WITHIN = "e.id > ? AND e.id < ?"
_USAGE = """
    SELECT e.id, u.email, r.feature, r.endpoint, r.method, e.status, f.message,
           CAST(round(e.duration_us / 1000.0) AS INTEGER)
    FROM guardian_request e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
    LEFT JOIN guardian_failure f ON f.id = e.failure
    WHERE
"""
_ERRORS = """
    SELECT e.id, u.email, r.endpoint, r.method, f.kind, e.status, f.message, NULLIF(f.location, '')
    FROM guardian_request e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
    JOIN guardian_failure f ON f.id = e.failure
    WHERE e.failure IS NOT NULL AND
"""
_SESSIONS = f"""
    SELECT s.id, u.email, s.start_us, s.end_us, c.ip_address, c.user_agent
    FROM guardian_session s JOIN guardian_user u ON u.id = s.user
    LEFT JOIN guardian_session_client c ON c.session = s.id
    WHERE s.id > ? AND s.start_us >= ? AND s.start_us < ? ORDER BY s.id LIMIT {ROWS}
"""
_PAGE = f"ORDER BY e.id LIMIT {ROWS}"


class Page(Protocol):
    """Reads the next rows after a key."""

    def __call__(self, db: sqlite3.Connection, *, after: int) -> list[Row]:
        """The rows; none at the end."""


def read_sessions(db: sqlite3.Connection, users: Sequence[int]) -> list[Row]:
    """All sessions of these numbers at once: one for each visit, so there are few."""
    rows = db.execute(
        "SELECT * FROM user_sessions WHERE user_email IN (SELECT email FROM guardian_user WHERE id IN "
        "(SELECT value FROM json_each(?))) ORDER BY CAST(id AS INTEGER)",
        (json.dumps(list(users)),),
    )
    names = [column[0] for column in rows.description]
    return [dict(zip(names, row, strict=True)) for row in rows.fetchall()]


def read_usage(db: sqlite3.Connection, *, users: Sequence[int], after: int) -> list[Row]:
    """The next rows of feature_usage after the key `after`."""
    return _usage(db.execute(f"{_USAGE} {_MINE} {_PAGE}", (json.dumps(list(users)), after)))


def read_errors(db: sqlite3.Connection, *, users: Sequence[int], after: int) -> list[Row]:
    """The next rows of user_errors after the key `after`."""
    return _errors(db.execute(f"{_ERRORS} {_MINE} {_PAGE}", (json.dumps(list(users)), after)))


def page_of(table: str, start_us: int, end_us: int) -> Page:
    """A reader for the rows of a published table in [start, end), everybody's, page by page; for sessions, those that
    began then. Start with the key -1."""
    first, end = ids(start_us, end_us)
    if table == "user_sessions":
        return lambda db, *, after: _sessions(db.execute(_SESSIONS, (after, start_us, end_us)))
    sql, rows = (_USAGE, _usage) if table == "feature_usage" else (_ERRORS, _errors)
    return lambda db, *, after: rows(db.execute(f"{sql} {_WITHIN} {_PAGE}", (max(after, first - 1), end)))


def _usage(found: Iterable[Any]) -> list[Row]:
    return [
        {
            "id": str(number), "user_email": email, "feature_name": feature, "endpoint": endpoint, "method": method,
            "timestamp": (at := _time(time_of(number))), "success": int(status < 400), "error_message": message,
            "duration_ms": took, "status_code": status % 1000, "created_at": at,
        }
        for number, email, feature, endpoint, method, status, message, took in found
    ]  # fmt: skip


def _errors(found: Iterable[Any]) -> list[Row]:
    return [
        {
            "id": str(number), "user_email": email, "endpoint": endpoint, "method": method, "error_type": kind,
            "error_code": status % 1000, "error_message": message, "stack_trace": trace,
            "timestamp": (at := _time(time_of(number))), "created_at": at,
        }
        for number, email, endpoint, method, kind, status, message, trace in found
    ]  # fmt: skip


def _sessions(found: Iterable[Any]) -> list[Row]:
    return [
        {
            "id": str(number), "user_email": email, "session_start": (at := _time(start)), "session_end": _time(end),
            "duration_seconds": (end - start) // 1_000_000, "ip_address": address, "user_agent": agent,
            "created_at": at,
        }
        for number, email, start, end, address, agent in found
    ]  # fmt: skip


def _time(us: int) -> str:
    return moment(us).isoformat(timespec="microseconds")
