"""The watchdog's memory, for any database: reports that are late or on their way, and what the outbox could not
deliver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period


@dataclass(frozen=True, slots=True)
class Watched:
    """The report of one period, not settled yet. `claimed_at` is when its `mails` mails entered the outbox; None while
    the report is not made. `sent`, `pending` and `dead` count its mails by status; `stuck` are the recipients of the
    pending and dead ones. `told` says whether its lateness was announced. `tries` counts failed pings; the next may
    start at `next_at`. `edition` is above 1 for a report that was made again (see `Edition`).
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
"""The key prefix of messages about undelivered messages, which are never announced themselves."""


@dataclass(frozen=True, slots=True)
class Outage:
    """An announced outage of delivery: its name, since when, and who was told, as (channel, recipient)."""

    name: str
    since: datetime
    audience: tuple[tuple[str, str], ...]

    @property
    def of_dead(self) -> bool:
        """Whether it started with messages that were given up, rather than with waiting ones."""
        return self.name.endswith(f"/{DEAD}")


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What one recipient of a channel is not getting. `outage` is their open outage, None if there is none. `waiting`
    messages have waited too long; `dead` ones were given up since the last delivery to them, at `last_sent`. `new_dead`
    were given up and never announced, whether or not something was delivered since; the newest is `newest_dead`. The
    oldest of all these was written at `since` (None: there are none). `critical` says whether a critical alert is among
    them, `error` why the last attempt failed ("": there was none). `channel_sent` is the channel's last delivery to
    anybody.
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
    """The reports that `StateStore.claim_period` has recorded; a settled one is removed. Methods raise StorageError if
    the store cannot answer, and LeaseLost for an outdated `token`.
    """

    async def watched(self) -> list[Watched]:
        """Every report that is late or on its way, oldest first."""
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
        """Record that these periods were announced, and put the messages into the outbox, in one transaction. False,
        with nothing changed, if all of them were announced before.
        """
        ...

    async def settle(self, report: Watched, *, token: int | None) -> None:
        """Stop watching this report: nothing is left to do."""
        ...

    async def ping_failed(self, report: Watched, *, next_at: datetime, token: int | None) -> None:
        """Record a failed ping; the next may start at `next_at`."""
        ...

    async def undelivered(self, *, before: datetime, tries: int) -> list[Undelivered]:
        """Every recipient of a channel with something to announce or an open outage. A message has waited too long if
        it was tried `tries` times, or written at or before `before`.
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
        """Record each recipient's open outage (None: closed) and that given-up messages were announced, and put the
        messages into the outbox, in one transaction."""
        ...

    async def oldest_unsent(self) -> datetime | None:
        """When the oldest waiting message was written; None where nothing waits."""
        ...


def report_key(schedule: str, period: Period, edition: int = 1) -> str:
    """The key prefix of a report's mails; a slash and the recipient follow."""
    again = "" if edition == 1 else f"~{edition}"
    return f"report/{schedule}/{period.start.isoformat()}/{period.end.isoformat()}{again}"
