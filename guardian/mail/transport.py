"""The interface of transports, and their errors, which tell the outcome of a message."""

from __future__ import annotations

from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Protocol


class DeliveryError(Exception):
    """The message was certainly not delivered, and may be retried, here or by another transport. `retry_after` is the
    pause that this transport asks for; None if it did not.
    """

    def __init__(self, *args: object, retry_after: timedelta | None = None) -> None:
        super().__init__(*args)
        self.retry_after = retry_after


class Unreachable(DeliveryError):
    """The server itself could not be used (no connection, no TLS, login refused): nothing else would get through."""


class LoginRefused(Unreachable):
    """The account may not send until a person does something, which the sentence names."""


class PermanentError(DeliveryError):
    """The message was refused for good (5xx, unknown recipient): trying again would not help."""


class UnknownOutcome(Exception):
    """The message may have been delivered (the connection broke after DATA): only the same transport may retry."""


def pause_asked(after: str | None, now: datetime, date: str | None = None) -> timedelta | None:
    """The pause that the header Retry-After asks for, as seconds or as a date (RFC 9110, 10.2.3); None where it asks
    for none. A date is measured from the answer's own header Date (`date`), or from `now` where that is missing."""
    try:
        if after is not None and after.strip().isdecimal():
            pause = timedelta(seconds=int(after))
        else:
            pause = parsedate_to_datetime(after or "") - (parsedate_to_datetime(date) if date else now)
    except (ValueError, TypeError, OverflowError):
        return None
    return pause if pause > timedelta(0) else None


class Login(Protocol):
    """The account at a service that a transport sends through; its permission may expire."""

    @property
    def cure(self) -> str:
        """What a person must do if the account is refused; to be translated."""
        ...

    def expires_at(self) -> datetime | None:
        """When the permission ends, aware; None where that is not known or where it does not end."""
        ...


class Transport(Protocol):
    """One way to deliver mail, or the messages of one channel."""

    @property
    def name(self) -> str:
        """What it is called in the outbox, in errors and in the log."""
        ...

    @property
    def channel(self) -> str:
        """What it carries: `mail`, or the outbox rows that bear the name of this channel."""
        ...

    @property
    def login(self) -> Login | None:
        """The account that it sends through; None where there is none, or none whose permission may end."""
        ...

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Send one RFC 5322 message to one envelope recipient; returning means that it was accepted.

        Raises DeliveryError, PermanentError or UnknownOutcome, each with one sentence and no secret in it.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...
