"""Guardian's own state, for any database: who leads, what was mailed, what is due.

A state change and the mail that it causes are committed together; delivery is a separate, retried step (at least once:
a mail is sent first and marked afterwards).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.stores.erasure import Forgotten

PATIENCE = 6
"""After this many failed attempts a mail lets those behind it pass."""
FAITHFUL_TRIES = 6
"""How often a mail with unknown outcome is retried only by the same transport; after that, a duplicate is better than
no mail."""


@dataclass(frozen=True, slots=True)
class SavedReport:
    """A report as it was generated, for the API's list and for `guardian preview`."""

    id: int
    schedule: str
    period_start: datetime
    period_end: datetime
    created_at: datetime
    report: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Edition:
    """Which edition of a period's report this is. A later one is made if the one before was made too early, by a clock
    that ran ahead; `replaces` is that report's time, by that clock."""

    number: int = 1
    replaces: datetime | None = None


class LeaseLost(Exception):
    """Another daemon leads now; the caller must stop changing state at once."""


class StateStore(Protocol):
    """State that survives restarts. Every method that takes `token` raises LeaseLost for an outdated one."""

    async def acquire_lease(self, name: str, holder: str, now: datetime, ttl: timedelta) -> int | None:
        """Take or renew the lease. Returns its fencing token, which grows with each new holder; None while another
        process holds it."""
        ...

    async def release_lease(self, name: str, holder: str) -> None:
        """Give the lease up, so that a stand-by takes over without waiting for its end."""
        ...

    async def lease_held(self, name: str, now: datetime, ttl: timedelta) -> bool:
        """Whether anybody holds the lease now. One that ends more than two `ttl` from now does not count."""
        ...

    async def last_period_end(self, schedule: str, *, now: datetime | None = None) -> datetime | None:
        """The end of the newest period of this schedule that is in the ledger; None for a schedule never run.

        With `now`, entries made by a clock that ran ahead (`core.clock.made_early`) are ignored: they would stop
        reports until their time comes. `claim_period` replaces such entries.
        """
        ...

    async def doubt_early(self, now: datetime, *, token: int | None = None) -> dict[str, int]:
        """With the clock right again, mark each report that was made before its time (`core.clock.made_early`) to be
        made again. Returns how many each schedule has that were not marked yet."""
        ...

    async def edition(self, schedule: str, period_start: datetime, period_end: datetime, *, now: datetime) -> Edition:
        """The edition that the next report of this period would be."""
        ...

    async def ledger_names(self) -> list[str]:
        """The names of the schedules that have periods in the ledger, sorted."""
        ...

    async def claim_period(
        self,
        schedule: str,
        period_start: datetime,
        period_end: datetime,
        *,
        report: Mapping[str, Any] | None,
        mails: Sequence[Outgoing],
        now: datetime,
        token: int | None = None,
        earlier: Sequence[tuple[datetime, datetime]] = (),
    ) -> bool:
        """Write the ledger entry, the report and its mails in one transaction. False, with nothing written, if the
        period is already there; but one that was made too early is claimed again, as its next edition. `earlier` are
        older periods (start, end) that the same mails cover after a long downtime; they only enter the ledger. People
        erased since the report's `generated_at` are removed from report and mails. The lists of the report are emptied
        afterwards: a store keeps none of them.
        """
        ...

    async def enqueue(
        self, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None, since: datetime | None = None
    ) -> int:
        """Put mails into the outbox, those that could not be written as dead. Returns how many were new. `since` is
        when their data was read: people erased after it are removed from them.
        """
        ...

    async def claim_due(
        self,
        now: datetime,
        *,
        holder: str,
        lease: timedelta,
        limit: int,
        channel: str | None = None,
        besides: Collection[str] = (),
        resting: Collection[str] = (),
    ) -> list[OutboxItem]:
        """Lease pending items that are due: alerts before reports, most severe first, then oldest. For each recipient,
        alerts and reports are each first in, first out: the next item waits until the one before was delivered, given
        up, or put off so often (`PATIENCE`) that it lets others pass. An item that was never tried is due whatever its
        time, and waits or leases beyond `LONGEST_WAIT` are ignored. Takes only items of `channel` (None: of all), none
        of the channels `besides`, and none that must be retried by a transport in `resting` (see
        `OutboxItem.transport`).
        """
        ...

    async def mark_sent(self, item: OutboxItem, *, holder: str, now: datetime, transport: str) -> None:
        """Mark as delivered, even after the lease expired: the mail is out."""
        ...

    async def mark_failed(
        self,
        item: OutboxItem,
        *,
        holder: str,
        now: datetime,
        error: str,
        retry_at: datetime | None,
        transport: str | None,
    ) -> None:
        """Mark as not delivered: to be retried at `retry_at` (by `transport`, if given), or dead if `retry_at` is
        None."""
        ...

    async def outbox(self, *, status: str | None = None, limit: int = 100) -> list[OutboxItem]:
        """The newest items, with one status or with any."""
        ...

    async def outbox_item(self, item_id: int) -> OutboxItem | None:
        """One item, or None."""
        ...

    async def retry(self, item_id: int, now: datetime) -> bool:
        """Make a dead, dropped or waiting item due now. False if there is no such item, or its mail could not be
        written."""
        ...

    async def drop(self, item_id: int, now: datetime) -> bool:
        """Never send a waiting item; False where there is none."""
        ...

    async def outbox_counts(self) -> dict[str, int]:
        """The number of items by status."""
        ...

    async def reports(self, *, limit: int = 50) -> list[SavedReport]:
        """The newest reports, without their bodies."""
        ...

    async def report(self, report_id: int) -> SavedReport | None:
        """One report with its body, or None."""
        ...

    async def unsubscribe(self, schedule: str, recipient: str, *, wanted: bool, now: datetime) -> None:
        """Record that this recipient no longer wants the schedule's reports, or (with `wanted`) wants them again."""
        ...

    async def unsubscribed(self, schedule: str) -> set[str]:
        """The recipients who no longer want the schedule's reports."""
        ...

    async def purge_state(self, before: datetime, *, incidents_before: datetime) -> int:
        """Delete sent and dead mails and reports older than `before` (the ledger stays), and incidents that ended
        before `incidents_before`. Returns how many rows."""
        ...

    async def purge_unfinished(self, before: datetime) -> int:
        """Remove what processes left behind that died in the middle of a change begun before this moment, such as parts
        of a long message that was never committed. Returns how many parts; 0 for stores that undo such changes
        themselves. `forget` removes all of them, however recent, since they may name anybody."""
        ...

    async def count_old(self, before: datetime, *, incidents_before: datetime) -> int:
        """How many rows `purge_state` would delete. Deletes nothing."""
        ...

    async def forget(
        self,
        *names: str,
        rules: Collection[str] = (),
        recipients: Collection[str] = (),
        buried_at: datetime | None = None,
    ) -> Forgotten:
        """Remove a person, given by all their names, from the state. Mails that name them are rewritten without them
        and keep their Message-ID; mails to them and incidents about them are deleted. Saved reports keep their totals
        and lose the name, and so do other incidents. `rules` are the alert rules whose subjects are people. People
        among `recipients` still get mail, so mails addressed to them and their unsubscriptions stay. With `buried_at`,
        a tombstone records the time.
        """
        ...

    async def settle_erasures(self) -> bool:
        """Remove the last copies of erased data. False while a reader still prevents that; then try again."""
        ...

    async def unsettled_erasures(self) -> int:
        """How many erasures may still have copies for `settle_erasures` to remove."""
        ...

    async def erased_since(self, names: Collection[str], since: datetime) -> set[str]:
        """The names among these that have been erased at this moment or later."""
        ...

    async def erasures(self) -> tuple[int, ...]:
        """A value that changes whenever somebody is erased: data read before may name them."""
        ...

    def check_file(self) -> None:
        """Raises StorageError if the opened database is gone or was replaced; until `reopen`, every method does."""
        ...

    async def reopen(self) -> None:
        """Open what is there now, and migrate it; creates nothing where there is nothing. Raises StorageError if it
        cannot be used."""
        ...

    async def close(self) -> None:
        """Release the connection; safe to call twice."""
        ...
