"""What the tracker records: one `Event` for each finished HTTP request or WebSocket connection."""

from __future__ import annotations

from typing import NamedTuple

ANONYMOUS = "anonymous"
"""The user of an event whose sender was not verified."""

UNMATCHED = "(unmatched)"
"""The endpoint of requests that no route of the app matched, whatever their path was."""

NOTED = 1000
"""Added to the status of an answer that the app marked as failed, wherever outcomes are counted; see
`Event.outcome`."""

SESSION_GAP_US = 30 * 60 * 1_000_000
"""A user's session ends with a gap of at least this many microseconds."""


NOT_MEASURED = -1
"""The latency of an event whose duration is unknown; its duration is 0."""


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


class Client(NamedTuple):
    """Where a request came from, if the app's owner wants that recorded. `address` is an IP address, maybe truncated.
    None stands for what is switched off or unknown."""

    address: str | None = None
    user_agent: str | None = None


class Event(NamedTuple):
    """One finished request.

    `at_us` is the moment of the last byte, in microseconds of Unix time (UTC); `duration_us` reaches back from there
    to the request's arrival. `endpoint` is the route template, `status` the code that the client met: 500 for an
    exception or an aborted stream, 101 for a WebSocket that went well, 499 when the client left before any answer.
    `failure` is None for an event that went well; one with a status under 400 was noted as failed by the app.
    `latency_us` is the time to the first byte of an answer that streams and to the acceptance of a WebSocket; None
    where it is the duration, NOT_MEASURED where that is not known. `client` is None unless it was asked for.
    """

    at_us: int
    user: str
    endpoint: str
    method: str
    feature: str
    status: int
    duration_us: int
    failure: Failure | None = None
    latency_us: int | None = None
    client: Client | None = None

    @property
    def outcome(self) -> int:
        """The number by which requests are counted: the status, or 1200 for a 200 that was marked as failed.

        From 400 on it is an error, from 500 on a server error; the status is `outcome % NOTED`.
        """
        return self.status if self.failure is None or self.status >= 400 else self.status + NOTED
