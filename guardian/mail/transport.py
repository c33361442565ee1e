"""What carries a finished message, and how it says what became of it."""

from __future__ import annotations

from typing import Protocol


class DeliveryError(Exception):
    """The message was surely not delivered, and may be tried again, here or by another transport."""


class Unreachable(DeliveryError):
    """The server itself could not be used (no connection, no TLS, login refused): nothing else would get through."""


class PermanentError(DeliveryError):
    """The message was refused for good (5xx, unknown recipient): trying again would not help."""


class UnknownOutcome(Exception):
    """The message may have been delivered (the connection broke after DATA): only the same transport may retry."""


class Transport(Protocol):
    """One way to deliver mail."""

    name: str

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Hand one RFC 5322 message over for one envelope recipient; returning means that it was accepted.

        Raises DeliveryError, PermanentError or UnknownOutcome, each with one sentence and no secret in it.
        """
        ...

    async def close(self) -> None:
        """Release connections; safe to call twice."""
        ...
