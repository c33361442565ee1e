"""Where the watchdog keeps its memory, whichever database is under it: reports that are late or on their way, and what
the outbox could not deliver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period


@dataclass(frozen=True, slots=True)
class Watched:
    """A report of one period that is not settled yet.

    `claimed_at` is when its mails, `mails` in number, went into the outbox; None while the report is not made. `sent`,
    `pending` and `dead` are how many of them are that by now, `stuck` whose are one of the latter two. `told` says
    whether somebody was told that it is late; `tries` counts pings in vain, the next of which may start at `next_at`.
    `edition` is more than 1 for a report that was made again (see `Edition`).
    """

    schedule: str
    period: Period
    claimed_at: datetime | None
    mails: int
    told: bool
    tries: int
    next_at: datetime
    sent: int
    pending: int
    dead: int
    stuck: frozenset[str]
    edition: int = 1


DEAD = "dead"
TELLING = "undelivered/"
"""What the keys of messages about messages that are not delivered begin with: nothing is told of those."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What was told of messages that are not delivered: its name, since when, and to whom: (channel, recipient)."""

    name: str
    since: datetime
    audience: tuple[tuple[str, str], ...]

    @property
    def of_dead(self) -> bool:
        """Whether it began with messages that were given up, and not with any that wait."""
        return self.name.endswith(f"/{DEAD}")


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What one recipient of a channel does not get; `outage` is the one that is open for them, None for none.

    `waiting` messages wait too long, and `dead` ones were given up since the last that was delivered to them, at
    `last_sent`; of `new_dead`, the newest of which is `newest_dead`, nobody was told, delivered since or not. The first
    of all these was written `since`; None where there are none. `critical` says whether an alert of that severity is
    among them, `error` why the last try failed ("" where there was none). The channel delivered to anybody at
    `channel_sent`.
    """

    channel: str
    recipient: str
    waiting: int = 0
    dead: int = 0
    new_dead: int = 0
    newest_dead: int = 0
    since: datetime | None = None
    critical: bool = False
    error: str = ""
    last_sent: datetime | None = None
    channel_sent: datetime | None = None
    outage: Outage | None = None


class WatchStore(Protocol):
    """What `StateStore.claim_period` notes of each report that was made; what is settled leaves nothing behind.

    Methods raise StorageError where the store cannot answer, and LeaseLost for an outdated `token`.
    """

    async def watched(self) -> list[Watched]:
        """Every report that is late or on its way, the oldest first."""
        ...

    async def tell(
        self,
        schedule: str,
        periods: Sequence[Period],
        messages: Sequence[Outgoing],
        *,
        now: datetime,
        token: int | None,
    ) -> bool:
        """Note that these periods were told of, and put the messages into the outbox, in one transaction.

        False, and nothing done, where somebody was told of all of them before.
        """
        ...

    async def settle(self, report: Watched, *, token: int | None) -> None:
        """Nothing more is to be done for this report."""
        ...

    async def ping_failed(self, report: Watched, *, next_at: datetime, token: int | None) -> None:
        """A ping was in vain; the next may start at `next_at`."""
        ...

    async def undelivered(self, *, before: datetime, tries: int) -> list[Undelivered]:
        """Every recipient of a channel that something is to be told of, or for whom an outage is open.

        A message waits too long where it was tried so often, or was written at or before `before`.
        """
        ...

    async def note_outages(
        self,
        noted: Sequence[tuple[Undelivered, Outage | None]],
        messages: Sequence[Outgoing],
        *,
        now: datetime,
        token: int | None,
    ) -> None:
        """Note of each recipient which outage is open now (None: none is any more) and that somebody was told of what
        was given up, and put the messages into the outbox, in one transaction."""
        ...

    async def oldest_unsent(self) -> datetime | None:
        """When the oldest message was written that still waits; None where nothing does."""
        ...


def report_key(schedule: str, period: Period, edition: int = 1) -> str:
    """What the keys of a report's mails begin with; the recipient follows after a slash."""
    again = "" if edition == 1 else f"~{edition}"
    return f"report/{schedule}/{period.start.isoformat()}/{period.end.isoformat()}{again}"
