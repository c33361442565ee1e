"""What is removed by itself: what is older than the retention allows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from guardian.alerting.links import LIFETIME
from guardian.application.root import Application
from guardian.mail.transports import mail_folder
from guardian.mail.transports.files import FileTransport
from guardian.settings.schema import RetentionSettings, Settings

log = logging.getLogger("guardian.upkeep")

UNFINISHED = timedelta(hours=6)
"""What was begun so long ago and is not finished never will be: a change takes seconds."""
PIECES = 100
"""Single events are deleted in at most this many pieces, each of a day or more."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The moments before which nothing is kept: single events, the texts and places of errors, sessions,
    summaries, and mails, with those in files."""

    events_before: datetime
    errors_before: datetime
    sessions_before: datetime
    summaries_before: datetime
    mails_before: datetime

    @classmethod
    def of(cls, keep: RetentionSettings, now: datetime) -> Kept:
        """By the retention of the settings, at `now`."""
        begin = _first_moment(now)  # a retention of a million days means for ever

        def before(days: int) -> datetime:
            return now - timedelta(days=days) if timedelta(days=days) < now - begin else begin

        days = keep.events_days, keep.errors_days, keep.sessions_days, keep.summaries_days, keep.mails_days
        return cls(*map(before, days))


@dataclass(frozen=True, slots=True)
class CleanedUp:
    """What a cleanup deleted, or would delete (`dry_run`): how many single events, texts and places of errors,
    sessions, and rows of mails, saved reports and incidents; mails in files count as rows. `kept` says up to when."""

    events: int
    errors: int
    sessions: int
    rows: int
    kept: Kept
    dry_run: bool = False


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
    kept = Kept.of(app.settings.retention, now)
    incidents_before = min(kept.events_before, now - LIFETIME)
    if dry_run:
        say("what is old is counted")
        events, errors, sessions = await app.repository.count_old(
            events_before=kept.events_before, errors_before=kept.errors_before, sessions_before=kept.sessions_before
        )
        rows = await app.state.count_old(kept.mails_before, incidents_before=incidents_before)
        return CleanedUp(events, errors, sessions, rows, kept, dry_run=True)
    say("single requests and totals")
    events = await _purge_events(app, now, kept, progress)
    say("texts and places of errors")
    errors = await app.repository.purge_errors(kept.errors_before)
    say("sessions")
    sessions = await app.repository.purge_sessions(kept.sessions_before)
    say("mails, reports and incidents")
    rows = await app.state.purge_state(kept.mails_before, incidents_before=incidents_before)
    if left := await app.state.purge_unfinished(now - UNFINISHED):
        log.info("%d parts of messages were deleted that a process left behind when it died", left)
    rows += await asyncio.to_thread(_purge_files, app.settings, kept.mails_before)
    return CleanedUp(events, errors, sessions, rows, kept)


async def _purge_events(app: Application, now: datetime, kept: Kept, progress: Callable[[float], None]) -> int:
    """Delete the single events and summaries that are not kept. Returns how many events these were."""
    await app.repository.let_expire(timedelta(days=app.settings.retention.events_days), now)
    *pieces, last = _pieces((await app.repository.stats()).oldest, kept.events_before)
    events = 0
    for number, before in enumerate(pieces, 1):
        events += await app.repository.purge(events_before=before, summaries_before=_first_moment(now))
        progress(number / (len(pieces) + 1))
    events += await app.repository.purge(events_before=last, summaries_before=kept.summaries_before)
    progress(1.0)
    return events


def _first_moment(now: datetime) -> datetime:
    """The first moment there is, in the zone of `now`: nothing is from before it."""
    return datetime.min.replace(tzinfo=now.tzinfo)


def _pieces(oldest: datetime | None, end: datetime) -> list[datetime]:
    """The ends of the stretches of time, at least a day each, in which to delete what is before `end`."""
    if oldest is None or oldest >= end:
        return [end]
    number = min(max((end - oldest) // timedelta(days=1), 1), PIECES)
    return [*(oldest + (end - oldest) / number * piece for piece in range(1, number)), end]


def _purge_files(settings: Settings, before: datetime) -> int:
    try:
        return FileTransport.purge(mail_folder(settings), before)
    except OSError as error:
        log.warning("An old mail cannot be deleted (%s): check who may write there", error)
        return 0
