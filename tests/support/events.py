"""Requests as the recorder would have noted them, for tests that only care about a few of their fields."""

from tracker.event import Event


def event(
    at_us,
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
    """One request that ended at `at_us` and took `duration_us`, by default `ms` milliseconds; without a `path` it went
    to "/" and the feature."""
    endpoint = f"/{feature}" if path is None else path
    took = ms * 1000 if duration_us is None else duration_us
    return Event(at_us, user, endpoint, method, feature, status, took, failure, latency_us, client=client)
