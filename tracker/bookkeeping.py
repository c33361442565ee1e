"""Why a finished request failed, decided from plain values, without ASGI."""

from __future__ import annotations

from contextlib import suppress
from logging import ERROR
from typing import Any

from tracker.error_text import NOTED_TEXT, candidate_text, reason_phrase
from tracker.event import Failure
from tracker.recorder import Recorder
from tracker.saying import say
from tracker.tracebacks import class_name, frames_of, kind_of
from tracker.unverified import Unverified

NOTED_KIND = "Noted"
"""The kind of a failure that the app noted beside a good status."""

Why = Failure | BaseException | str | None


class Faults:
    """Faults of the bookkeeping itself: counted with the recorder, and never passed on to the host."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._complained = False

    def count(self, error: BaseException) -> None:
        """Count a request that could not be recorded, and log it once, never with anything a client sent."""
        kind = class_name(type(error))  # never its message
        with suppress(Exception):
            self._recorder.add_lost(kind)
        if not self._complained:
            self._complained = True
            say(ERROR, "The tracker could not record a request (%s); the app is not affected. Said once.", kind)


def failure_of(
    status: int,
    why: Why,
    *,
    note: str | None = None,
    noted: bool = False,
    origin: Any = None,
    message: str | None = None,
) -> Failure | Unverified | None:
    """Why a request failed; None where it did not.

    `why` is used for a status of 400 or more: a failure, an exception, or the text of the answer, which is not verified
    yet. `note` is the app's own text, `noted` whether it marked the request as failed, `origin` the function that
    answered. `message` is a text of ours that replaces an exception's.
    """
    if status < 400:
        if not noted:
            return None
        return Unverified(NOTED_KIND, note, origin) if note else Failure(NOTED_KIND, NOTED_TEXT)
    if isinstance(why, Failure):
        return why
    if not isinstance(why, BaseException):
        return Unverified(f"HTTP {status:d}", note or why, origin)
    words = message or (None if note else reason_phrase(500))
    return Unverified(kind_of(why), note, origin, frames_of(why), words)


def answer_text(headers: Any, body: Any, most: int = 4_096) -> str | None:
    """The text in the first chunk of a small error answer, to be verified later (see AuthoredTexts); None if it cannot
    be read, as when it is compressed or large, or has malformed headers."""
    if not isinstance(body, bytes) or not 0 < len(body) <= most:
        return None
    known = header_values(headers)
    return None if b"content-encoding" in known else candidate_text(known.get(b"content-type"), body)


def header_values(headers: Any) -> dict[bytes, bytes]:
    """The headers of an answer by lower-case name; empty if they violate the ASGI specification."""
    try:
        return {bytes(name).lower(): bytes(value) for name, value in headers}
    except (TypeError, ValueError):
        return {}
