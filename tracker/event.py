"""What the tracker records: one `Event` for each finished HTTP request or WebSocket connection."""

from __future__ import annotations

from typing import NamedTuple

ANONYMOUS = "anonymous"
"""The user of an event whose sender was not verified."""

UNMATCHED = "(unmatched)"
"""The endpoint of requests that no route of the app matched, whatever their path was."""

SESSION_GAP_US = 30 * 60 * 1_000_000
"""A user's session ends where nothing happened for this many microseconds or more."""


class Failure(NamedTuple):
    """Why an event failed, in words that the app's author wrote: nothing in it came from a client.

    `kind` is an exception's class name, `HTTP 413` where the app answered with a status of its own, `WebSocket 1011`
    where it closed with a code that means an error, or `Aborted` where it ended without having finished its answer.
    `message` is a literal of the app's code or the status' reason phrase. `location` is one `file:line function`
    a line, innermost last, or the empty string where no exception was seen.
    """

    kind: str
    message: str
    location: str = ""


class Event(NamedTuple):
    """One finished request.

    `at_us` is the moment of the last byte, in microseconds of Unix time (UTC); `duration_us` reaches back from there
    to the request's arrival. `endpoint` is the route template, `status` the code that the client met: 500 for an
    exception or an aborted stream, 101 for a WebSocket that went well, 499 when the client left before any answer.
    `failure` is None exactly when `status` is under 400.
    """

    at_us: int
    user: str
    endpoint: str
    method: str
    feature: str
    status: int
    duration_us: int
    failure: Failure | None = None
