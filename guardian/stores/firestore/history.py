"""The history that rules are judged on, read from Firestore. Calls block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns, MinuteCounts
from guardian.alerting.history import NOTHING_MORE, History, Wanted, first_sightings
from guardian.core.clock import SLACK
from guardian.core.cursor import Cursor
from guardian.stores.firestore.directory import Directory, person_of
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.progress import as_table, slices_between
from guardian.stores.firestore.slices import AT, DURATION, FAILURE, LATENCY, OUTCOME, PERSON, ROUTE, Table
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.book import NO_BOOK, AliasBook
from tracker.firestore.address import parse
from tracker.firestore.sink import RECORDERS, SLICES
from tracker.firestore.slices import IS_DURATION

T = TypeVar("T")

_SLACK_US = SLACK // timedelta(microseconds=1)


class FirestoreHistory:
    """`HistoryStore` on one database."""

    def __init__(self, address: str, book: AliasBook = NO_BOOK) -> None:
        self._documents = Documents(parse(address))
        self._directory = Directory(self._documents)
        self._book = book

    def first_event(self) -> int | None:
        """See HistoryStore."""
        found = self._documents.query(SLICES, order=[("start", "ASCENDING")], limit=1)
        return int(found[0].fields["start"]) if found else None

    def read(
        self, start: int, end: int, *, single_events: int, imported: bool = True, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """See HistoryStore."""
        aliases = self._book.current()
        self._directory.refresh()
        found = slices_between(self._documents, 0, 2**62)
        if not imported:
            found = [each for each in found if not each.fields.get("imported")]
        table = as_table(found)
        everything = self._columns(table, aliases)
        inside = self._columns(table.between(start * MINUTE_US, end * MINUTE_US), aliases)
        first = max(start, end - -(-single_events // 60))
        history = History(
            MinuteCounts.of(inside, start, end),
            _from(inside, first * MINUTE_US),
            first_sightings(everything),
            int(table.rows[0, AT]) if len(table) else None,
            self._heartbeats(end),
            singles_us=first * MINUTE_US,
            cursor=Cursor({"slices": len(table)}),
        )
        return replace(
            history,
            earlier=_earlier(table, wanted),
            last_used=_last_used(table, start, wanted),
        )

    def grown(
        self, history: History, end: int, *, keep: int, single_events: int, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """See HistoryStore."""
        return self.read(end - keep, end, single_events=single_events, imported=False, wanted=wanted)

    async def reopen(self) -> None:
        """See HistoryStore."""

    def _heartbeats(self, end: int) -> list[int]:
        latest = (end + 2) * MINUTE_US + _SLACK_US
        found = self._documents.query(RECORDERS, ("seen_us", "<=", latest), order=[("seen_us", "ASCENDING")])
        return [int(each.fields["seen_us"]) for each in found]

    def _columns(self, table: Table, aliases: Aliases) -> Columns:
        """The events as rules read them."""
        rows = table.rows
        names = self._directory.names(table.people.tolist())
        users, user = _coded(person_of(aliases, names[number]) for number in table.people.tolist())
        features, feature = _coded(route.feature for route in table.routes)
        latency = np.where(rows[:, LATENCY] == IS_DURATION, rows[:, DURATION], rows[:, LATENCY])
        failed = np.flatnonzero(rows[:, FAILURE] >= 0)
        pairs = [
            (
                table.failures[failure].kind,
                table.failures[failure].location.rsplit("\n", 1)[-1] or table.routes[route].feature,
            )
            for failure, route in rows[failed][:, [FAILURE, ROUTE]].tolist()
        ]
        failures, code = _coded(pairs)
        failure = np.full(len(rows), -1, np.int64)
        failure[failed] = code
        return Columns(
            rows[:, AT], user[rows[:, PERSON]], feature[rows[:, ROUTE]], rows[:, OUTCOME], latency, failure,
            users, features, failures,
        )  # fmt: skip


def _coded(values: Iterable[T]) -> tuple[list[T], np.ndarray]:
    """The different values, and for each given one its place among them."""
    places: dict[T, int] = {}
    codes = [places.setdefault(value, len(places)) for value in values]
    return list(places), np.array(codes, np.int64)


def _from(columns: Columns, start_us: int) -> Columns:
    """Those events from a moment on."""
    first = int(np.searchsorted(columns.at_us, start_us))
    return replace(
        columns,
        **{
            name: getattr(columns, name)[first:]
            for name in ("at_us", "user", "feature", "status", "duration_us", "failure")
        },
    )


def _earlier(table: Table, wanted: Wanted) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {minute: {} for minutes in wanted.minutes.values() for minute in minutes}
    for at, route in table.rows[:, [AT, ROUTE]].tolist():
        if (counts := found.get(at // MINUTE_US)) is not None:
            for name in ("", table.routes[route].feature):
                counts[name] = counts.get(name, 0) + 1
    return found


def _last_used(table: Table, start: int, wanted: Wanted) -> dict[str, int]:
    if wanted.known_us is None:
        return {}
    used = table.between(wanted.known_us, start * MINUTE_US)
    return {
        table.routes[route].feature: at // MINUTE_US * MINUTE_US for at, route in used.rows[:, [AT, ROUTE]].tolist()
    }
