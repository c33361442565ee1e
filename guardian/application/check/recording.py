"""`guardian check` for recording: the notes of the last day, and what became of each process's events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from guardian.application.check.names import matching_nothing
from guardian.application.elsewhere import records_elsewhere
from guardian.application.noticing import LATELY, noticed_lately
from guardian.application.root import Application
from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language
from guardian.core.note_words import note_words
from guardian.core.notes import Note, gone_silent
from guardian.core.storage import RecorderHealth
from guardian.settings.schema import Settings

MOST_PROCESSES = 10
"""How many processes are listed individually, those that lost events first."""


async def note_findings(app: Application, path: Path | None, lang: Language = ENGLISH) -> list[Finding]:
    """A warning for each note of the last day; `path` is the settings file, None for the one of the current folder.

    Processes that went silent are told one by one, by `conservation`; what lies in the future is told with the clock.
    """
    notes = await noticed_lately(
        app.repository,
        app.clock(),
        critical_features=app.settings.critical_features,
        elsewhere=lambda now: records_elsewhere(app.settings.database, _folders(path), now=now),
    )
    found = [_finding(note, lang) for note in notes if note.kind not in ("silent", "ahead")]
    names = await app.repository.feature_names()
    if names:  # of critical features a note has told
        why = lang("is no feature that was ever used")
        found += matching_nothing(app.settings, names, why, critical=False, lang=lang)
    return found


async def noted_elsewhere(settings: Settings, path: Path | None, now: datetime) -> list[Finding]:
    """The same where there is no database yet: only whether the app records into another file."""
    found = await asyncio.to_thread(records_elsewhere, settings.database, _folders(path), now=now)
    return [_finding(Note("elsewhere", 0, str(each))) for each in found]


def _folders(path: Path | None) -> list[Path]:
    return [Path(), *([path.parent] if path else [])]


def _finding(note: Note, lang: Language = ENGLISH) -> Finding:
    subject = "critical_features" if note.kind == "critical_features" else "tracker"
    return Finding(subject, "warning", " ".join(note_words(*note, lang)).strip())


def conservation(recorders: Sequence[RecorderHealth], now: datetime, lang: Language = ENGLISH) -> list[Finding]:
    """What became of the events of each process: accepted = stored + dropped + queued. Lists the processes of the last
    day, and those of the last 7 days that lost events.
    """
    silent = gone_silent(recorders, now)
    lossy = [each for each in recorders if each.dropped or each in silent]
    told = lossy + [each for each in recorders if each not in lossy and now - each.seen_at <= LATELY]
    return [_balance(each, each in silent, lang) for each in told[:MOST_PROCESSES]]


def _all(parts: Sequence[str], lang: Language) -> str:
    first, *more = parts
    for each in more:
        first = lang("%(what)s; %(more)s", what=first, more=each)
    return first


def _balance(recorder: RecorderHealth, silent: bool, lang: Language) -> Finding:
    numbers = lang(
        "%(accepted)s accepted = %(stored)s stored + %(dropped)s dropped + %(queued)s queued",
        accepted=lang.number(recorder.accepted), stored=lang.number(recorder.stored),
        dropped=lang.number(recorder.dropped), queued=lang.number(recorder.queued),
    )  # fmt: skip
    cures = []
    if recorder.dropped:
        cures.append(
            lang.plural(
                "%(n)s request was lost, since the buffer was full or the database could not be written to: see its "
                "log",
                "%(n)s requests were lost, since the buffer was full or the database could not be written to: see its "
                "log",
                recorder.dropped,
            )
        )
    if silent:
        cures.append(
            lang(
                "silent since %(at)s UTC, so what it had queued is lost: stop the app by SIGTERM, not by kill -9",
                at=f"{recorder.seen_at:%Y-%m-%d %H:%M}",
            )
        )
    text = lang("the process %(name)s: %(what)s", name=recorder.id, what=_all([numbers, *cures], lang))
    return Finding("tracker", "warning" if cures else "ok", text)
