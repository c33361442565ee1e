"""The composition root: opens everything that the settings describe, and is the one place that reads the clock."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from guardian.application.glances import Glances
from guardian.application.judging.live import LiveHistory
from guardian.application.reading import usage_of
from guardian.application.usage import UsageGuardian
from guardian.core.clock import Waits
from guardian.core.schedule import Schedule, parse_schedule
from guardian.core.time import utc_now
from guardian.mail.circuits import Circuits
from guardian.mail.delivery import Lane
from guardian.mail.service import EmailService
from guardian.mail.transport import Transport
from guardian.mail.transports import build_transports
from guardian.settings.schedules import ScheduleSettings
from guardian.settings.schema import Settings
from guardian.stores.backend import Stores
from guardian.stores.events import UsageRepository
from guardian.stores.opening import backend, open_book
from guardian.stores.people.book import NO_BOOK, AliasBook
from guardian.stores.state import StateStore

Clock = Callable[[], datetime]

LEASE = "daemon"
"""The lease of the process that leads."""


def new_holder() -> str:
    """A name for this process in leases that no other process has had."""
    return f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class NamedSchedule:
    """A schedule of the settings. `name` is its key in the ledger; `recipients` are the admins where it names none.

    `settings` is its table: `sections`, `features`, `format` and so on.
    """

    name: str
    schedule: Schedule
    recipients: tuple[str, ...]
    settings: ScheduleSettings


@dataclass(slots=True)
class StepHealth:
    """How the last run of a step went: when it ended, why it failed (None where it did not), when it began, and how
    often in a row it failed."""

    ended_at: datetime
    error: str | None
    began_at: datetime | None = None
    failures: int = 0


@dataclass(slots=True, kw_only=True)
class Application:
    """Everything that a step, an endpoint or a command works with.

    `holder` names this process in leases; `delivering` is held by whoever uses the transports of a channel. `token`
    is the fencing token while this process leads, None while it stands by; `stopping` is set when it is about to
    end. `health` has an entry for each step that has run; `trouble` says why nothing is done while the database is
    not there, `unrenewed` why the lease could not be renewed the last time. `book` knows the people behind ids; `live`
    is the history that alert rules are judged on, once it was read. `under_way` names the steps that this process runs
    now. The watchdog counts in `waits` how long it has seen reports wait. `glances` is what pages have read lately,
    `reading` what the health reads just now.
    """

    settings: Settings
    stores: Stores
    usage: UsageGuardian
    email: EmailService
    transports: Sequence[Transport]
    clock: Clock = utc_now
    book: AliasBook = NO_BOOK
    schedules: tuple[NamedSchedule, ...] = ()
    holder: str = field(default_factory=new_holder)
    circuits: Circuits = field(default_factory=Circuits)
    delivering: defaultdict[Lane, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    token: int | None = None
    stopping: bool = False
    health: dict[str, StepHealth] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)
    trouble: str | None = None
    unrenewed: str | None = None
    live: LiveHistory | None = None
    waits: Waits = field(default_factory=Waits)
    watching_since: datetime | None = None
    watched_at: datetime | None = None
    reading: dict[str, asyncio.Task[Any]] = field(default_factory=dict)
    glances: Glances = field(default_factory=Glances)

    @property
    def repository(self) -> UsageRepository:
        """The store of events."""
        return self.stores.events

    @property
    def state(self) -> StateStore:
        """The store of lease, ledger, reports and outbox."""
        return self.stores.state

    async def begin_anew(self) -> None:
        """Go on with the database that is there now, like a process that has just started: the one before was deleted
        or replaced.

        What was known of that is forgotten, and the lead is taken under a new name, since a backup may hold this
        process' old lease. Raises StorageError where the database cannot be used.
        """
        await self.stores.reopen()
        self.token, self.live, self.waits = None, None, Waits()
        self.watching_since, self.watched_at = None, None
        self.circuits = Circuits()
        self.glances.forget()
        before, self.holder = self.holder, new_holder()
        await self.state.release_lease(LEASE, before)


def name_schedules(settings: Settings) -> tuple[NamedSchedule, ...]:
    """The schedules of the settings; one without a name is called by its text, a repeated name gets a number.

    Raises ValueError with one sentence for a text that is no schedule.
    """
    seen: Counter[str] = Counter()
    named = []
    for entry in settings.schedules:
        schedule = parse_schedule(entry.when, entry.timezone or settings.timezone)
        name = entry.name or str(schedule)
        seen[name] += 1
        unique = name if seen[name] == 1 else f"{name} ({seen[name]})"
        named.append(NamedSchedule(unique, schedule, entry.recipients or settings.admins, entry))
    return tuple(named)


@asynccontextmanager
async def open_application(settings: Settings, *, clock: Clock = utc_now) -> AsyncIterator[Application]:
    """The application of these settings; everything it opened is closed at the end.

    Raises StorageError where the database cannot be used, ValueError where the settings cannot.
    """
    schedules = name_schedules(settings)
    async with AsyncExitStack() as opened:
        book = open_book(settings.alias, settings.database)
        stores = await backend(settings.database).open(book)
        opened.push_async_callback(stores.close)
        transports = build_transports(settings)
        for transport in transports:
            opened.push_async_callback(transport.close)
        yield Application(
            settings=settings,
            stores=stores,
            usage=usage_of(settings, stores, book, clock),
            email=EmailService(
                transports,
                sender=settings.mail.sender,
                reply_to=settings.mail.reply_to,
                reports_dir=settings.reports_dir,
                clock=clock,
                timezone=settings.timezone,
                code=settings.mail.language,
                languages=settings.mail.languages,
                app=settings.app_label,
                max_users=settings.report.max_users,
                pages_url=settings.pages_url,
            ),
            transports=transports,
            clock=clock,
            book=book,
            schedules=schedules,
        )
