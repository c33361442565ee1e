"""How much is stored in Firestore, and what the writing processes report."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from guardian.core.clock import SLACK
from guardian.core.storage import RecorderHealth, RecorderNote, StorageStats
from guardian.core.time import micros, moment
from guardian.core.unlinked import AMONG, is_unlinked
from guardian.stores.events import MOST_AHEAD
from guardian.stores.firestore import counting, seals
from guardian.stores.firestore.buckets import MINUTES5
from guardian.stores.firestore.directory import Directory, person_of
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.progress import as_table
from guardian.stores.firestore.slices import AT
from guardian.stores.firestore.windows import Windows
from guardian.stores.people.aliases import Aliases
from tracker.firestore.people import PEOPLE
from tracker.firestore.sink import FEATURES, NOTES, RECORDERS, SLICES

_NEWEST = 5
"""Among the events of so many slices is the newest one: who has more instances is told of one that is seconds older."""
_WEEK_US = 7 * 86400 * 1_000_000


def stats(windows: Windows, people: Directory, aliases: Aliases, now: datetime | None) -> StorageStats:
    """See `UsageRepository.stats`. Firestore does not tell the size in bytes."""
    documents = windows.documents
    oldest = documents.query(SLICES, order=[("start", "ASCENDING")], limit=1)
    oldest_us = int(oldest[0].fields["start"]) if oldest else None
    return StorageStats(
        events=0 if oldest_us is None else counting.events(windows, oldest_us),
        users=_users(documents, people, aliases),
        oldest=None if oldest_us is None else moment(oldest_us),
        newest=newest_event(documents, now),
        size_bytes=0,
        purged=windows.progress.purged,
        totals_since=_totals_since(documents),
        place=str(documents.address),
    )


def _users(documents: Documents, people: Directory, aliases: Aliases) -> int:
    erased = documents.query(PEOPLE, ("name", ">=", AMONG[0]), ("name", "<", AMONG[1]))
    if not aliases.addresses:
        return documents.total(PEOPLE) - len(erased) + len({person_of(aliases, each.fields["name"]) for each in erased})
    return len({person_of(aliases, each.fields["name"]) for each in people.everyone()})


def _totals_since(documents: Documents) -> datetime | None:
    first = documents.first_named(seals.SEALS, "m")
    return None if first is None else moment(seals.start_of(first.name))


def names(people: Directory, aliases: Aliases) -> list[tuple[str, str]]:
    """See `UsageRepository.names`."""
    found = [each.fields["name"] for each in people.everyone()]
    return [(name, person_of(aliases, name)) for name in found if not is_unlinked(name)]


def newest_event(documents: Documents, now: datetime | None) -> datetime | None:
    """See `UsageRepository.newest_event`."""
    until = 2**62 if now is None else micros(now + SLACK) + 1
    found = documents.query(SLICES, ("start", "<", until), order=[("start", "DESCENDING")], limit=_NEWEST)
    if not found:
        return None
    times = as_table(found).rows[:, AT]
    return moment(int(times[times < until].max())) if (times < until).any() else None


def events_ahead(documents: Documents, now: datetime) -> int:
    """See `UsageRepository.events_ahead`."""
    first = micros(now + SLACK) + 1
    found = documents.query(SLICES, ("start", ">=", first - MINUTES5), order=[("start", "ASCENDING")], limit=200)
    if not found:
        return 0
    return min(int((as_table(found).rows[:, AT] >= first).sum()), MOST_AHEAD)


def recorders(documents: Documents, now: datetime | None) -> list[RecorderHealth]:
    """See `UsageRepository.recorders`."""
    latest = 2**62 if now is None else micros(now + SLACK)
    found = documents.query(RECORDERS, ("seen_us", "<=", latest), order=[("seen_us", "DESCENDING")], limit=1)
    newest = int(found[0].fields["seen_us"]) if found else 0
    rows = documents.query(RECORDERS, ("seen_us", ">=", newest - _WEEK_US), order=[("seen_us", "DESCENDING")])
    return [_health(each.fields) for each in rows]


def _health(row: Mapping[str, Any]) -> RecorderHealth:
    return RecorderHealth(
        id=row["recorder"],
        started_at=moment(row["started_us"]),
        seen_at=moment(row["seen_us"]),
        accepted=int(row["accepted"]),
        stored=int(row["stored"]),
        dropped=int(row["dropped"]),
        version=row["version"],
    )


def recorder_notes(documents: Documents, since: datetime) -> list[RecorderNote]:
    """See `UsageRepository.recorder_notes`."""
    rows = documents.query(NOTES, ("seen_us", ">=", micros(since)), order=[("seen_us", "DESCENDING")])
    return [
        RecorderNote(row["recorder"], row["kind"], row["detail"], int(row["count"]), moment(row["seen_us"]))
        for row in (each.fields for each in rows)
    ]


def feature_names(documents: Documents) -> set[str]:
    """See `UsageRepository.feature_names`."""
    return {each.fields["name"] for each in documents.query(FEATURES)}
