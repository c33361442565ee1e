"""`UsageRepository` on SQLite: reads while the host app writes, without ever blocking it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from guardian.core.activity import Activity
from guardian.core.quiet import Quiet
from guardian.core.summary import Counts, Route, Summary, TimelineBar, fits
from guardian.core.time import micros
from guardian.core.totals import Totals
from guardian.stores.sqlite.activity import read_activity
from guardian.stores.sqlite.buckets import ids, time_of
from guardian.stores.sqlite.connections import in_one_state
from guardian.stores.sqlite.counts import read_counts, read_outcomes
from guardian.stores.sqlite.export import read_errors, read_sessions, read_usage
from guardian.stores.sqlite.keeping import SqliteKeeping
from guardian.stores.sqlite.listing import SqliteListing
from guardian.stores.sqlite.overview import SqliteOverview
from guardian.stores.sqlite.people import People, names_of
from guardian.stores.sqlite.quiet import read_quiet
from guardian.stores.sqlite.routes import all_routes
from guardian.stores.sqlite.totals import read_routes, read_totals
from tracker.event import ANONYMOUS, Event, Failure

T = TypeVar("T")

CHUNK = 5_000
"""How many rows one read fetches before it releases the database."""
_EVENTS = """
    SELECT e.id, u.email, r.endpoint, r.method, r.feature, e.status % 1000, e.duration_us, f.kind, f.message,
           f.location, e.latency_us, e.user
    FROM guardian_request e JOIN guardian_user u ON u.id = e.user JOIN guardian_route r ON r.id = e.route
    LEFT JOIN guardian_failure f ON f.id = e.failure
"""


class SqliteRepository(SqliteOverview, SqliteListing, SqliteKeeping):
    """The store of events in one SQLite file. Every method raises StorageError where the database cannot answer."""

    async def events(self, start: datetime, end: datetime, *, failed_only: bool = False) -> AsyncIterator[list[Event]]:
        """See UsageRepository. Each chunk is read separately, so no read holds back the write-ahead log for long."""
        failed = "AND e.failure IS NOT NULL" if failed_only else ""
        sql = f"{_EVENTS} WHERE e.id >= ? AND e.id < ? {failed} ORDER BY e.id LIMIT {CHUNK}"
        first, last = ids(micros(start), micros(end))
        people = await self._with_people(lambda db, people: people)

        def read(db: sqlite3.Connection) -> tuple[list[Event], int]:
            rows = db.execute(sql, (first, last)).fetchall()
            return [_event(row, people) for row in rows], rows[-1][0] + 1 if rows else first

        while True:
            found, first = await self._with_connection(read)
            if not found:
                return
            yield found

    async def summary(self, start: datetime, end: datetime, *, features: Sequence[str] = ()) -> Summary:
        """See UsageRepository."""
        summary, _ = await self.timeline([start, end], features=features)
        return summary

    async def timeline(
        self, edges: Sequence[datetime], *, features: Sequence[str] = ()
    ) -> tuple[Summary, list[TimelineBar]]:
        """See UsageRepository."""

        def read(db: sqlite3.Connection, people: People) -> tuple[Summary, list[TimelineBar]]:
            routes = all_routes(db)
            parts = [_totals(db, start, end, people, routes, features) for start, end in pairwise(edges)]
            whole = Totals.merge(parts)
            names = names_of(db, people, whole.users[:, 0].tolist())
            nobody = next((number for number, name in names.items() if name == ANONYMOUS), 0)
            bars = [_bar(start, part, nobody) for start, part in zip(edges[:-1], parts, strict=True)]
            return whole.summary(names, routes), bars

        return await self._of_one_state(read)

    async def activity(
        self, edges: Sequence[datetime], *, most: int | None = None, features: Sequence[str] = (), latency: bool = False
    ) -> tuple[Activity, list[TimelineBar]]:
        """See UsageRepository."""

        def read(db: sqlite3.Connection, people: People) -> tuple[Activity, list[TimelineBar]]:
            routes = all_routes(db)
            only = _routes_of(routes, features) if features else None
            return read_activity(db, people, edges, routes, most=most, only=only, latency=latency)

        return await self._of_one_state(read)

    async def counts(
        self, start: datetime, end: datetime, *, features: Sequence[str] = (), edges: Sequence[datetime] = ()
    ) -> Counts:
        """See UsageRepository."""

        def read(db: sqlite3.Connection, people: People) -> Counts:
            routes = all_routes(db)
            only = _routes_of(routes, features) if features else None
            return read_counts(db, people, edges or (start, end), routes, only=only, bars=bool(edges))

        return await self._of_one_state(read)

    async def outcomes(
        self, windows: Sequence[tuple[datetime, datetime]], *, features: Sequence[str] = ()
    ) -> list[Mapping[int, int]]:
        """See UsageRepository."""

        def read(db: sqlite3.Connection) -> list[Mapping[int, int]]:
            only = _routes_of(all_routes(db), features) if features else None
            return list[Mapping[int, int]](read_outcomes(db, windows, only=only))

        return await self._with_connection(lambda db: in_one_state(db, read))

    async def gone_quiet(self, start: datetime, end: datetime) -> list[Quiet]:
        """See UsageRepository."""
        return await self._of_one_state(lambda db, people: read_quiet(db, people, start, end))

    async def steps(
        self, email: str, start: datetime, end: datetime, *, most: int, features: Sequence[str] = ()
    ) -> list[Event]:
        """See UsageRepository. Reads the window backwards from its end, so keep it short for somebody who may have been
        idle."""

        def read(db: sqlite3.Connection, people: People) -> list[Event]:
            only = [people.numbers(db, [email]), *([_routes_of(all_routes(db), features)] if features else [])]
            conditions = " AND ".join(
                f"{column} IN ({', '.join(map(str, numbers))})"
                for column, numbers in zip(("e.user", "e.route"), only, strict=False)
            )
            sql = f"{_EVENTS} WHERE e.id >= ? AND e.id < ? AND {conditions} ORDER BY e.id DESC LIMIT ?"
            rows = db.execute(sql, (*ids(micros(start), micros(end)), most)).fetchall()
            return [_event(row, people) for row in reversed(rows)]

        return await self._with_people(read)

    async def export_user(self, email: str) -> dict[str, Any] | None:
        """See UsageRepository. Maps the name of each published table to its rows."""
        found: dict[str, list[dict[str, Any]]] = {}
        async for table, rows in self.exported(email):
            found.setdefault(table, []).extend(rows)
        return found or None

    async def exported(self, email: str) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
        """See UsageRepository. Each piece is read separately, in a thread with its own connection."""
        users = await self._with_people(lambda db, people: people.numbers(db, [email]), complete=True)
        if not users:
            return
        yield "user_sessions", await self._with_connection(lambda db: read_sessions(db, users))
        for table, read in (("feature_usage", read_usage), ("user_errors", read_errors)):
            last, rows = -1, list[dict[str, Any]]()
            while rows or last < 0:
                rows = await self._with_connection(partial(read, users=users, after=last))
                if rows or last < 0:
                    yield table, rows
                last = int(rows[-1]["id"]) if rows else 0


def _totals(
    db: sqlite3.Connection,
    start: datetime,
    end: datetime,
    people: People,
    routes: Mapping[int, Route],
    features: Sequence[str],
) -> Totals:
    """The totals of a window, with `features` only of their requests."""
    if features:
        return read_routes(db, micros(start), micros(end), _routes_of(routes, features), people)
    return read_totals(db, micros(start), micros(end), people)


def _event(row: Sequence[Any], people: People) -> Event:
    number, email, endpoint, method, feature, status, duration_us, kind, message, location, latency_us, user = row
    failure = None if kind is None else Failure(kind, message, location)
    name = people.name(user, email)
    return Event(time_of(number), name, endpoint, method, feature, status, duration_us, failure, latency_us)


def _routes_of(routes: Mapping[int, Route], features: Sequence[str]) -> list[int]:
    """The numbers of the routes whose feature matches one of the patterns."""
    return [number for number, route in routes.items() if fits(route.feature, features)]


def _bar(start: datetime, part: Totals, nobody: int) -> TimelineBar:
    users, requests, errors = part.users.T[:3]
    return TimelineBar(start, int(requests.sum()), int(errors.sum()), int((users != nobody).sum()))
