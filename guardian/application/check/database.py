"""`guardian check` for the database: whether it is sound, the tracker is alive, and mails get out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from guardian.application.check.recording import conservation
from guardian.application.root import Application
from guardian.core.clock import was_ahead
from guardian.core.finding import Finding
from guardian.core.growth import LATELY, UNMERGED_MOST, growth
from guardian.core.language import ENGLISH, Language
from guardian.core.storage import StorageError, StorageStats, WindowGone
from guardian.settings.schema import Settings
from guardian.stores.opening import backend, shown

LOOK_SECONDS = 30.0
"""The time limit for searching a database for damage; half a gigabyte a second is typical."""

SILENT_AFTER = timedelta(minutes=10)
"""A recorder writes a heartbeat at least every 30 seconds while its app runs; a silence longer than this is worth a
warning."""


def find_damage(settings: Settings) -> Finding | None:
    """The finding that the database is damaged, or too large to be checked in time; None if it is sound."""
    try:
        text = backend(settings.database).find_damage(seconds=LOOK_SECONDS)
    except StorageError as error:
        text = str(error)
    except TimeoutError:
        whole = "'guardian backup FILE' makes a copy and looks at all of it"
        return Finding("database", "ok", f"no damage was found in {LOOK_SECONDS:.0f} s; {whole}")
    return Finding("database", "error", text) if text else None


async def database_findings(app: Application, lang: Language = ENGLISH) -> list[Finding]:
    """The findings: whether it can be read, the tracker is alive, and mails get out."""
    now = app.clock()
    stats, recorders, mails, events_ahead = await asyncio.gather(
        app.repository.stats(now),
        app.repository.recorders(now),
        app.state.outbox_counts(),
        app.repository.events_ahead(now),
    )
    size = lang(
        "%(requests)s of %(users)s", requests=lang.plural("%(n)s request", "%(n)s requests", stats.events),
        users=lang.plural("%(n)s user", "%(n)s users", stats.users),
    )  # fmt: skip
    size += f", {lang.number(stats.size_bytes / 1e6, 1)} {lang('MB')}" if stats.size_bytes else ""  # Firestore: unknown
    found = [Finding("database", "ok", lang("%(what)s: %(cure)s", what=shown(app.settings.database), cure=size))]
    found += await _growth(app, stats, now, lang)
    early = [each.seen_at for each in recorders if was_ahead(each.seen_at, now)]
    signs = [each.seen_at for each in recorders if each.seen_at not in early] + ([stats.newest] if stats.newest else [])
    latest = max(signs, default=None)
    if early or events_ahead:
        newest = await app.repository.newest_event()
        latest_of_all = max([*early, *([newest] if newest else [])])
        found.append(_ahead(latest_of_all, len(early), events_ahead, alive=bool(signs), lang=lang))
    if latest is None:
        return found + await _dead(app, mails, lang)  # another finding says that nothing was ever recorded
    if now - latest > SILENT_AFTER:
        at = f"{latest:%Y-%m-%d %H:%M}"
        text = lang("silent since %(at)s UTC: is the app running, and on this database?", at=at)
        found.append(Finding("tracker", "warning", text))
    else:
        found.append(Finding("tracker", "ok", lang("last sign of life %(n)s s ago", n=max(0, (now - latest).seconds))))
    found += conservation(recorders, now, lang)
    return found + await _dead(app, mails, lang)


async def _growth(app: Application, stats: StorageStats, now: datetime, lang: Language) -> list[Finding]:
    """How fast the database grows and when its disk will be full, and whether a foreign reader holds back its log."""
    found: list[Finding] = []
    database = app.settings.database
    if not isinstance(database, Path):
        return found  # how much room there is, and what lies in it, is Firestore's
    log = await app.repository.unmerged_bytes()
    if log > UNMERGED_MOST:
        text = lang(
            "%(size)s wait in %(file)s, since another program reads the database and does not end its transaction: "
            "end it (fuser shows which have the file open)",
            size=f"{lang.number(log / 1e6)} {lang('MB')}", file=f"{database.name}-wal",
        )  # fmt: skip
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
    text = lang("%(size)s come in a day, and %(free)s are free", size=_size(grows.a_day, lang), free=_size(free, lang))
    if grows.full_in is not None:
        cure = lang(
            "the disk is full in %(time)s; make room, or lower retention.events_days",
            time=lang.plural("%(n)s day", "%(n)s days", int(grows.full_in)),
        )
        return [*found, Finding("database", "warning", lang("%(what)s: %(cure)s", what=text, cure=cure))]
    held = lang(
        "retention (%(time)s) holds the file at some %(size)s",
        time=lang.plural("%(n)s day", "%(n)s days", days), size=_size(grows.holds_at, lang),
    )  # fmt: skip
    return [*found, Finding("database", "ok", lang("%(what)s; %(more)s", what=text, more=held))]


def _size(size: float, lang: Language) -> str:
    unit, least = ("GB", 1e9) if size >= 1e9 else ("MB", 1e6)
    return f"{lang.number(size / least, 1)} {lang(unit)}"


def _ahead(latest: datetime, heartbeats: int, events: int, *, alive: bool, lang: Language) -> Finding:
    """How many heartbeats lie in the future, and so do not count. Future events alone may come from a clock that has
    been corrected."""
    text = lang(
        "the newest sign of life, %(at)s UTC, lies in the future: %(heartbeats)s and %(requests)s of such a time do "
        "not count; set the clocks of both machines, preferably by NTP",
        at=f"{latest:%Y-%m-%d %H:%M}", heartbeats=lang.plural("%(n)s heartbeat", "%(n)s heartbeats", heartbeats),
        requests=lang.plural("%(n)s request", "%(n)s requests", events),
    )  # fmt: skip
    return Finding("clock", "warning" if alive and not heartbeats else "error", text)


async def _dead(app: Application, mails: Mapping[str, int], lang: Language) -> list[Finding]:
    newest = await app.state.outbox(status="dead", limit=1)
    if not newest:
        return []
    dead, last = mails.get("dead", 0), newest[0]
    text = lang.plural(
        "a mail could not be delivered, to %(to)s: %(error)s; see 'guardian outbox list --status dead'",
        "%(n)s mails could not be delivered, the last to %(to)s: %(error)s; see 'guardian outbox list --status dead'",
        max(1, dead), to=last.message.recipient, error=last.last_error,
    )  # fmt: skip
    return [Finding("mail", "warning", text)]
