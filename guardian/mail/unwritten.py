"""The last safeguard: a mail that cannot be written does not affect others, and shows in the outbox."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from guardian.core.outgoing import Outgoing

log = logging.getLogger("guardian.mail")
P = ParamSpec("P")
Writer = TypeVar("Writer")


def unwritten(
    error: Exception, *, key: str, recipient: str, kind: str, channel: str = "mail", severity: str = "info",
    subject: str = "",
) -> Outgoing:  # fmt: skip
    """The outbox entry for a message that could not be written: without a body, with the reason. Call it where the
    error is caught: an unexpected one is logged with its traceback's location.
    """
    why = f"it cannot be written: {error if isinstance(error, ValueError) else type(error).__name__}"
    log.error("A message of kind %s to one recipient: %s", kind, why, exc_info=not isinstance(error, ValueError))
    return Outgoing(key, recipient, b"", kind, channel, severity, subject, unwritten=why)


def one_mail(
    kind: str,
) -> Callable[[Callable[Concatenate[Writer, str, P], Outgoing]], Callable[Concatenate[Writer, str, P], Outgoing]]:
    """Decorates a method that writes one mail (recipient, …, key=…): it returns an `unwritten` one instead of
    raising."""

    def decorated(
        write: Callable[Concatenate[Writer, str, P], Outgoing],
    ) -> Callable[Concatenate[Writer, str, P], Outgoing]:
        @wraps(write)
        def guarded(writer: Writer, recipient: str, /, *args: P.args, **kwargs: P.kwargs) -> Outgoing:
            try:
                return write(writer, recipient, *args, **kwargs)
            except Exception as error:  # one delivery: a recipient for whom it cannot be written stops no other
                key: Any = kwargs["key"]
                return unwritten(error, key=key, recipient=recipient, kind=kind)

        return guarded

    return decorated
