"""`UsageRepository` on Firestore: the part that reads events and summaries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TypeVar

import numpy as np

from guardian.core.activity import ERRORS_PER_USER, Activity, reached
from guardian.core.failure_groups import FailureGroup, groups_of
from guardian.core.listing import Listing, Place, listed
from guardian.core.quiet import LAST_THING, Quiet, Visits, gone_quiet, quiet_window, regular
from guardian.core.roster import Roster
from guardian.core.storage import WindowGone
from guardian.core.summary import Counts, Summary, TimelineBar, fits
from guardian.core.time import micros
from guardian.stores.firestore.answers import Answer, newest_of
from guardian.stores.firestore.buckets import added_by
from guardian.stores.firestore.exporting import FirestoreExport
from guardian.stores.firestore.slices import PERSON, Table
from guardian.stores.firestore.streaming import tables_between
from tracker.event import ANONYMOUS, Event

T = TypeVar("T")


class FirestoreRepository(FirestoreExport):
    """The store of events in one database. Every method raises StorageError where it does not answer."""

    async def _answer(self, work: Callable[[Answer], T]) -> T:
        """Run `work` on one consistent state of the store."""
        return await self._people(lambda people, aliases: work(Answer(self._windows(), people, aliases)))

    async def events(self, start: datetime, end: datetime, *, failed_only: bool = False) -> AsyncIterator[list[Event]]:
        """See UsageRepository. Each chunk is read separately."""
        answer = await self._answer(lambda answer: answer)

        def read(pieces: Iterator[Table]) -> list[Event] | None:
            table = next(pieces, None)
            return None if table is None else answer.events(table.failed() if failed_only else table)

        pieces = tables_between(self.documents, max(0, micros(start)), micros(end))
        while (found := await self._do(partial(read, pieces))) is not None:
            if found:
                yield found

    async def failure_groups(self, start: datetime, end: datetime) -> list[FailureGroup]:
        """See UsageRepository. Reads single events: sealed hours hold only the newest failures of each person."""
        return await groups_of(self.events(start, end, failed_only=True))

    async def summary(self, start: datetime, end: datetime, *, features: Sequence[str] = ()) -> Summary:
        """See UsageRepository."""
        summary, _ = await self.timeline([start, end], features=features)
        return summary

    async def timeline(
        self, edges: Sequence[datetime], *, features: Sequence[str] = ()
    ) -> tuple[Summary, list[TimelineBar]]:
        """See UsageRepository."""

        def read(answer: Answer) -> tuple[Summary, list[TimelineBar]]:
            pieces = answer.windows.pieces([micros(edge) for edge in edges], features, hourly=True)
            return answer.summary(pieces), answer.bars(pieces, edges)

        return await self._answer(read)

    async def activity(
        self, edges: Sequence[datetime], *, most: int | None = None, features: Sequence[str] = (), latency: bool = False
    ) -> tuple[Activity, list[TimelineBar]]:
        """See UsageRepository."""

        def read(answer: Answer) -> tuple[Activity, list[TimelineBar]]:
            times = [micros(edge) for edge in edges]
            pieces = answer.windows.pieces(times, features, hourly=not latency)
            found = answer.activity(pieces, times[0], ERRORS_PER_USER, most)
            took = answer.latencies(pieces, times) if latency else []
            return replace(found, latencies=tuple(took)), answer.bars(pieces, edges)

        return await self._answer(read)

    async def counts(
        self, start: datetime, end: datetime, *, features: Sequence[str] = (), edges: Sequence[datetime] = ()
    ) -> Counts:
        """See UsageRepository."""
        times = [micros(at) for at in edges or (start, end)]
        try:
            return await self._answer(
                lambda answer: answer.counts(answer.windows.pieces(times, features, hourly=True), edges)
            )
        except WindowGone:
            if not edges:
                raise
            return await self.counts(start, end, features=features)

    async def outcomes(
        self, windows: Sequence[tuple[datetime, datetime]], *, features: Sequence[str] = ()
    ) -> list[Mapping[int, int]]:
        """See UsageRepository."""

        def read(answer: Answer) -> list[Mapping[int, int]]:
            found: list[Mapping[int, int]] = []
            for start, end in windows:
                try:
                    pieces = answer.windows.pieces([micros(start), micros(end)], features)
                except WindowGone:
                    break
                found.append(added_by(answer.totals(pieces, active=False).statuses))
            return found

        return await self._answer(read)

    async def latencies(self, edges: Sequence[datetime]) -> list[dict[int, int]]:
        """See UsageRepository."""

        def read(answer: Answer) -> list[dict[int, int]]:
            times = [micros(edge) for edge in edges]
            return answer.latencies(answer.windows.pieces(times), times)

        return await self._answer(read)

    async def people(self, start: datetime, end: datetime, *, after: Place | None, most: int) -> Listing:
        """See UsageRepository."""
        everybody, _ = await self.activity([start, end])
        return listed(everybody, after, most)

    async def roster(self, start: datetime, end: datetime, *, back: timedelta) -> Roster:
        """See UsageRepository."""
        since = (start - back).replace(minute=0, second=0, microsecond=0)

        def read(answer: Answer) -> Roster:
            times = [micros(at) for at in (since, start, end)]
            try:
                pieces = answer.windows.pieces(times)
            except WindowGone:
                return Roster.of(answer.summary(answer.windows.pieces(times[1:])), times[1], {})
            before = answer.summary([each for each in pieces if each.start < times[1]])
            seen = {name: user.last_us for name, user in before.users.items() if name != ANONYMOUS}
            return Roster.of(answer.summary([each for each in pieces if each.start >= times[1]]), times[1], seen)

        return await self._answer(read)

    async def reached(self, start: datetime, end: datetime) -> dict[str, int]:
        """See UsageRepository."""
        return reached(await self.summary(start, end))

    async def bars(self, edges: Sequence[datetime], *, features: Sequence[str] = ()) -> list[TimelineBar]:
        """See UsageRepository."""

        def read(answer: Answer) -> list[TimelineBar]:
            times = [micros(edge) for edge in edges]
            pieces = answer.windows.pieces(times, hourly=not features)
            if not features:
                return answer.bars(pieces, edges)
            spans = pairwise(times)
            parts = [answer.totals([each for each in pieces if a <= each.start < b], active=False) for a, b in spans]
            only = [number for number, route in answer.routes.items() if fits(route.feature, features)]
            return [answer.bar(start, part, only) for start, part in zip(edges, parts, strict=False)]

        return await self._answer(read)

    async def gone_quiet(self, start: datetime, end: datetime) -> list[Quiet]:
        """See UsageRepository."""
        begin, since, until = quiet_window(start, end)
        met = since - LAST_THING

        def read(answer: Answer) -> list[Quiet]:
            try:
                pieces = answer.windows.pieces([micros(at) for at in (begin, met, until, end)])
            except WindowGone:
                return []
            users = answer.totals(pieces, active=False).users
            users = users[(users[:, 5] >= micros(since)) & (users[:, 5] < micros(until))]
            visits = [
                Visits(str(number), requests, first, last)
                for number, requests, first, last in users[:, [0, 1, 4, 5]].tolist()
                if number != answer.nobody
            ]
            came = {int(each.user): each for each in regular(visits)}
            meanwhile = [each for each in pieces if micros(met) <= each.start < micros(until)]
            failed = newest_of(answer, meanwhile, 1)
            theirs = np.isin(answer.persons(failed.people), list(came))
            failed = failed.where(np.flatnonzero(theirs[failed.rows[:, PERSON]])) if len(failed) else failed
            failures = answer.failures(failed)
            names = answer.names(answer.persons(failed.people[np.unique(failed.rows[:, PERSON])]).tolist())
            return gone_quiet((came[number]._replace(user=name) for number, name in names.items()), failures)

        return await self._answer(read)

    async def steps(
        self, email: str, start: datetime, end: datetime, *, most: int, features: Sequence[str] = ()
    ) -> list[Event]:
        """See UsageRepository."""

        def read(answer: Answer) -> list[Event]:
            table = answer.windows.table(micros(start), micros(end)).of_features(lambda name: _any(name, features))
            return answer.events(_of(answer, table, [email]))[-most:] if most else []

        return await self._answer(read)


def _any(name: str, features: Sequence[str]) -> bool:
    return not features or fits(name, features)


def _of(answer: Answer, table: Table, users: Sequence[str] | None) -> Table:
    """The table with only these people's events; None means everybody."""
    if users is None or not len(table):
        return table
    mine = np.isin(answer.persons(table.people), answer.persons(answer.ids(users)))
    return table.where(np.flatnonzero(mine[table.rows[:, PERSON]]))
