"""`UsageRepository` on Firestore: every method does its work in a thread, on the synchronous client of the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np

from guardian.core.activity import ERRORS_PER_USER, Activity
from guardian.core.quiet import LAST_THING, Quiet, Visits, gone_quiet, quiet_window, regular
from guardian.core.storage import RecorderHealth, RecorderNote, StorageError, StorageStats, WindowGone
from guardian.core.summary import Counts, Summary, TimelineBar, fits
from guardian.core.time import micros
from guardian.core.totals import Totals
from guardian.stores.firestore import erasing, export, overview, retention, sealing, writing
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.progress import as_table, slices_between
from guardian.stores.firestore.seals import MINUTES5
from guardian.stores.firestore.slices import PERSON, Table
from guardian.stores.firestore.windows import Windows
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.book import NO_BOOK, AliasBook
from tracker.event import ANONYMOUS, Event
from tracker.firestore.address import parse

T = TypeVar("T")

CHUNK = 5_000
"""How many events a piece has, and up to 5 minutes more."""


class FirestoreRepository:
    """The store of events in one database. Every method raises StorageError where it does not answer."""

    def __init__(self, address: str, book: AliasBook = NO_BOOK) -> None:
        self.documents = Documents(parse(address))
        self._directory = Directory(self.documents)
        self._book = book

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(work)

    async def _windows(self, work: Callable[[Windows], T], *, complete: bool = False) -> T:
        """Run work on one state of the store. With `complete` StorageError where an id of a person may be missing."""

        def run() -> T:
            aliases = self._book.current()
            if complete and self._book.trouble:
                raise StorageError(f"not all ids of a person are known, since {self._book.trouble}")
            return work(Windows(self.documents, self._directory, aliases))

        return await self._do(run)

    async def _people(self, work: Callable[[Directory, Aliases], T], *, complete: bool = False) -> T:
        """Run work on the people. With `complete` StorageError where an id of a person may be missing."""

        def run() -> T:
            aliases = self._book.current()
            if complete and self._book.trouble:
                raise StorageError(f"not all ids of a person are known, since {self._book.trouble}")
            self._directory.refresh()
            return work(self._directory, aliases)

        return await self._do(run)

    async def write(self, events: Sequence[Event]) -> int:
        """See UsageRepository. More events than a commit holds are several."""
        return await self._do(lambda: writing.write(self.documents, events))

    async def events(self, start: datetime, end: datetime, *, failed_only: bool = False) -> AsyncIterator[list[Event]]:
        """See UsageRepository. Each chunk is a read of its own."""
        first, last = max(0, micros(start)), micros(end)
        windows = await self._windows(lambda windows: windows)

        def read(pieces: Iterator[Table]) -> list[Event] | None:
            table = next(pieces, None)
            return None if table is None else _named(windows, table.failed() if failed_only else table)

        pieces = _tables(self.documents, first, last)
        while (found := await self._do(partial(read, pieces))) is not None:
            if found:
                yield found

    async def summary(self, start: datetime, end: datetime, *, features: Sequence[str] = ()) -> Summary:
        """See UsageRepository."""
        summary, _ = await self.timeline([start, end], features=features)
        return summary

    async def timeline(
        self, edges: Sequence[datetime], *, features: Sequence[str] = ()
    ) -> tuple[Summary, list[TimelineBar]]:
        """See UsageRepository."""
        return await self._windows(lambda windows: _timeline(windows, edges, features))

    async def activity(
        self, edges: Sequence[datetime], *, most: int | None = None, features: Sequence[str] = ()
    ) -> tuple[Activity, list[TimelineBar]]:
        """See UsageRepository."""

        def read(windows: Windows) -> tuple[Activity, list[TimelineBar]]:
            summary, bars = _timeline(windows, edges, features)
            table = _failed(windows, edges[0], edges[-1], features)
            failures = _newest(windows, table, ERRORS_PER_USER)
            return Activity.of(summary, failures, micros(edges[0]), most=most), bars

        return await self._windows(read)

    async def counts(self, start: datetime, end: datetime, *, features: Sequence[str] = ()) -> Counts:
        """See UsageRepository."""
        return (await self.summary(start, end, features=features)).counts()

    async def gone_quiet(self, start: datetime, end: datetime) -> list[Quiet]:
        """See UsageRepository."""
        begin, since, until = quiet_window(start, end)

        def read(windows: Windows) -> list[Quiet]:
            try:
                users = _timeline(windows, [begin, end], ())[0].users
            except WindowGone:
                return []
            visits = [
                Visits(name, user.requests, user.first_start_us, user.last_us)
                for name, user in users.items()
                if name != ANONYMOUS and micros(since) <= user.last_us < micros(until)
            ]
            failures = _newest(windows, _failed(windows, since - LAST_THING, until, ()), 1)
            return gone_quiet(regular(visits), failures)

        return await self._windows(read)

    async def seal(self, now: datetime) -> int:
        """See UsageRepository."""
        return await self._do(lambda: sealing.seal(self.documents, micros(now)))

    async def recent_failures(
        self,
        start: datetime,
        end: datetime,
        *,
        per_user: int,
        users: Sequence[str] | None = None,
        features: Sequence[str] = (),
    ) -> dict[str, list[Event]]:
        """See UsageRepository."""

        def read(windows: Windows) -> dict[str, list[Event]]:
            table = _failed(windows, start, end, features)
            if users is not None:
                table = _of(table, windows.ids(users))
            return _newest(windows, table, per_user)

        return await self._windows(read)

    async def steps(
        self, email: str, start: datetime, end: datetime, *, most: int, features: Sequence[str] = ()
    ) -> list[Event]:
        """See UsageRepository."""

        def read(windows: Windows) -> list[Event]:
            table = _of(windows.table(micros(start), micros(end)), windows.ids([email]))
            if features:
                table = table.of_features(lambda name: fits(name, features))
            return _named(windows, table)[-most:] if most else []

        return await self._windows(read)

    async def export_user(self, email: str) -> dict[str, Any] | None:
        """See UsageRepository. Keys are the published tables, each a list of rows as objects."""
        found: dict[str, list[dict[str, Any]]] = {}
        async for table, rows in self.exported(email):
            found.setdefault(table, []).extend(rows)
        return found or None

    async def exported(self, email: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """See UsageRepository. Each piece is a read of its own."""
        names = await self._people(lambda people, aliases: export.names_of(people, aliases, email), complete=True)
        if not names:
            return
        for pieces in export.pieces(names, partial(_tables, self.documents, 0, 2**62)):
            while (piece := await self._do(partial(next, pieces, None))) is not None:
                yield piece

    async def names(self) -> list[tuple[str, str]]:
        """See UsageRepository."""
        return await self._people(overview.names)

    async def erase_user(self, email: str) -> bool:
        """See UsageRepository. Each name makes way for an unlinkable one."""
        return await self._people(
            lambda people, aliases: erasing.erase(self.documents, people, people.documents_of([email], aliases)),
            complete=True,
        )

    async def erase_buried(self, since: datetime) -> int:
        """See UsageRepository."""
        return await self._people(lambda people, _: erasing.erase_buried(self.documents, people, micros(since)))

    async def purge(self, *, events_before: datetime, summaries_before: datetime) -> int:
        """See UsageRepository. Whole 5 minutes of events go, once they are summarised, and whole days of summaries."""
        return await self._people(
            lambda people, _: retention.purge(self.documents, people, micros(events_before), micros(summaries_before))
        )

    async def purge_errors(self, before: datetime) -> int:
        """See UsageRepository."""
        return await self._do(lambda: retention.purge_errors(self.documents, micros(before)))

    async def purge_sessions(self, before: datetime) -> int:
        """See UsageRepository. Sessions are made of events when somebody asks, so none outlives them."""
        return 0

    async def count_old(
        self, *, events_before: datetime, errors_before: datetime, sessions_before: datetime
    ) -> tuple[int, int, int]:
        """See UsageRepository."""
        return await self._do(
            lambda: (*retention.count_old(self.documents, micros(events_before), micros(errors_before)), 0)
        )

    async def stats(self, now: datetime | None = None) -> StorageStats:
        """See UsageRepository."""
        return await self._people(lambda people, aliases: overview.stats(self.documents, people, aliases, now))

    async def newest_event(self, now: datetime | None = None) -> datetime | None:
        """See UsageRepository."""
        return await self._do(lambda: overview.newest_event(self.documents, now))

    async def events_ahead(self, now: datetime) -> int:
        """See UsageRepository."""
        return await self._do(lambda: overview.events_ahead(self.documents, now))

    async def recorders(self, now: datetime | None = None) -> list[RecorderHealth]:
        """See UsageRepository."""
        return await self._do(lambda: overview.recorders(self.documents, now))

    async def recorder_notes(self, since: datetime) -> list[RecorderNote]:
        """See UsageRepository."""
        return await self._do(lambda: overview.recorder_notes(self.documents, since))

    async def feature_names(self) -> set[str]:
        """See UsageRepository."""
        return await self._do(lambda: overview.feature_names(self.documents))

    async def reopen(self) -> None:
        """See UsageRepository."""

    async def close(self) -> None:
        """See UsageRepository. The client stays: it is the process'."""
        self.documents.closed = True


def _timeline(
    windows: Windows, edges: Sequence[datetime], features: Sequence[str]
) -> tuple[Summary, list[TimelineBar]]:
    parts = [windows.totals(micros(start), micros(end), features) for start, end in pairwise(edges)]
    numbers = windows.numbers
    nobody = next((number for number, name in numbers.names.items() if name == ANONYMOUS), -1)
    bars = [
        TimelineBar(
            start, int(part.users[:, 1].sum()), int(part.users[:, 2].sum()), int((part.users[:, 0] != nobody).sum())
        )
        for start, part in zip(edges[:-1], parts, strict=True)
    ]
    return Totals.merge(parts).summary(numbers.names, numbers.routes), bars


def _failed(windows: Windows, start: datetime, end: datetime, features: Sequence[str]) -> Table:
    """The failed events of the window."""
    table = windows.table(micros(start), micros(end)).failed()
    return table.of_features(lambda name: fits(name, features)) if features else table


def _newest(windows: Windows, table: Table, most: int) -> dict[str, list[Event]]:
    """The newest of these events of each user, oldest first."""
    found: dict[str, list[Event]] = {}
    for event in _named(windows, table):
        found.setdefault(event.user, []).append(event)
    return {user: mine[-most:] for user, mine in found.items()}


def _of(table: Table, ids: Sequence[int]) -> Table:
    """Only the events of the people with these ids."""
    mine = np.isin(table.people, np.array(ids, np.int64))
    return table.where(np.flatnonzero(mine[table.rows[:, PERSON]])) if len(table) else table


def _named(windows: Windows, table: Table) -> list[Event]:
    """The events, with the names of the people there are among them."""
    ids = table.people[np.unique(table.rows[:, PERSON])].tolist() if len(table) else []
    names = windows.persons_of(ids)
    return table.events(lambda number: names.get(number, ""))


def _tables(documents: Documents, start_us: int, end_us: int) -> Iterator[Table]:
    """The single events of [start, end) in the order of time, some at a time."""
    first = start_us
    while found := slices_between(documents, first, end_us, limit=200):
        full = len(found) == 200
        last = int(found[-1].fields["start"]) // MINUTES5 * MINUTES5
        if full:
            # The 5 minutes that the last one belongs to may go on.
            found = [each for each in found if each.fields["start"] < last] or slices_between(
                documents, last, last + MINUTES5
            )
            last = int(found[-1].fields["start"]) // MINUTES5 * MINUTES5
        table = as_table(found).between(start_us, end_us)
        for at in range(0, len(table), CHUNK):
            yield table.where(np.arange(at, min(at + CHUNK, len(table))))
        if not full:
            return
        first = last + MINUTES5
