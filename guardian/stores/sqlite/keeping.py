"""The part of `UsageRepository` on SQLite that writes, seals, erases and deletes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from guardian.core.time import micros
from guardian.core.unlinked import is_unlinked
from guardian.stores.sqlite.events_file import EventsFile
from guardian.stores.sqlite.people import People
from tracker.event import ANONYMOUS, Event

# Code that changes the store is imported where it is called, so that commands that only read start faster.


class SqliteKeeping(EventsFile):
    """Changes the store of events, and lists the names in it."""

    async def write(self, events: Sequence[Event]) -> int:
        """See UsageRepository."""
        from tracker.sqlite.writer import write_events

        return await self._with_connection(lambda db: write_events(db, events))

    async def seal(self, now: datetime) -> int:
        """See UsageRepository."""
        from guardian.stores.sqlite.sealing import seal

        return await self._with_connection(lambda db: seal(db, micros(now)))

    async def names(self) -> list[tuple[str, str]]:
        """See UsageRepository."""

        def read(db: sqlite3.Connection, people: People) -> list[tuple[str, str]]:
            rows = db.execute("SELECT id, email FROM guardian_user WHERE email != ? ORDER BY id", (ANONYMOUS,))
            return [(email, people.name(number, email)) for number, email in rows if not is_unlinked(email)]

        return await self._with_people(read)

    async def erase_user(self, email: str) -> bool:
        """See UsageRepository. Names are replaced by unlinkable ones, and sessions deleted."""
        from guardian.stores.sqlite.burying import erase

        return await self._with_people(lambda db, people: erase(db, people.numbers(db, [email])), complete=True)

    async def erase_buried(self, since: datetime) -> int:
        """See UsageRepository."""
        from guardian.stores.sqlite.burying import erase_buried

        return await self._with_connection(lambda db: erase_buried(db, micros(since)))

    async def purge(self, *, events_before: datetime, summaries_before: datetime) -> int:
        """See UsageRepository. Deletes events by whole 5 minutes, once they are summarised, and summaries by whole
        days."""
        from guardian.stores.sqlite.retention import purge

        return await self._with_connection(lambda db: purge(db, micros(events_before), micros(summaries_before)))

    async def purge_errors(self, before: datetime) -> int:
        """See UsageRepository."""
        from guardian.stores.sqlite.retention import purge_errors

        return await self._with_connection(lambda db: purge_errors(db, micros(before)))

    async def purge_sessions(self, before: datetime) -> int:
        """See UsageRepository."""
        from guardian.stores.sqlite.retention import purge_sessions

        return await self._with_connection(lambda db: purge_sessions(db, micros(before)))

    async def count_old(
        self, *, events_before: datetime, errors_before: datetime, sessions_before: datetime
    ) -> tuple[int, int, int]:
        """See UsageRepository."""
        from guardian.stores.sqlite.retention import count_old

        moments = micros(events_before), micros(errors_before), micros(sessions_before)
        return await self._with_connection(lambda db: count_old(db, *moments))
