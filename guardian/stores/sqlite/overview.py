"""How much is stored in SQLite, and what the writing processes report."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from guardian.core.clock import SLACK
from guardian.core.storage import RecorderHealth, RecorderNote, Signs, StorageStats
from guardian.core.time import micros, moment
from guardian.stores.events import MOST_AHEAD
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import HOUR, MINUTES5, ids, meta, time_of
from guardian.stores.sqlite.damage import readable
from guardian.stores.sqlite.events_file import EventsFile
from guardian.stores.sqlite.log import log_bytes
from guardian.stores.sqlite.people import People, number_of_nobody
from guardian.stores.sqlite.totals import count_events

_RECENT_RECORDERS = """
    SELECT * FROM guardian_recorder WHERE seen_us >=
        (SELECT coalesce(max(seen_us), 0) FROM guardian_recorder WHERE seen_us <= ?) - ?
    ORDER BY seen_us DESC
"""
_NOTES = (
    "SELECT recorder, kind, detail, count, seen_us FROM guardian_recorder_note WHERE seen_us >= ? ORDER BY seen_us DESC"
)
_NEWEST = "SELECT max(id) FROM guardian_request WHERE id < ?"
_AHEAD = f"SELECT count(*) FROM (SELECT 1 FROM guardian_request WHERE id >= ? LIMIT {MOST_AHEAD})"
_SIGNS = f"""
    SELECT (SELECT json_group_array(json_array(id, started_us, seen_us, accepted, stored, dropped, version))
            FROM ({_RECENT_RECORDERS})),
        ({_NEWEST}), ({_AHEAD}),
        (SELECT json_group_array(json_array(recorder, kind, detail, count, seen_us)) FROM ({_NOTES}))
"""
_LAST_ID = 2**63 - 1
_WEEK_US = 7 * 86400 * 1_000_000


class SqliteOverview(EventsFile):
    """The part of `UsageRepository` that describes the store as a whole."""

    async def stats(self, now: datetime | None = None) -> StorageStats:
        """See UsageRepository."""

        def read(db: sqlite3.Connection, people: People) -> StorageStats:
            # Separately, each query only looks at the ends of the B-tree; together they would visit every row.
            (oldest,) = db.execute("SELECT min(id) FROM guardian_request").fetchone()
            (newest,) = db.execute(_NEWEST, (_first_ahead(now),)).fetchone()
            (pages,), (page_size,) = (db.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
            totals = _totals_since(db)
            return StorageStats(
                count_events(db),
                _count_people(db, people),
                oldest=_time_of(oldest),
                newest=_time_of(newest),
                size_bytes=pages * page_size,
                purged=meta(db, "purged_events"),
                totals_since=None if totals is None else moment(totals),
                place=_absolute(self._path),
            )

        return await self._of_one_state(read)

    async def unmerged_bytes(self) -> int:
        """See UsageRepository."""
        # Not in a thread: all may be busy, and looking at a file takes microseconds.
        return log_bytes(self._path)

    async def newest_event(self, now: datetime | None = None) -> datetime | None:
        """See UsageRepository."""
        [(newest,)] = await self._read(_NEWEST, (_first_ahead(now),))
        return _time_of(newest)

    async def events_ahead(self, now: datetime) -> int:
        """See UsageRepository."""
        [(count,)] = await self._read(_AHEAD, (_first_ahead(now),))
        return int(count)

    async def let_expire(self, keep: timedelta, now: datetime) -> None:
        """See UsageRepository: a SQLite file deletes nothing by itself."""

    async def recorders(self, now: datetime | None = None) -> list[RecorderHealth]:
        """See UsageRepository."""
        latest = _LAST_ID if now is None else micros(now + SLACK)
        rows = await self._read(_RECENT_RECORDERS, (latest, _WEEK_US))
        with readable(self._path):
            return _recorders(rows)

    async def recorder_notes(self, since: datetime) -> list[RecorderNote]:
        """See UsageRepository."""
        rows = await self._read(_NOTES, (micros(since),))
        with readable(self._path):
            return _notes(rows)

    async def signs(self, now: datetime, since: datetime) -> Signs:
        """See UsageRepository. One statement with one row: beside a thread that computes, each further row and each way
        to a thread and back waits for it."""
        ahead = _first_ahead(now)
        [row] = await self._read(_SIGNS, (micros(now + SLACK), _WEEK_US, ahead, ahead, micros(since)))
        with readable(self._path):
            recorders, notes = _recorders(json.loads(row[0])), _notes(json.loads(row[3]))
            return Signs(recorders, _time_of(row[1]), row[2], notes, log_bytes(self._path))

    async def feature_names(self) -> set[str]:
        """See UsageRepository."""
        return {name for (name,) in await self._read("SELECT DISTINCT feature FROM guardian_route")}


def _recorders(rows: Iterable[Sequence[Any]]) -> list[RecorderHealth]:
    return [RecorderHealth(row[0], moment(row[1]), moment(row[2]), *row[3:7]) for row in rows]


def _notes(rows: Iterable[Sequence[Any]]) -> list[RecorderNote]:
    return [RecorderNote(name, kind, detail, count, moment(seen)) for name, kind, detail, count, seen in rows]


def _time_of(number: int | None) -> datetime | None:
    return None if number is None else moment(time_of(number))


def _totals_since(db: sqlite3.Connection) -> int | None:
    """When the first 5 minutes with totals begin; None if there are none. Of a lone hour its events say it."""
    hour, found = seals.first(db, HOUR), seals.first(db, MINUTES5)
    if hour is None or (found is not None and found < hour + HOUR):
        return found
    (first,) = db.execute("SELECT min(id) FROM guardian_request WHERE id >= ?", ids(hour, 0)[:1]).fetchone()
    return int(time_of(first)) // MINUTES5 * MINUTES5


def _count_people(db: sqlite3.Connection, people: People) -> int:
    """How many people were ever seen, including erased ones."""
    return people.known.count(db) - (number_of_nobody(db) > 0) - len(people.same)


def _first_ahead(now: datetime | None) -> int:
    """The key of the first event that lies too far in the future; after all events if `now` is None."""
    return _LAST_ID if now is None else ids(micros(now + SLACK) + 1, 0)[0]


def _absolute(name: str) -> str:
    return os.path.abspath(name)
