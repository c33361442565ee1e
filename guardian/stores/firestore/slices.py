"""Slices of events as they are read: columns of numbers, and the values behind them (`tracker.firestore.slices`)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from guardian.core import codec
from guardian.core.storage import StorageError
from guardian.core.summary import WEBSOCKET, Route
from guardian.core.totals import Totals
from tracker.event import NOT_MEASURED, NOTED, Event, Failure
from tracker.firestore.slices import IS_DURATION, VERSION, packed_names

_WIDTH = 7
AT, PERSON, ROUTE, OUTCOME, DURATION, LATENCY, FAILURE = range(_WIDTH)
"""The columns of `Table.rows`."""


@dataclass(frozen=True)
class Table:
    """Single events in order of time: `rows` has one row for each event, with indices into `people` (their ids),
    `routes` and `failures` (-1: none). A latency of IS_DURATION equals the duration."""

    rows: np.ndarray
    people: np.ndarray
    routes: Sequence[Route]
    failures: Sequence[Failure]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, wanted: np.ndarray) -> Table:
        """Only these rows."""
        return Table(self.rows[wanted], self.people, self.routes, self.failures)

    def between(self, start_us: int, end_us: int) -> Table:
        """Only the events of [start, end)."""
        first, last = np.searchsorted(self.rows[:, AT], (start_us, end_us))
        return Table(self.rows[first:last], self.people, self.routes, self.failures)

    def in_order(self) -> Table:
        """The table sorted by time, with unused entries of `people` removed."""
        rows = self.rows[np.argsort(self.rows[:, AT], kind="stable")]
        there, rows[:, PERSON] = np.unique(rows[:, PERSON], return_inverse=True)
        return Table(rows, self.people[there], self.routes, self.failures)

    def failed(self) -> Table:
        """Only those that failed."""
        return self.where(np.flatnonzero(self.rows[:, FAILURE] >= 0))

    def latencies(self) -> np.ndarray:
        """Each latency (µs): until the answer began, or the whole duration where that is not known."""
        latency = self.rows[:, LATENCY]
        return np.where(latency == IS_DURATION, self.rows[:, DURATION], latency)

    def of_features(self, fits: Callable[[str], bool]) -> Table:
        """Only the events whose feature matches."""
        wanted = np.array([fits(route.feature) for route in self.routes], bool)
        return self.where(np.flatnonzero(wanted[self.rows[:, ROUTE]])) if len(self) else self

    def events(self, name: Callable[[int], str]) -> list[Event]:
        """The events, with names for the ids of people."""
        names = [name(number) for number in self.people.tolist()]
        found = []
        for at, person, route, outcome, duration, latency, failure in self.rows.tolist():
            feature, endpoint, method = self.routes[route]
            found.append(
                Event(
                    at, names[person], endpoint, method, feature, outcome % NOTED, duration,
                    None if failure < 0 else self.failures[failure],
                    None if latency == IS_DURATION else latency,
                )
            )  # fmt: skip
        return found

    def totals(self, persons: np.ndarray, routes: np.ndarray) -> Totals:
        """Their totals, with people and routes renumbered by these arrays."""
        rows = self.rows
        if not len(rows):
            return Totals.of([])
        latency, status = rows[:, LATENCY], rows[:, OUTCOME] % NOTED
        measured = np.where(status == WEBSOCKET, NOT_MEASURED, rows[:, DURATION])
        latency = np.where(latency == IS_DURATION, measured, latency)
        columns = (rows[:, AT], persons[rows[:, PERSON]], routes[rows[:, ROUTE]], rows[:, OUTCOME], rows[:, DURATION])
        return Totals.of(np.stack((*columns, latency), axis=1))


EMPTY = Table(np.zeros((0, _WIDTH), np.int64), np.zeros(0, np.int64), (), ())


def table_of(documents: Iterable[tuple[str, Mapping[str, Any]]]) -> Table:
    """The events of these documents, given as (name, fields), in order of time."""
    tables = [_table(fields) for _, fields in sorted(documents, key=lambda each: (each[1]["start"], each[0]))]
    joined = join(tables)
    return joined.where(np.argsort(joined.rows[:, AT], kind="stable"))


def join(tables: Sequence[Table]) -> Table:
    """The tables concatenated into one."""
    if not tables:
        return EMPTY
    if len(tables) == 1:
        return tables[0]
    ids = np.unique(np.concatenate([table.people for table in tables]))
    routes: dict[Route, int] = {}
    failures: dict[Failure, int] = {}
    rows = []
    for table in tables:
        mine = table.rows.copy()
        if len(mine):
            mine[:, PERSON] = np.searchsorted(ids, table.people)[mine[:, PERSON]]
            mine[:, ROUTE] = np.array([routes.setdefault(each, len(routes)) for each in table.routes])[mine[:, ROUTE]]
            codes = np.array([*(failures.setdefault(each, len(failures)) for each in table.failures), -1])
            mine[:, FAILURE] = codes[mine[:, FAILURE]]
        rows.append(mine)
    return Table(np.concatenate(rows), ids, list(routes), list(failures))


def _table(fields: Mapping[str, Any]) -> Table:
    if fields.get("v") != VERSION:
        raise StorageError("a slice of events is of a newer version of the tracker: upgrade usage-guardian")
    return unpacked(fields["body"], fields["names"])


def unpacked(body: bytes, packed: bytes) -> Table:
    """The table of these packed columns and names. Raises StorageError if they are damaged."""
    try:
        columns, names = codec.unpack(body), names_in(packed)
    except (ValueError, zlib.error) as error:
        raise StorageError("a slice of events in Firestore is damaged: restore it from a backup") from error
    return Table(
        np.stack(columns, axis=1),
        np.array(names["people"], np.int64),
        [Route(*each) for each in names["routes"]],
        [Failure(*each) for each in names["failures"]],
    )


def names_in(packed: bytes) -> Any:
    """The object `names` of a slice or of a seal. Raises ValueError or zlib.error for anything else."""
    return json.loads(zlib.decompress(packed))


def packed(table: Table) -> tuple[bytes, bytes]:
    """The fields `body` and `names` for these events, without unused names."""
    rows = table.rows.copy()
    kept = []
    for column, names in ((PERSON, table.people.tolist()), (ROUTE, table.routes), (FAILURE, table.failures)):
        there = rows[:, column] >= 0
        places, rows[there, column] = np.unique(rows[there, column], return_inverse=True)
        kept.append([names[place] for place in places.tolist()])
    return codec.pack(list(rows.T)), packed_names(*kept)


def wordy(table: Table, before_us: int) -> np.ndarray:
    """Flags of the events before a moment whose error has more than its kind."""
    says = np.array([*(each != Failure(each.kind, each.kind) for each in table.failures), False])
    found: np.ndarray = says[table.rows[:, FAILURE]] & (table.rows[:, AT] < before_us)
    return found


def bare(table: Table, rows: np.ndarray) -> Table:
    """The same events, with only the kind left of the errors in these rows."""
    kinds = [Failure(each.kind, each.kind) for each in table.failures]
    changed = table.rows.copy()
    changed[rows, FAILURE] += len(table.failures)
    failures: dict[Failure, int] = {}
    places = [failures.setdefault(each, len(failures)) for each in (*table.failures, *kinds)]
    changed[:, FAILURE] = np.array([*places, -1])[changed[:, FAILURE]]
    return Table(changed, table.people, table.routes, list(failures))
