"""What Guardian remembers between steps, whichever database is under it: who leads, what was mailed, what is due.

A state change and the mail that it causes are committed together; delivery is a separate, retried step
(at least once: a mail is sent first and marked after).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.stores.erasure import Forgotten

PATIENCE = 6
"""After so many tries in vain a mail lets those behind it pass."""
FAITHFUL_TRIES = 6
"""So often is a mail of unknown fate tried by the same transport only; after that a second copy beats no mail."""


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
    """A report of a period: the first, or one that is made again since `replaces`, the time of the one before by the
    clock of then, was too early."""

    number: int = 1
    replaces: datetime | None = None


class LeaseLost(Exception):
    """Another daemon leads now; whoever meets this must stop changing state at once."""


class StateStore(Protocol):
    """State that survives restarts. Every method that takes `token` raises LeaseLost for an outdated one."""

    async def acquire_lease(self, name: str, holder: str, now: datetime, ttl: timedelta) -> int | None:
        """Take or renew the lease; its fencing token (grows with each new holder), None while another holds it."""
        ...

    async def release_lease(self, name: str, holder: str) -> None:
        """Give the lease up, so that a stand-by takes over without waiting for its end."""
        ...

    async def lease_held(self, name: str, now: datetime, ttl: timedelta) -> bool:
        """Whether anybody holds the lease now, and not until a time further off than two `ttl`."""
        ...

    async def last_period_end(self, schedule: str, *, now: datetime | None = None) -> datetime | None:
        """The end of the newest period of this schedule that is in the ledger; None for a schedule never run.

        With `now`, entries do not count that a clock which was ahead made (`core.clock.made_early`): they would keep
        reports from going out until their time has come. `claim_period` takes such an entry over.
        """
        ...

    async def doubt_early(self, now: datetime, *, token: int | None = None) -> dict[str, int]:
        """Remember of each report that was made before its time (`core.clock.made_early`), by a clock that is right
        now, that it has to be made again; how many each schedule has that were not known yet."""
        ...

    async def edition(self, schedule: str, period_start: datetime, period_end: datetime, *, now: datetime) -> Edition:
        """Which edition of a period's report the next would be."""
        ...

    async def ledger_names(self) -> list[str]:
        """The schedules that the ledger has periods of, in the order of their names."""
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
        """Write ledger, report and mails in one transaction; False (and nothing written) if the period is there.

        `earlier` are older periods (start, end) that the same mails cover after a long downtime; they only go into
        the ledger. A period that is there, but was made too early, is claimed again: as its next edition. Who was
        erased since the report's `generated_at` is named by neither report nor mails.
        """
        ...

    async def enqueue(
        self, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None, since: datetime | None = None
    ) -> int:
        """Put mails into the outbox, those that could not be written as dead; how many were new.

        `since` is when what they say was read: they go without the names of people who were erased after it.
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
        """Lease pending items that are due, alerts before reports, the gravest first, then the oldest.

        Per recipient, and there for alerts and for reports, it is first in, first out: the next one comes when the one
        before has been delivered, given up, or put off so often (`PATIENCE`) that it lets others pass. A mail that was
        never tried is due whatever its time says, and a wait or lease beyond `LONGEST_WAIT` is none.

        Only those of `channel` (None: of all), and none of the channels `besides`. What must be tried again by one of
        the transports `resting` (see `OutboxItem.transport`) is left where it is.
        """
        ...

    async def mark_sent(self, item: OutboxItem, *, holder: str, now: datetime, transport: str) -> None:
        """Delivered. A late mark of an expired lease counts too: the mail is out."""
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
        """Not delivered: tried again at `retry_at` (through `transport`, if not None), or dead where None."""
        ...

    async def outbox(self, *, status: str | None = None, limit: int = 100) -> list[OutboxItem]:
        """The newest items, of one status or of all."""
        ...

    async def outbox_item(self, item_id: int) -> OutboxItem | None:
        """One item, or None."""
        ...

    async def retry(self, item_id: int, now: datetime) -> bool:
        """Make a dead, dropped or waiting item due now; False where there is none to retry, or it was never written."""
        ...

    async def drop(self, item_id: int, now: datetime) -> bool:
        """Never send a waiting item; False where there is none."""
        ...

    async def outbox_counts(self) -> dict[str, int]:
        """How many items have each status."""
        ...

    async def reports(self, *, limit: int = 50) -> list[SavedReport]:
        """The newest reports, without their bodies."""
        ...

    async def report(self, report_id: int) -> SavedReport | None:
        """One report with its body, or None."""
        ...

    async def unsubscribe(self, schedule: str, recipient: str, *, wanted: bool, now: datetime) -> None:
        """Remember that this recipient no longer wants the schedule's reports, or (`wanted`) wants them again."""
        ...

    async def unsubscribed(self, schedule: str) -> set[str]:
        """Who no longer wants the schedule's reports."""
        ...

    async def purge_state(self, before: datetime, *, incidents_before: datetime) -> int:
        """Forget sent and dead mails and reports older than `before` (the ledger stays), and incidents that ended
        before `incidents_before`; how many rows went."""
        ...

    async def purge_unfinished(self, before: datetime) -> int:
        """Remove what a process left behind that died in the middle of a change begun before this moment, as pieces of
        a long message that was never committed; how many pieces. None where a store undoes such changes by itself.
        `forget` removes all of it, however young: it may name anybody."""
        ...

    async def count_old(self, before: datetime, *, incidents_before: datetime) -> int:
        """How many rows `purge_state` would take, without taking them."""
        ...

    async def forget(
        self,
        *names: str,
        rules: Collection[str] = (),
        recipients: Collection[str] = (),
        buried_at: datetime | None = None,
    ) -> Forgotten:
        """Take a person, by all their names, out of what is kept.

        Mails that name them are written again without them and keep their Message-ID; mails to them go, and incidents
        about them. Saved reports keep their totals and lose the name, as other incidents do. `rules` are the alert
        rules whose subjects are people. Who is among `recipients` is still to get mails, and keeps those that are
        addressed to them, and what they have unsubscribed from. With `buried_at` a tombstone is left that says when.
        """
        ...

    async def settle_erasures(self) -> bool:
        """Remove the last copies of what was erased; False while a reader still holds some, so that it is to be tried
        again."""
        ...

    async def unsettled_erasures(self) -> int:
        """How many erasures may have left copies that `settle_erasures` has yet to remove."""
        ...

    async def erased_since(self, names: Collection[str], since: datetime) -> set[str]:
        """Those of these names that were buried at this moment or after it."""
        ...

    async def erasures(self) -> tuple[int, ...]:
        """Another value as soon as anybody was buried: what was read before may name them."""
        ...

    def check_file(self) -> None:
        """Raises StorageError where what was opened is gone, or was replaced by something else; until `reopen` every
        method does so too."""
        ...

    async def reopen(self) -> None:
        """Begin on what is there now, brought up to date; nothing is made where there is nothing. Raises StorageError
        where it cannot be used."""
        ...

    async def close(self) -> None:
        """Release the connection; safe to call twice."""
        ...
