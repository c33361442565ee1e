"""The part of `UsageRepository` on Firestore that writes, deletes, and describes the store as a whole."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar, cast

from guardian.core.off_loop import in_thread
from guardian.core.storage import RecorderHealth, RecorderNote, Signs, StorageError, StorageStats
from guardian.core.time import micros
from guardian.core.turnover import Turnover
from guardian.stores.firestore import erasing, overview, retention, sealing, writing
from guardian.stores.firestore.answers import Answer
from guardian.stores.firestore.clients import purge_clients
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.expiring import let_expire
from guardian.stores.firestore.kept import Kept
from guardian.stores.firestore.turnover import read_turnover
from guardian.stores.firestore.windows import Windows
from guardian.stores.one_state import held
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.book import NO_BOOK, AliasBook
from tracker.event import Event
from tracker.firestore.address import parse

T = TypeVar("T")


class FirestoreKeeping:
    """One database. Every method works in a thread, on the process's synchronous client, and raises StorageError if the
    database does not answer."""

    def __init__(self, address: str, book: AliasBook = NO_BOOK) -> None:
        self.documents = Documents(parse(address))
        self._directory = Directory(self.documents)
        self._book = book
        self._kept = Kept(self.documents)

    def _windows(self) -> Windows:
        """How the store stands; what is read `of_one_state` asks once."""
        state = held()
        if self._kept not in state:
            state[self._kept] = Windows(self.documents, self._kept)
        return cast(Windows, state[self._kept])

    async def _do(self, work: Callable[[], T]) -> T:
        return await in_thread(work)

    async def _people(self, work: Callable[[Directory, Aliases], T], *, complete: bool = False) -> T:
        """Run `work` with the people of the database. With `complete`, raises StorageError if a person's id may be
        missing."""

        def run() -> T:
            aliases = self._book.current()
            if complete and self._book.trouble:
                raise StorageError(f"not all ids of a person are known, since {self._book.trouble}")
            state = held()
            if self._directory not in state:
                state[self._directory] = self._directory.refresh()
            return work(self._directory, aliases)

        return await self._do(run)

    async def write(self, events: Sequence[Event]) -> int:
        """See UsageRepository. Uses several commits if the events do not fit into one."""
        return await self._do(lambda: writing.write(self.documents, events))

    async def seal(self, now: datetime) -> int:
        """See UsageRepository."""
        held().pop(self._kept, None)

        def work() -> int:
            people = set[int]()
            written = sealing.seal(self.documents, micros(now), people)
            if people:
                self._directory.list_names(people)
            return written

        return await self._do(work)

    async def turnover(self, edges: Sequence[datetime]) -> Turnover:
        """See UsageRepository."""
        return await self._people(
            lambda people, aliases: read_turnover(Answer(self._windows(), people, aliases), edges)
        )

    async def names(self) -> list[tuple[str, str]]:
        """See UsageRepository."""
        return await self._people(overview.names)

    async def erase_user(self, email: str) -> bool:
        """See UsageRepository. Each name is replaced by an unlinkable one."""
        return await self._people(
            lambda people, aliases: erasing.erase(self.documents, people, people.documents_of([email], aliases)),
            complete=True,
        )

    async def erase_buried(self, since: datetime) -> int:
        """See UsageRepository."""
        return await self._do(lambda: erasing.erase_buried(self.documents, self._directory, micros(since)))

    async def purge(self, *, events_before: datetime, summaries_before: datetime) -> int:
        """See UsageRepository. Deletes events by whole 5 minutes, once they are summarised, and summaries by whole
        days."""
        return await self._people(
            lambda people, _: retention.purge(self.documents, people, micros(events_before), micros(summaries_before))
        )

    async def let_expire(self, keep: timedelta, now: datetime) -> None:
        """See UsageRepository. Trackers read the setting once an hour."""
        await self._do(lambda: let_expire(self.documents, keep // timedelta(microseconds=1), micros(now)))

    async def purge_errors(self, before: datetime) -> int:
        """See UsageRepository."""
        return await self._do(lambda: retention.purge_errors(self.documents, micros(before)))

    async def purge_sessions(self, before: datetime) -> int:
        """See UsageRepository. Sessions are computed from events on demand, so none outlives them; only client
        information is deleted."""
        await self._do(lambda: purge_clients(self.documents, micros(before)))
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
        return await self._people(lambda people, aliases: overview.stats(self._windows(), people, aliases, now))

    async def unmerged_bytes(self) -> int:
        """See UsageRepository."""
        return 0

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

    async def signs(self, now: datetime, since: datetime) -> Signs:
        """See UsageRepository. All are asked for at the same time."""
        recorders, newest, ahead, notes = await asyncio.gather(
            self.recorders(now), self.newest_event(now), self.events_ahead(now), self.recorder_notes(since)
        )
        return Signs(recorders, newest, ahead, notes, 0)

    async def feature_names(self) -> set[str]:
        """See UsageRepository."""
        return await self._do(lambda: overview.feature_names(self.documents))

    async def reopen(self) -> None:
        """See UsageRepository."""

    async def close(self) -> None:
        """See UsageRepository. The client stays open: the process shares it."""
        self.documents.closed = True
