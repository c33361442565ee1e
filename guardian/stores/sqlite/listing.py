"""What pages show for a window, counted in arrays: everybody who was there, or some of them, and a timeline."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from guardian.core.activity import ERRORS_PER_USER, Active
from guardian.core.counting import among, grouped_columns
from guardian.core.failure_groups import FailureGroup
from guardian.core.listing import Listing, Place
from guardian.core.roster import Roster
from guardian.core.summary import TimelineBar, fits
from guardian.core.time import micros
from guardian.core.totals import Part
from guardian.core.turnover import Turnover
from guardian.core.unlinked import is_unlinked
from guardian.stores.events import Table
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.activity import features_by_use
from guardian.stores.sqlite.bars import read_bars
from guardian.stores.sqlite.buckets import ids
from guardian.stores.sqlite.counts import NOTHING
from guardian.stores.sqlite.covering import pieces, runs
from guardian.stores.sqlite.events_file import EventsFile
from guardian.stores.sqlite.export import page_of
from guardian.stores.sqlite.failure_groups import read_failure_groups
from guardian.stores.sqlite.failures import events_of, read_failed
from guardian.stores.sqlite.latencies import read_latencies
from guardian.stores.sqlite.people import ERASED, People, names_of, number_of_nobody
from guardian.stores.sqlite.roster import read_reached, read_roster
from guardian.stores.sqlite.routes import all_features
from guardian.stores.sqlite.tables import features_of
from guardian.stores.sqlite.totals import read_raw, read_totals
from guardian.stores.sqlite.turnover import read_turnover
from tracker.sqlite.connection import undo


class SqliteListing(EventsFile):
    """The part of `UsageRepository` that lists people, makes timelines, and exports the tables."""

    async def turnover(self, edges: Sequence[datetime]) -> Turnover:
        """See UsageRepository."""
        return await self._of_one_state(lambda db, people: read_turnover(db, people, edges))

    async def roster(self, start: datetime, end: datetime, *, back: timedelta) -> Roster:
        """See UsageRepository."""
        since = (start - back).replace(minute=0, second=0, microsecond=0)
        return await self._of_one_state(
            lambda db, people: read_roster(db, people, micros(start), micros(end), micros(since))
        )

    async def reached(self, start: datetime, end: datetime) -> dict[str, int]:
        """See UsageRepository."""
        return await self._of_one_state(lambda db, people: read_reached(db, people, micros(start), micros(end)))

    async def bars(self, edges: Sequence[datetime], *, features: Sequence[str] = ()) -> list[TimelineBar]:
        """See UsageRepository."""

        def read(db: sqlite3.Connection, people: People) -> list[TimelineBar]:
            only = [number for number, name in all_features(db).items() if fits(name, features)] if features else None
            return read_bars(db, people, edges, only)

        return await self._of_one_state(read)

    async def latencies(self, edges: Sequence[datetime]) -> list[dict[int, int]]:
        """See UsageRepository."""
        return await self._of_one_state(lambda db, people: read_latencies(db, edges))

    async def failure_groups(self, start: datetime, end: datetime) -> list[FailureGroup]:
        """See UsageRepository."""
        return await self._of_one_state(lambda db, people: read_failure_groups(db, people, micros(start), micros(end)))

    async def rows(self, table: Table, start: datetime, end: datetime) -> AsyncIterator[list[dict[str, Any]]]:
        """See UsageRepository. Each piece is read separately."""
        page, last = page_of(table, micros(start), micros(end)), -1
        while rows := await self._with_connection(partial(page, after=last)):
            yield rows
            last = int(rows[-1]["id"])

    async def people(self, start: datetime, end: datetime, *, after: Place | None, most: int) -> Listing:
        """See UsageRepository."""

        def read(db: sqlite3.Connection, people: People) -> Listing:
            db.execute("BEGIN")  # seals, events and names of one state
            try:
                return _read_listing(db, people, micros(start), micros(end), after, most)
            finally:
                undo(db)

        return await self._with_people(read)


def _read_listing(
    db: sqlite3.Connection, people: People, start_us: int, end_us: int, after: Place | None, most: int
) -> Listing:
    users = read_totals(db, start_us, end_us, people, (Part.PEOPLE, Part.TIMES)).users
    erased = [number for number, email in db.execute(ERASED) if is_unlinked(email)]
    left_out = [*erased, number_of_nobody(db)]
    users = users[~np.isin(users[:, 0], people.persons(np.array(left_out, np.int64)))]
    number, requests, errors = users[:, 0], users[:, 1], users[:, 2]
    if after is not None:
        equal = (errors == after.errors) & (requests == after.requests) & (number > after.tie)
        fewer = (errors == after.errors) & (requests < after.requests)
        users = users[(errors < after.errors) | fewer | equal]
        number, requests, errors = users[:, 0], users[:, 1], users[:, 2]
    page = users[np.lexsort((number, -requests, -errors))[:most]]
    names = names_of(db, people, page[:, 0].tolist())
    used = _features(db, people, start_us, end_us, page[:, 0])
    minutes = (page[:, 6] - np.maximum(0, start_us - page[:, 4]) + 30_000_000) // 60_000_000
    failed = read_failed(db, people, ids(start_us, end_us), with_routes=True)
    failed = failed.where(np.flatnonzero(among(failed.persons, np.sort(page[:, 0])))).last_of_each(ERRORS_PER_USER)
    last = page[-1].tolist() if len(users) > most else None
    return Listing(
        [
            Active(names[one], asked, bad, time, used.get(one, ()))
            for (one, asked, bad), time in zip(page[:, :3].tolist(), minutes.tolist(), strict=True)
        ],
        events_of(db, people, failed),
        None if last is None else Place(last[2], last[1], last[0]),
    )


def _features(
    db: sqlite3.Connection, people: People, start_us: int, end_us: int, wanted: np.ndarray
) -> dict[int, tuple[str, ...]]:
    """For each of these people, the features that they used, most used first."""
    (features, codes), wanted = features_of(db), np.sort(wanted)
    found = [[column[:0] for column in NOTHING.T]]
    for span, at, until in runs(pieces(db, start_us, end_us)):
        if span:
            users, routes, counts = seals.columns(db, Part.USED, span, at, until, (0, 1, 2))
        else:
            users, routes, counts = read_raw(db, at, until, people=people).used.T
        persons = people.persons(users)
        mine = among(persons, wanted)
        found.append([persons[mine], codes[routes[mine]], counts[mine]])
    return features_by_use(grouped_columns(*(np.concatenate(parts) for parts in zip(*found, strict=True))), features)
