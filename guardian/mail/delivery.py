"""Deliveries: claim a mail of the outbox, send it, mark it.

At least once: a mail is sent first and marked afterwards. Each channel has a lane of its own, so that one that hangs
holds up no other.
"""

from __future__ import annotations

import asyncio
import logging
import random as _random
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.parser import HeaderParser
from email.utils import parseaddr
from typing import Any, Literal, NamedTuple, TypeVar

from guardian.core.off_loop import off_loop
from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.mail.circuits import Circuits, RandomFloat
from guardian.mail.transport import DeliveryError, LoginRefused, PermanentError, Transport, UnknownOutcome, Unreachable
from guardian.stores.state import FAITHFUL_TRIES, StateStore

T = TypeVar("T")
log = logging.getLogger("guardian.delivery")

LEASE = timedelta(minutes=2)
"""How long a claim lasts; longer than a send may take."""

SEND_SECONDS = 100.0
"""After this many seconds a send is given up, with an unknown outcome."""

HUNG_SECONDS = 10.0
"""A failed send that took at least this long counts as a hang."""

LONGEST_OBEYED = timedelta(hours=1)
"""The longest Retry-After that is respected."""

GIVE_UP = timedelta(days=5)
"""A mail that could not be delivered for this long is dead (RFC 5321, 4.5.4.1: at least 4 to 5 days)."""

Warnings = Callable[[str, str, datetime], Sequence[Outgoing]]
"""Makes the mails that announce a refused login of a transport. Their keys keep them from being sent repeatedly."""
Lane = str | None
"""A channel; None stands for the rows of channels without a transport."""


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """The outcome of one pass, by number of mails."""

    sent: int = 0
    retried: int = 0
    dead: int = 0

    @property
    def tried(self) -> int:
        """How many mails were claimed."""
        return self.sent + self.retried + self.dead


class _Tried(NamedTuple):
    """How a try ended, and why: "sent"; "refused" for good; "not sent" for certain; or "unknown", where the mail may
    have been sent. `wait` is the time until the next try; with zero the mail is due as soon as the transport is
    back."""

    fate: Literal["sent", "refused", "not sent", "unknown"]
    why: str = ""
    wait: timedelta = timedelta(0)


def backoff(attempts: int, random: RandomFloat) -> timedelta:
    """The wait after a mail's failed try: 1, 2, 4 … 30 minutes, each shortened by up to a quarter at random."""
    return min(timedelta(minutes=30), timedelta(minutes=2 ** min(attempts, 5))) * (1 - random() / 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Everything that delivery needs. Each transport carries the channel in its attribute `channel` ("mail" or a name).
    The next transport is tried only if the one before has certainly not sent. `circuits` remembers between passes which
    servers are down. `warnings` go into the outbox when a login is refused and another transport can carry them.
    `monotonic` gives seconds.
    """

    state: StateStore
    transports: Sequence[Transport]
    holder: str
    clock: Callable[[], datetime]
    circuits: Circuits = field(default_factory=Circuits)
    random: RandomFloat = _random.random
    warnings: Warnings | None = None
    monotonic: Callable[[], float] = time.monotonic

    @property
    def lanes(self) -> list[Lane]:
        """One lane for each channel, and one for rows without a transport; empty without any transport."""
        channels = dict.fromkeys(transport.channel for transport in self.transports)
        return [*channels, None] if channels else []

    async def deliver(self, lane: Lane) -> DeliveryCounts:
        """Try the lane's first due mail, if there is one; each recipient's mails go in order. A mail that only a paused
        transport could carry waits, without losing an attempt. Raises StorageError where the outbox cannot be read or
        marked.
        """
        carriers = [each for each in self.transports if each.channel == lane]
        besides = () if lane is not None else [each for each in self.lanes if each is not None]
        at = self.clock()
        resting = [each.name for each in carriers if not self.circuits.allow(each.name, at)]
        if carriers and len(resting) == len(carriers):
            return DeliveryCounts()
        items = await self.state.claim_due(
            at, holder=self.holder, lease=LEASE, limit=1, channel=lane, besides=besides, resting=resting
        )
        if not items:
            return DeliveryCounts()
        return DeliveryCounts(**{await self._deliver(items[0], carriers, resting): 1})

    async def _deliver(self, item: OutboxItem, carriers: Sequence[Transport], resting: Sequence[str]) -> str:
        """Send one claimed mail and mark it: "sent", "retried" or "dead"."""
        if not carriers:
            return await self._bury(item, None, f"nothing is configured that carries {item.message.channel}")
        allowed = [transport for transport in carriers if transport.name not in resting]
        pinned = item.transport if item.attempts < FAITHFUL_TRIES else None
        if pinned in [transport.name for transport in carriers]:
            allowed = [transport for transport in allowed if transport.name == pinned]
        error, waits = item.last_error or "no transport can be reached", list[timedelta]()
        for transport in allowed:
            tried = await self._try(item, transport, others=len(carriers) > 1)
            if tried.fate == "sent":
                await self.state.mark_sent(item, holder=self.holder, now=self.clock(), transport=transport.name)
                return "sent"
            error = f"{transport.name}: {tried.why}"
            if tried.fate == "refused":
                return await self._bury(item, transport, error)
            if tried.fate == "unknown":
                pinned, waits = transport.name, [tried.wait]
                break
            if tried.wait:
                waits.append(tried.wait)
        now = self.clock()
        if now - item.created_at >= GIVE_UP:
            return await self._bury(item, None, f"given up after {GIVE_UP.days} days; {error}")
        log.warning("Mail %d (%s) was not delivered and is tried again: %s", item.id, item.message.kind, error)
        wait = min(waits, default=timedelta(0) if allowed else timedelta(minutes=1))
        await self.state.mark_failed(
            item, holder=self.holder, now=now, error=error, retry_at=now + wait, transport=pinned
        )
        return "retried"

    async def _try(self, item: OutboxItem, transport: Transport, *, others: bool) -> _Tried:
        """Send the mail by this transport. Where its login is refused and `others` carry mail, the admins are told."""
        circuits, random, now, began = self.circuits, self.random, self.clock(), self.monotonic()
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await transport.send(item.message.body, sender=_sender(item), recipient=item.message.recipient)
        except PermanentError as failure:
            circuits.answered(transport.name)
            return _Tried("refused", str(failure))
        except Unreachable as failure:
            circuits.failed(transport.name, self.clock(), random)
            if self.warnings is not None and isinstance(failure, LoginRefused) and others:
                warnings = await off_loop(self.warnings, transport.name, str(failure), now)
                await self.state.enqueue(warnings, now=now)
            # The circuit breaker spaces the attempts, so the mail itself is due as soon as the server is back.
            return _Tried("not sent", str(failure))
        except DeliveryError as failure:
            if self.monotonic() - began >= HUNG_SECONDS:
                circuits.hung(transport.name, self.clock(), random)
            else:
                circuits.answered(transport.name)
            if failure.retry_after is None:
                return _Tried("not sent", str(failure), backoff(item.attempts, random))
            pause = min(failure.retry_after, LONGEST_OBEYED) * (1 + random() / 4)
            circuits.rest(transport.name, now, pause)
            return _Tried("not sent", str(failure), pause)
        except (UnknownOutcome, TimeoutError) as failure:
            circuits.hung(transport.name, self.clock(), random)
            why = str(failure) or f"no answer within {SEND_SECONDS:.0f} s, so it may have been sent"
        except Exception as failure:  # a bug in one transport must not stop the others
            log.exception("The transport %s failed in a way it should not", transport.name)
            why = f"failed with {type(failure).__name__}, so it may have been sent"
        else:
            circuits.answered(transport.name)
            return _Tried("sent")
        return _Tried("unknown", why, backoff(item.attempts, random))

    async def _bury(self, item: OutboxItem, transport: Transport | None, error: str) -> str:
        log.error("Mail %d (%s) cannot be delivered: %s", item.id, item.message.kind, error)
        name = transport.name if transport else item.transport
        await self.state.mark_failed(
            item, holder=self.holder, now=self.clock(), error=error, retry_at=None, transport=name
        )
        return "dead"


async def together(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Runs all of them concurrently and returns their results. The first failure is raised only after all have ended,
    so that no send is aborted because another failed.
    """
    fates = await asyncio.gather(*works, return_exceptions=True)
    for fate in fates:
        if isinstance(fate, BaseException):
            raise fate
    return [fate for fate in fates if not isinstance(fate, BaseException)]


def sum_of(counts: Sequence[DeliveryCounts]) -> DeliveryCounts:
    """All of them together."""
    return DeliveryCounts(*(sum(getattr(each, name) for each in counts) for name in ("sent", "retried", "dead")))


def _sender(item: OutboxItem) -> str:
    """The envelope sender: the address of the From header."""
    head = re.split(rb"\r?\n\r?\n", item.message.body, maxsplit=1)[0]  # the parser would decode the megabytes after it
    return parseaddr(HeaderParser().parsestr(head.decode("utf-8", "replace"))["From"] or "")[1]
