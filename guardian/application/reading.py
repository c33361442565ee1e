"""What makes reports, opened without what sends them: no mail, no templates, no alarm clock is loaded.

A command that only reads is quick by this; the whole application (`root`) has the same reports.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from guardian.alerting.incidents import was_open
from guardian.application.elsewhere import LookedAround, records_elsewhere
from guardian.application.usage import UsageGuardian
from guardian.core.report.model import Fired
from guardian.core.time import utc_now
from guardian.settings.schema import Settings
from guardian.stores.backend import ReportSources, Stores
from guardian.stores.opening import backend, open_book
from guardian.stores.people.book import AliasBook

if TYPE_CHECKING:
    from guardian.stores.alerts import Incidents


def find_elsewhere(settings: Settings, now: datetime) -> list[Path]:
    """Other files that the app may record into: around the database, in the current folder, and held open by it."""
    return records_elsewhere(settings.database, [Path()], now=now)


async def rules_fired(store: Incidents, start: datetime, end: datetime) -> list[Fired]:
    """The rules of which an incident was open within [start, end), each once with each severity, in order."""
    incidents = await store.incidents(since=start, limit=1000)
    found = {(each.rule, each.severity) for each in incidents if was_open(each, start, end)}
    return [Fired(*each) for each in sorted(found)]


def usage_of(
    settings: Settings, stores: Stores | ReportSources, book: AliasBook, clock: Callable[[], datetime]
) -> UsageGuardian:
    """What makes the reports of these settings."""
    return UsageGuardian(
        stores.events,
        reports_dir=settings.reports_dir,
        clock=clock,
        timezone=settings.timezone,
        critical_features=settings.critical_features,
        elsewhere=LookedAround(partial(find_elsewhere, settings)),
        book=book,
        fired=partial(rules_fired, stores.alerts) if settings.alerts.enabled else None,
        history=stores.history,
    )


@asynccontextmanager
async def open_usage(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> AsyncIterator[UsageGuardian]:
    """What makes reports, on the database of these settings; closed at the end.

    Raises StorageError where the database cannot be used.
    """
    async with AsyncExitStack() as opened:
        book = open_book(settings.alias, settings.database)
        stores = await backend(settings.database).open_for_reports(book)
        opened.push_async_callback(stores.close)
        yield usage_of(settings, stores, book, clock)
