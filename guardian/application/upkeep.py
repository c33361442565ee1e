"""What is removed from everywhere: what is older than the retention allows, and a person who asks for it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from guardian.alerting.links import LIFETIME
from guardian.application.root import Application
from guardian.core.files import replacing
from guardian.core.off_loop import json_value
from guardian.stores.forgetting import without_person
from tracker.event import ANONYMOUS
from tracker.names import clean_name


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What a cleanup deleted, and the moments before which: events, and rows of mails and saved reports."""

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
    return CleanedUp(events, rows, events_before, summaries_before, mails_before)


async def erase_person(app: Application, email: str) -> int | None:
    """Take the person out of the events, of kept mails and reports, and of the report file; totals stay true.

    All their ids go with them, whichever of their names is given. How many mails and reports went or changed; None for
    someone never seen. Safe to repeat after a failure half-way. Raises StorageError, also where the aliases cannot be
    read: an id could be left behind.
    """
    if email.strip().lower() == ANONYMOUS:
        return None  # not a person: under a new name they would count as one
    email = clean_name(email) or email
    aliases = await asyncio.to_thread(app.book.current)
    seen = await app.repository.erase_user(email)
    changed = 0
    for name in dict.fromkeys((email, *aliases.names_of(email))):  # a mail may name an id: sent before it had an alias
        changed += await app.state.forget(name)
        changed += await asyncio.to_thread(_erase_from_file, app.settings.reports_dir / "usage_report.json", name)
    return changed if seen or changed else None


def _erase_from_file(path: Path, email: str) -> bool:
    try:
        report = json_value(path.read_bytes().decode("utf-8", "surrogatepass"))
    except (OSError, ValueError):
        return False  # there is none, or it is none of ours
    cleaned = without_person(report, email)
    if cleaned == report:
        return False
    with replacing(path) as file:
        json.dump(cleaned, file, indent=2)
    return True
