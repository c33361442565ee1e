"""Imports logs: lines to requests, requests to events, events in big batches into the store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import tzinfo

from guardian.application.importing.marks import Marks
from guardian.application.importing.outcome import Outcome
from guardian.application.importing.reading import How, Read, read
from guardian.application.importing.turning import Turning
from guardian.core.access_log.columns import Requests
from guardian.core.access_log.places import Places
from guardian.core.off_loop import no_collection
from guardian.core.time import moment
from guardian.stores.backend import Backend
from guardian.stores.importing import Imports
from guardian.stores.people.book import NO_BOOK
from tracker.event import Event

BATCH = 20_000
"""Events in one transaction, which takes about 100 ms, during which the app's recorder waits."""
LEARN = 50_000
"""How many lines are examined to learn path words before the first is stored."""
Progress = Callable[[str, int], None]
"""Called with the name of the current file, and how many bytes of it were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to import, and how. `format` None means to tell it from each file; `zone` is that of times that name none;
    without `people` everybody is anonymous; events from `now_us` on are refused."""

    files: Sequence[str]
    zone: tzinfo
    now_us: int
    format: str | None = None
    routes: Sequence[str] = ()
    people: bool = True


def import_into(
    database: Backend, wanted: Wanted, progress: Progress, sealing: Callable[[], None], *, dry_run: bool
) -> Outcome:
    """Import into a database, which is made where there is none, and add the events up; `sealing` is told when that
    begins. With `dry_run` nothing is made or stored, but what the database has counts. Blocks.

    Raises what `import_logs` does.
    """
    if dry_run and not database.exists():
        return import_logs(wanted, None, progress)
    imports = database.imports()
    try:
        outcome = import_logs(wanted, imports, progress, dry_run=dry_run)
    finally:
        imports.close()
    if outcome.imported and not dry_run:
        sealing()
        asyncio.run(_seal(database, wanted.now_us))
    return outcome


async def _seal(database: Backend, now_us: int) -> None:
    events = await database.open_events(NO_BOOK)
    try:
        await events.seal(moment(now_us))
    finally:
        await events.close()


def import_logs(
    wanted: Wanted, store: Imports | None, progress: Progress = lambda name, read: None, *, dry_run: bool = False
) -> Outcome:
    """Import the files, and say what came of them. Without a store no line counts as imported before; with `dry_run`
    nothing is stored.

    Raises ValueError for a file of no known format, OSError for one that cannot be read, StorageError.
    """
    outcome = Outcome()
    work = _Work(wanted, store, outcome, dry_run=dry_run)
    with no_collection():
        for name in wanted.files:
            work.read(name, progress)
            work.store_all()
    return outcome


class _Work:
    def __init__(self, wanted: Wanted, store: Imports | None, outcome: Outcome, *, dry_run: bool) -> None:
        self._wanted, self._outcome = wanted, outcome
        self._store = None if dry_run else store
        self._places = Places(wanted.routes)
        self._turn = Turning(self._places, outcome, people=wanted.people)
        self._marks = Marks(lambda _: ()) if store is None else Marks(store.marks)
        self._how = How(wanted.format, wanted.zone, wanted.now_us, b"" if store is None else store.key)
        recorded = None if store is None else store.recorded_since_us()
        # Most logs have whole seconds: entries in the same second may be the same request.
        self._recorded_us = 2**63 if recorded is None else recorded // 1_000_000 * 1_000_000
        self._purged_us = 0 if store is None else store.purged_until_us()
        self._events: list[Event] = []
        self._waiting: list[Requests] | None = []

    def read(self, name: str, progress: Progress) -> None:
        """Read one file. What is not stored yet waits for `store_all`."""
        self._marks.next_file()
        with closing(read(name, self._how)) as several:
            for some in several:
                self._outcome.formats[name] = some.format
                self._take(name, some)
                progress(name, some.read_bytes)

    def _take(self, name: str, some: Read) -> None:
        self._outcome.lines += some.lines
        for number, why in some.refused:
            self._outcome.refuse(name, number, why)
        if self._waiting is None:
            self._keep(some.requests)
        else:
            self._waiting.append(some.requests)
            if sum(len(each.line) for each in self._waiting) >= LEARN:
                self._learned()
        if len(self._events) >= BATCH:
            self._write()

    def _learned(self) -> None:
        waiting, self._waiting = self._waiting, None
        for requests in waiting or ():
            self._places.learn_all(requests.target, requests.status)
        for requests in waiting or ():
            self._keep(requests)

    def _keep(self, requests: Requests) -> None:
        before = requests.only([at < self._recorded_us for at in requests.at_us])
        young = before.only([at >= self._purged_us for at in before.at_us])
        used = young.only([not skipped for skipped in self._turn.skips(young.target)])
        new = used.only(self._marks.new(used.line, used.at_us))
        outcome, sizes = self._outcome, [len(each.line) for each in (requests, before, young, used, new)]
        outcome.recorded += sizes[0] - sizes[1]
        outcome.old += sizes[1] - sizes[2]
        outcome.skipped += sizes[2] - sizes[3]
        outcome.known += sizes[3] - sizes[4]
        self._events += self._turn.events(new)

    def store_all(self) -> None:
        """Store what waits."""
        if self._waiting is not None:
            self._learned()
            self._waiting = []
        self._write()

    def _write(self) -> None:
        events, self._events = self._events, []
        self._turn.note(events)
        if self._store is not None and events:
            self._store.add(events, self._marks.added)
        self._marks.stored()
