"""Where the watchdog keeps its memory, whichever database is under it: reports that are late or on their way."""

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


def report_key(schedule: str, period: Period, edition: int = 1) -> str:
    """What the keys of a report's mails begin with; the recipient follows after a slash."""
    again = "" if edition == 1 else f"~{edition}"
    return f"report/{schedule}/{period.start.isoformat()}/{period.end.isoformat()}{again}"
