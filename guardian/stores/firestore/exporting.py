"""The part of `UsageRepository` on Firestore that exports rows of the published tables, for a person or a window."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from guardian.core.time import micros
from guardian.stores.events import Table
from guardian.stores.firestore import export
from guardian.stores.firestore.clients import read_clients, read_clients_between
from guardian.stores.firestore.keeping import FirestoreKeeping
from guardian.stores.firestore.streaming import tables_between
from tracker.event import Event

DAY_US = 86_400 * 1_000_000


class FirestoreExport(FirestoreKeeping):
    """Reads slices, piece by piece."""

    async def export_user(self, email: str) -> dict[str, Any] | None:
        """See UsageRepository. Maps the name of each published table to its rows."""
        found: dict[str, list[dict[str, Any]]] = {}
        async for table, rows in self.exported(email):
            found.setdefault(table, []).extend(rows)
        return found or None

    async def exported(self, email: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """See UsageRepository. Each piece is read separately."""
        names = await self._people(lambda people, aliases: export.names_of(people, aliases, email), complete=True)
        if not names:
            return
        seen, tables = (
            await self._do(lambda: read_clients(self.documents, names)),
            partial(tables_between, self.documents),
        )
        for pieces in export.pieces(names, partial(tables, 0, 2**62), seen):
            while (piece := await self._do(partial(next, pieces, None))) is not None:
                yield piece

    async def rows(self, table: Table, start: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """See UsageRepository. Each piece is read separately. Sessions are computed with a day of events more on both
        sides; a longer session comes out in several parts."""
        first, last = max(0, micros(start)), max(0, micros(end))
        await self._people(lambda people, aliases: None)  # cached names may have been erased
        if table != "user_sessions":
            pieces = export.rows_of(table, self._events(first, last))
        else:
            around = max(0, first - DAY_US), last + DAY_US
            seen = await self._do(lambda: read_clients_between(self.documents, *around, self._directory.names))
            pieces = export.sessions_between(self._events(*around), seen, first, last)
        while (piece := await self._do(partial(next, pieces, None))) is not None:
            if piece:
                yield piece

    def _events(self, start_us: int, end_us: int) -> Iterator[list[Event]]:
        """Everybody's events of [start, end), under the names that were recorded."""
        for table in tables_between(self.documents, start_us, end_us):
            yield table.events(self._directory.names(table.people.tolist()).__getitem__)
