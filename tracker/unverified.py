"""A failure as the request left it, and how the writer thread turns it into one that may be stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracker.error_text import AuthoredTexts, reason_phrase
from tracker.event import Event, Failure
from tracker.flat_events import WIDTH, FlatEvents
from tracker.tracebacks import Frame, location_of

_FAILURE = Event._fields.index("failure")


class Unverified:
    """A failure whose text has yet to be compared with the literals of the app's code, and whose place has yet to be
    found among its frames: both in the writer thread.

    `candidate` may be what a client sent: it stays out of `repr`, is compared, and forgotten. `endpoint` is the
    function that answered, or None; it tells which package is the app's own. `message` is a text of our own, kept as it
    is.
    """

    __slots__ = ("candidate", "endpoint", "frames", "kind", "message")

    def __init__(
        self,
        kind: str,
        candidate: str | None,
        endpoint: Any,
        frames: Sequence[Frame] = (),
        message: str | None = None,
    ) -> None:
        self.kind, self.candidate, self.endpoint = kind, candidate, endpoint
        self.frames, self.message = frames, message

    def learn(self, kind: str, frames: Sequence[Frame]) -> None:
        """Take over an exception that came to light after the answer, if nobody has looked yet."""
        self.kind, self.frames = kind, frames

    def __repr__(self) -> str:
        return f"Unverified({self.kind!r})"


def verify(events: FlatEvents, texts: AuthoredTexts) -> None:
    """Put the app author's words in place of texts that nobody has vouched for."""
    failures = events.column("failure")
    if failures.count(None) < len(failures):
        found = [_verified(*each, texts) for each in zip(failures, events.column("status"), strict=True)]
        events.values[_FAILURE::WIDTH] = found


def _verified(failure: Any, status: int, texts: AuthoredTexts) -> Any:
    if type(failure) is not Unverified:
        return failure
    location = ""
    try:
        location = location_of(failure.frames)
        message = failure.message or texts.message(failure.candidate, status, failure.endpoint)
    except Exception:  # reading an app's code may fail in any way; keep the event even without its text
        message = reason_phrase(status)
    return Failure(failure.kind, message, location)
