"""What Guardian noticed about the recording: nobody is recognised, no route is known, tokens are refused. Pure.

A report that says "0 active users, OK" is worthless if the tracker cannot recognise users. Notes are what the report,
`guardian check` and the API say of that, each with a number and a cure; `core.note_words` has the words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from guardian.core.activity import Activity
from guardian.core.language import language
from guardian.core.note_words import KINDS, note_words
from guardian.core.storage import RecorderHealth, RecorderNote, StorageStats
from guardian.core.summary import Counts, fits
from tracker.event import NOTED, UNMATCHED

ENOUGH = 20
"""With fewer requests than this, that all of them are anonymous may be chance, once somebody was recognised."""
SILENT = timedelta(minutes=2)
"""A living process writes every 30 seconds at least; one that was silent for longer than this has stopped."""


class Note(NamedTuple):
    """One thing to know. `kind` is a key of `note_words.KINDS`, or of a newer tracker another; `count` is how often,
    `detail` a reason, a name or a file; "" for none."""

    kind: str
    count: int  # type: ignore[assignment]  # a tuple's own method, which nobody asks of a note
    detail: str = ""


def as_json(note: Note) -> dict[str, Any]:
    """`kind`, `count`, `detail`, and in English `text` and `cure` (one sentence each; `cure` "" for none)."""
    text, cure = note_words(*note, language())
    return {"kind": note.kind, "count": note.count, "detail": note.detail, "text": text, "cure": cure}


def in_order(notes: Iterable[Note]) -> list[Note]:
    """The worst kind first, the most frequent first of each."""
    ranks = {kind: rank for rank, kind in enumerate(KINDS)}
    return sorted(notes, key=lambda note: (ranks.get(note.kind, len(ranks)), -note.count, note.detail))


def tracker_notes(
    said: Sequence[RecorderNote], recorders: Sequence[RecorderHealth], *, start: datetime, end: datetime, now: datetime
) -> list[Note]:
    """What the writing processes reported since `start`, with the counts of equal reasons added up. Counts cover the
    whole time since a process started. A process that started at `end` or later does not concern the window.
    """
    later = {each.id for each in recorders if each.started_at >= end}
    counts: dict[tuple[str, str], int] = {}
    for each in said:
        if each.seen_at >= start and each.recorder not in later:
            key = (each.kind, each.detail)
            counts[key] = counts.get(key, 0) + each.count
    found = [Note(kind, count, detail) for (kind, detail), count in counts.items() if count > 0]
    lost = sum(each.queued for each in gone_silent(recorders, now) if each.seen_at >= start and each.id not in later)
    return [*found, Note("silent", lost)] if lost else found


def gone_silent(recorders: Iterable[RecorderHealth], now: datetime) -> list[RecorderHealth]:
    """The processes that ended, or hang, with events that they had accepted and not stored."""
    return [each for each in recorders if each.queued > 0 and now - each.seen_at > SILENT]


def traffic_notes(
    totals: Activity | Counts,
    *,
    stats: StorageStats | None,
    known_features: Collection[str] | None,
    critical_features: Sequence[str],
) -> list[Note]:
    """What the requests of a window show. `stats` and `known_features` are of the whole store; None: not known."""
    if stats is not None and never_recorded(stats):
        return [Note("never", 0, stats.place)]
    found, total = [], totals.requests
    features = {route.feature for route in totals.routes} | set(known_features or ())
    if total and not totals.active_users and (total >= ENOUGH or (stats is not None and not stats.users)):
        found.append(Note("anonymous", total))
    found += _unmatched(
        totals, known=known_features is None or not all(name.startswith(UNMATCHED) for name in features)
    )
    if features:
        found += [Note("critical_features", 0, each) for each in critical_features if not _used(each, features)]
    return found


def never_recorded(stats: StorageStats) -> bool:
    """Whether no request was ever recorded: there is none, and none was deleted."""
    return not stats.events and not stats.purged and stats.totals_since is None


def _used(pattern: str, features: Collection[str]) -> bool:
    return any(fits(name, [pattern]) for name in features)


def _unmatched(traffic: Activity | Counts, *, known: bool) -> list[Note]:
    """Whether routes are not recognised; `known` says that some were, at some time.

    Their feature is `(unmatched)`, unless the app named it; a method may follow (`feature_names = "method"`). Paths
    that nobody serves, such as scanners ask for, match no route either; they prove nothing, and are answered with 404.
    """
    total = traffic.requests
    mine = [totals for route, totals in traffic.routes.items() if route.feature.startswith(UNMATCHED)]
    number = sum(totals.requests for totals in mine)
    telling = number - sum(count for t in mine for code, count in t.statuses.items() if code % NOTED == 404)
    if total and number == total and (telling >= ENOUGH or not known):
        return [Note("unmatched", total)]
    if total >= ENOUGH and telling * 2 >= total:
        return [Note("often_unmatched", number, str(total))]
    return []
