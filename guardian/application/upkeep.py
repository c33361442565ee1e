"""What is removed by itself: what is older than the retention allows."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardian.alerting.links import LIFETIME
from guardian.application.root import Application
from guardian.mail.transports.files import FileTransport
from guardian.settings.schema import Settings

log = logging.getLogger("guardian.upkeep")


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What a cleanup deleted, and the moments before which: events, and mails (also as files) and saved reports."""

    events: int
    rows: int
    events_before: datetime
    summaries_before: datetime
    mails_before: datetime


async def clean_up(app: Application, now: datetime) -> CleanedUp:
    """Delete what is older than the retention of the settings. Raises StorageError."""
    keep = app.settings.retention
    days = (keep.events_days, keep.summaries_days, keep.mails_days)
    # A retention of a million days means for ever; the calendar begins in the year 1.
    begin = datetime.min.replace(tzinfo=now.tzinfo)
    events_before, summaries_before, mails_before = (
        now - timedelta(days=count) if timedelta(days=count) < now - begin else begin for count in days
    )
    events = await app.repository.purge(events_before=events_before, summaries_before=summaries_before)
    rows = await app.state.purge_state(mails_before, incidents_before=min(events_before, now - LIFETIME))
    rows += await asyncio.to_thread(_purge_files, app.settings, mails_before)
    return CleanedUp(events, rows, events_before, summaries_before, mails_before)


def _purge_files(settings: Settings, before: datetime) -> int:
    try:
        return FileTransport.purge(settings.mail.directory or settings.reports_dir / "mail", before)
    except OSError as error:
        log.warning("An old mail cannot be deleted (%s): check who may write there", error)
        return 0
