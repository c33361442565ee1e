"""What `guardian check` says of the database: that it is sound, that the tracker lives, that mails get out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from guardian.application.check.findings import conservation
from guardian.application.root import Application
from guardian.core.clock import was_ahead
from guardian.core.finding import Finding
from guardian.core.growth import LATELY, UNMERGED_MOST, growth
from guardian.core.storage import StorageError, StorageStats, WindowGone
from guardian.settings.schema import Settings
from guardian.stores.opening import backend, shown

LOOK_SECONDS = 30.0
"""A database is looked through for damage for so long; half a gigabyte a second is usual."""

SILENT_AFTER = timedelta(minutes=10)
"""While its app runs, a recorder says every 30 seconds at least that it lives; a longer silence is worth a warning."""


def find_damage(settings: Settings) -> Finding | None:
    """That the database is damaged, or so large that there was no time to look at all of it; None where it is sound."""
    try:
        text = backend(settings.database).find_damage(seconds=LOOK_SECONDS)
    except StorageError as error:
        text = str(error)
    except TimeoutError:
        whole = "'guardian backup FILE' makes a copy and looks at all of it"
        return Finding("database", "ok", f"no damage was found in {LOOK_SECONDS:.0f} s; {whole}")
    return Finding("database", "error", text) if text else None


async def database_findings(app: Application) -> list[Finding]:
    """What the database says: that it can be read, that the tracker lives, that mails get out."""
    now = app.clock()
    stats, recorders, mails, events_ahead = await asyncio.gather(
        app.repository.stats(now),
        app.repository.recorders(now),
        app.state.outbox_counts(),
        app.repository.events_ahead(now),
    )
    size = f"{counted(stats.events, 'request')} of {counted(stats.users, 'user')}"
    size += f", {stats.size_bytes / 1e6:,.1f} MB" if stats.size_bytes else ""  # Firestore does not say
    found = [Finding("database", "ok", f"{shown(app.settings.database)}: {size}")]
    found += await _growth(app, stats, now)
    early = [each.seen_at for each in recorders if was_ahead(each.seen_at, now)]
    signs = [each.seen_at for each in recorders if each.seen_at not in early] + ([stats.newest] if stats.newest else [])
    latest = max(signs, default=None)
    if early or events_ahead:
        newest = await app.repository.newest_event()
        found.append(_ahead(max([*early, *([newest] if newest else [])]), len(early), events_ahead, alive=bool(signs)))
    if latest is None:
        return found + await _dead(app, mails)  # a note says that nothing was ever recorded
    if now - latest > SILENT_AFTER:
        text = f"silent since {latest:%Y-%m-%d %H:%M} UTC: is the app running, and on this database?"
        found.append(Finding("tracker", "warning", text))
    else:
        found.append(Finding("tracker", "ok", f"last sign of life {max(0, (now - latest).seconds)} s ago"))
    found += conservation(recorders, now)
    return found + await _dead(app, mails)


async def _growth(app: Application, stats: StorageStats, now: datetime) -> list[Finding]:
    """How the database grows and when its disk is full, and that a foreign reader holds up its log."""
    found: list[Finding] = []
    database = app.settings.database
    if not isinstance(database, Path):
        return found  # how much room there is, and what lies in it, is Firestore's
    log = await app.repository.unmerged_bytes()
    if log > UNMERGED_MOST:
        text = f"{log / 1e6:,.0f} MB wait in {database.name}-wal, since another program reads the "
        text += "database and does not end its transaction: end it (fuser shows which have the file open)"
        found.append(Finding("database", "warning", text))
    try:
        lately = (await app.repository.counts(now - LATELY, now)).requests
        free = await asyncio.to_thread(lambda: shutil.disk_usage(database.absolute().parent).free)
    except (WindowGone, OSError):  # nothing can be said
        return found
    days = app.settings.retention.events_days
    grows = growth(stats, lately, now, events_days=days, free=free)
    if grows is None:
        return found
    text = f"{_size(grows.a_day)} come in a day, and {_size(free)} are free"
    if grows.full_in is not None:
        text += f": the disk is full in {counted(int(grows.full_in), 'day')}; make room, or lower retention.events_days"
        return [*found, Finding("database", "warning", text)]
    held = f"; retention ({counted(days, 'day')}) holds the file at some {_size(grows.holds_at)}"
    return [*found, Finding("database", "ok", text + held)]


def _size(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _ahead(latest: datetime, heartbeats: int, events: int, *, alive: bool) -> Finding:
    """How many signs of life are of the future: they are none. Events alone may be of a clock that is right by now."""
    text = f"the newest sign of life, {latest:%Y-%m-%d %H:%M} UTC, lies in the future: "
    text += f"{counted(heartbeats, 'heartbeat')} and {counted(events, 'request')} of such a time do not count; "
    text += "set the clocks of both machines, preferably by NTP"
    return Finding("clock", "warning" if alive and not heartbeats else "error", text)


async def _dead(app: Application, mails: Mapping[str, int]) -> list[Finding]:
    newest = await app.state.outbox(status="dead", limit=1)
    if not newest:
        return []
    dead, last = mails.get("dead", 0), newest[0]
    which = f"{dead:,} mails could not be delivered, the last" if dead > 1 else "a mail could not be delivered,"
    text = f"{which} to {last.message.recipient}: {last.last_error}; see 'guardian outbox list --status dead'"
    return [Finding("mail", "warning", text)]


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it has to be."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
