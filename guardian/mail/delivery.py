"""One pass over the outbox: claim a mail, send it, mark it. At least once: a mail is sent first and marked after."""

from __future__ import annotations

import asyncio
import logging
import random as _random
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.parser import HeaderParser
from email.utils import parseaddr

from guardian.core.clock import was_ahead
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.mail.transport import DeliveryError, LoginRefused, PermanentError, Transport, UnknownOutcome, Unreachable
from guardian.stores.state import StateStore

log = logging.getLogger("guardian.delivery")

LEASE = timedelta(minutes=2)
"""How long a claimed mail belongs to its holder; longer than a send may take."""

SEND_SECONDS = 100.0
"""After this many seconds a send is given up, with an unknown outcome."""

LONGEST_PAUSE = timedelta(minutes=4)
"""An unreachable server is tried again after this at the latest."""

LONGEST_OBEYED = timedelta(hours=1)
"""A server that asks for a longer wait is asked again after this all the same."""

GIVE_UP = timedelta(days=5)
"""A mail that could not be delivered for this long is dead (RFC 5321, 4.5.4.1: at least 4 to 5 days)."""

FAITHFUL_TRIES = 6
"""So often is a mail of unknown fate tried by the same transport only; after that a second copy beats no mail."""

RandomFloat = Callable[[], float]
Warnings = Callable[[str, str, datetime], Sequence[Outgoing]]
"""The mails that say that a transport's login is refused, and why. Their keys keep them from being many."""


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """What became of the mails of one pass."""

    sent: int = 0
    retried: int = 0
    dead: int = 0

    @property
    def tried(self) -> int:
        """How many mails were claimed."""
        return self.sent + self.retried + self.dead


def backoff(attempts: int, random: RandomFloat) -> timedelta:
    """The wait after a mail's failed try: 1, 2, 4 … 30 minutes, each shortened by up to a quarter at random."""
    return min(timedelta(minutes=30), timedelta(minutes=2 ** min(attempts, 5))) * (1 - random() / 4)


@dataclass(slots=True)
class Circuits:
    """Which transports are left alone for now, because the server behind them could not be reached.

    One try at a time finds out whether it is back, after 1, 2, then at most 4 minutes: a server that is down for hours
    meets at most 20 tries an hour, and what waits goes out within minutes of its return, whatever the number of mails.
    """

    failures: dict[str, int] = field(default_factory=dict)
    closed_at: dict[str, datetime] = field(default_factory=dict)
    closed_until: dict[str, datetime] = field(default_factory=dict)

    def allow(self, transport: str, now: datetime) -> bool:
        """Whether this transport may be tried."""
        if was_ahead(self.closed_at.get(transport, now), now):
            return True  # the clock was set back: until when it was to be left alone means nothing now
        return self.closed_until.get(transport, now) <= now

    def failed(self, transport: str, now: datetime, random: RandomFloat) -> None:
        """The server could not be reached."""
        count = self.failures[transport] = self.failures.get(transport, 0) + 1
        wait = min(LONGEST_PAUSE, timedelta(minutes=2 ** min(count - 1, 2)))
        self._close(transport, now, wait * (1 - random() / 4))

    def rest(self, transport: str, now: datetime, wait: timedelta) -> None:
        """The server has asked to be left alone for so long."""
        self._close(transport, now, wait)

    def _close(self, transport: str, now: datetime, wait: timedelta) -> None:
        self.closed_at[transport], self.closed_until[transport] = now, now + wait

    def answered(self, transport: str) -> None:
        """The server is there, whatever it said."""
        for known in (self.failures, self.closed_at, self.closed_until):
            known.pop(transport, None)


async def deliver_due(
    state: StateStore,
    transports: Sequence[Transport],
    *,
    now: datetime,
    holder: str,
    limit: int = 20,
    circuits: Circuits | None = None,
    random: RandomFloat = _random.random,
    warnings: Warnings | None = None,
) -> DeliveryCounts:
    """Try at most `limit` mails that are due, one after the other, each recipient's in order.

    A transport carries mail, or the channel that its attribute `channel` names. The next one is tried only when the one
    before has surely not sent. `circuits` carries what is known of unreachable servers from pass to pass. `warnings`
    are put into the outbox when a login is refused and another transport is there to carry them. Raises StorageError
    where the outbox cannot be read or marked.
    """
    circuits = Circuits() if circuits is None else circuits
    began, fates = time.monotonic(), []
    for _ in range(limit):
        at = now + timedelta(seconds=time.monotonic() - began)
        if not any(circuits.allow(transport.name, at) for transport in transports):
            break
        items = await state.claim_due(at, holder=holder, lease=LEASE, limit=1)
        if not items:
            break
        fates.append(await _deliver(items[0], state, transports, at, holder, circuits, random, warnings))
    return DeliveryCounts(sent=fates.count("sent"), retried=fates.count("retried"), dead=fates.count("dead"))


async def _deliver(
    item: OutboxItem,
    state: StateStore,
    transports: Sequence[Transport],
    now: datetime,
    holder: str,
    circuits: Circuits,
    random: RandomFloat,
    warnings: Warnings | None,
) -> str:
    """Send one claimed mail and mark it: "sent", "retried" or "dead"."""
    carriers = [each for each in transports if each.channel == item.message.channel]
    if not carriers:
        return await _bury(item, state, now, holder, None, f"nothing is configured that carries {item.message.channel}")
    allowed = [transport for transport in carriers if circuits.allow(transport.name, now)]
    pinned = item.transport if item.attempts < FAITHFUL_TRIES else None
    if pinned in [transport.name for transport in carriers]:
        allowed = [transport for transport in allowed if transport.name == pinned]
    error, wait = item.last_error or "no transport can be reached", timedelta(minutes=1)
    waits: list[timedelta] = []
    for transport in allowed:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await transport.send(item.message.body, sender=_sender(item), recipient=item.message.recipient)
        except PermanentError as failure:
            circuits.answered(transport.name)
            return await _bury(item, state, now, holder, transport, f"{transport.name}: {failure}")
        except Unreachable as failure:
            # The circuit spaces the tries, so the mail itself is due at once when the server is back.
            circuits.failed(transport.name, now, random)
            error = f"{transport.name}: {failure}"
            wait = min(waits, default=timedelta(0))
            if warnings is not None and isinstance(failure, LoginRefused) and len(carriers) > 1:
                await state.enqueue(await off_loop(warnings, transport.name, str(failure), now), now=now)
        except DeliveryError as failure:
            circuits.answered(transport.name)
            pause = backoff(item.attempts, random)
            if failure.retry_after is not None:
                pause = min(failure.retry_after, LONGEST_OBEYED) * (1 + random() / 4)
                circuits.rest(transport.name, now, pause)
            waits.append(pause)
            error, wait = f"{transport.name}: {failure}", min(waits)
        except (UnknownOutcome, TimeoutError) as failure:
            reason = str(failure) or f"no answer within {SEND_SECONDS:.0f} s, so it may have been sent"
            error, wait, pinned = f"{transport.name}: {reason}", backoff(item.attempts, random), transport.name
            break
        except Exception as failure:  # one delivery: a fault in a transport must not stop the others
            log.exception("The transport %s failed in a way it should not", transport.name)
            reason = f"failed with {type(failure).__name__}, so it may have been sent"
            error, wait, pinned = f"{transport.name}: {reason}", backoff(item.attempts, random), transport.name
            break
        else:
            circuits.answered(transport.name)
            await state.mark_sent(item, holder=holder, now=now, transport=transport.name)
            return "sent"
    if now - item.created_at >= GIVE_UP:
        return await _bury(item, state, now, holder, None, f"given up after {GIVE_UP.days} days; {error}")
    log.warning("Mail %d (%s) was not delivered and is tried again: %s", item.id, item.message.kind, error)
    await state.mark_failed(item, holder=holder, now=now, error=error, retry_at=now + wait, transport=pinned)
    return "retried"


async def _bury(
    item: OutboxItem, state: StateStore, now: datetime, holder: str, transport: Transport | None, error: str
) -> str:
    log.error("Mail %d (%s) cannot be delivered: %s", item.id, item.message.kind, error)
    name = transport.name if transport else item.transport
    await state.mark_failed(item, holder=holder, now=now, error=error, retry_at=None, transport=name)
    return "dead"


def _sender(item: OutboxItem) -> str:
    """The envelope sender: the address of the From header."""
    head = re.split(rb"\r?\n\r?\n", item.message.body, maxsplit=1)[0]  # the parser would decode the megabytes behind it
    return parseaddr(HeaderParser().parsestr(head.decode("utf-8", "replace"))["From"] or "")[1]
