"""Moments as aware datetimes, and as the microseconds of Unix time in which stores and rules count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """The present, aware."""
    return datetime.now(UTC)


def micros(moment: datetime) -> int:
    """Unix time in microseconds, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(us: int) -> datetime:
    """The aware UTC datetime of a Unix time in microseconds."""
    return _EPOCH + us * _MICROSECOND


@overload
def iso(at: datetime) -> str: ...


@overload
def iso(at: None) -> None: ...


def iso(at: datetime | None) -> str | None:
    """The aware time in UTC as ISO 8601, as it stands in JSON; None for None."""
    if at is None:
        return None
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat()
