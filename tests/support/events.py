"""Requests as the recorder would have noted them, for tests that only care about a few of their fields, and what a
store says of those that failed."""

from datetime import UTC, datetime, timedelta

from tracker.event import Event

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def event(
    at,
    *,
    user="ada@example.com",
    feature="chat",
    path=None,
    method="GET",
    status=200,
    ms=1,
    duration_us=None,
    latency_us=None,
    failure=None,
    client=None,
):
    """One request that ended at `at` (a time, or microseconds) and took `duration_us`, by default `ms` milliseconds;
    without a `path` it went to "/" and the feature."""
    at_us = (at - _BEGINNING) // timedelta(microseconds=1) if isinstance(at, datetime) else at
    endpoint = f"/{feature}" if path is None else path
    took = ms * 1000 if duration_us is None else duration_us
    return Event(at_us, user, endpoint, method, feature, status, took, failure, latency_us, client=client)


async def failures_in(repository, start, end, *, features=()):
    """The newest failed requests of each person in a window, oldest first, as a report lists them."""
    found, _ = await repository.activity([start, end], features=features)
    return found.failures
