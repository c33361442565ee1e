"""The key of an event's row: its time, so that rows lie in the order of time and need no index for it."""

from __future__ import annotations

SEQUENCE_BITS = 10
"""An event's id is its time in Unix microseconds, shifted by this many bits, plus a sequence number."""


def time_sql(column: str) -> str:
    """The SQL expression of a row's time, in Unix microseconds, by the column that has its key."""
    return f"({column} >> {SEQUENCE_BITS})"
