"""What is removed by itself: what is older than the retention allows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardian.alerting.links import LIFETIME
from guardian.application.root import Application
from guardian.mail.transports.files import FileTransport
from guardian.settings.schema import Settings

log = logging.getLogger("guardian.upkeep")


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What a cleanup deleted, or would delete (`dry_run`), and the moments before which: single events, the texts and
    places of errors, sessions, and rows of mails, saved reports and incidents, with mails as files."""

    events: int
    errors: int
    sessions: int
    rows: int
    events_before: datetime
    errors_before: datetime
    sessions_before: datetime
    summaries_before: datetime
    mails_before: datetime
    dry_run: bool = False


UNFINISHED = timedelta(hours=6)
"""What was begun so long ago and is not finished never will be: a change takes seconds."""
PIECES = 100
"""In at most so many pieces, of a day or more, single events are deleted."""


def _silent(what: object) -> None:
    """Says nothing."""


async def clean_up(
    app: Application,
    now: datetime,
    *,
    dry_run: bool = False,
    say: Callable[[str], None] = _silent,
    progress: Callable[[float], None] = _silent,
) -> CleanedUp:
    """Delete what is older than the retention of the settings; with `dry_run` only count it. Raises StorageError.

    `say` is told what comes next, in a few words, and `progress` what share of the time of single events, which take
    longest, is done. It may be killed at any point: what is deleted stays deleted, and the next cleanup counts it.
    """
    keep = app.settings.retention
    # A retention of a million days means for ever; the calendar begins in the year 1.
    begin = datetime.min.replace(tzinfo=now.tzinfo)

    def before(days: int) -> datetime:
        return now - timedelta(days=days) if timedelta(days=days) < now - begin else begin

    events_before, mails_before = before(keep.events_days), before(keep.mails_days)
    errors_before, sessions_before = before(keep.errors_days), before(keep.sessions_days)
    summaries_before, incidents_before = before(keep.summaries_days), min(events_before, now - LIFETIME)
    if dry_run:
        say("what is old is counted")
        events, errors, sessions = await app.repository.count_old(
            events_before=events_before, errors_before=errors_before, sessions_before=sessions_before
        )
        rows = await app.state.count_old(mails_before, incidents_before=incidents_before)
    else:
        say("single requests and totals")
        await app.repository.let_expire(timedelta(days=keep.events_days), now)
        *pieces, last = _pieces((await app.repository.stats()).oldest, events_before)
        events = 0
        for number, before_this in enumerate(pieces, 1):
            events += await app.repository.purge(events_before=before_this, summaries_before=begin)
            progress(number / (len(pieces) + 1))
        events += await app.repository.purge(events_before=last, summaries_before=summaries_before)
        progress(1.0)
        say("texts and places of errors")
        errors = await app.repository.purge_errors(errors_before)
        say("sessions")
        sessions = await app.repository.purge_sessions(sessions_before)
        say("mails, reports and incidents")
        rows = await app.state.purge_state(mails_before, incidents_before=incidents_before)
        if left := await app.state.purge_unfinished(now - UNFINISHED):
            log.info("%d parts of messages were deleted that a process left behind when it died", left)
        rows += await asyncio.to_thread(_purge_files, app.settings, mails_before)
    return CleanedUp(
        events, errors, sessions, rows,
        events_before, errors_before, sessions_before, summaries_before, mails_before,
        dry_run,
    )  # fmt: skip


def _pieces(oldest: datetime | None, end: datetime) -> list[datetime]:
    """The ends of the stretches of time, at least a day each, in which to delete what is before `end`."""
    if oldest is None or oldest >= end:
        return [end]
    number = min(max((end - oldest) // timedelta(days=1), 1), PIECES)
    return [*(oldest + (end - oldest) / number * piece for piece in range(1, number)), end]


def _purge_files(settings: Settings, before: datetime) -> int:
    try:
        return FileTransport.purge(settings.mail.directory or settings.reports_dir / "mail", before)
    except OSError as error:
        log.warning("An old mail cannot be deleted (%s): check who may write there", error)
        return 0
