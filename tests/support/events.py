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
    failure=None,
    client=None,
):
    """One request that ended at `at_us` and took `ms` milliseconds; without a `path` it went to "/" and the feature."""
    endpoint = f"/{feature}" if path is None else path
    return Event(at_us, user, endpoint, method, feature, status, ms * 1000, failure, client=client)
