"""Failed requests in SQLite grouped by type and place, counted in arrays a day at a time."""

from __future__ import annotations

import json
import sqlite3

import numpy as np

from guardian.core.counting import begins, distinct
from guardian.core.failure_groups import FailureGroup, GroupKey, group_key, in_order, new_group
from guardian.stores.sqlite.buckets import DAY, ids, time_of
from guardian.stores.sqlite.failures import TEXTS, read_failed, rows_of
from guardian.stores.sqlite.people import People, names_of
from guardian.stores.sqlite.routes import all_routes
from tracker.event import Failure

_WAITING = 500_000
"""Counts by person are added up whenever this many have collected, so that memory does not grow with the window."""
_STATUS, _ROUTE = 32, 44
_FAILURE, _OUTCOME = (1 << _STATUS) - 1, (1 << _ROUTE - _STATUS) - 1
"""The bit positions and widths for packing a route, a status and a failure into one number."""


class _Sums:
    """How often each (route, status, failure) came, when first and last (keys), and for which people.

    `numbers` numbers these triples; `spans` has, by that number, the first key, the last key and the count.
    """

    def __init__(self) -> None:
        self.numbers: dict[int, int] = {}
        self.spans: list[list[int]] = []
        self._met, self._waiting = [np.zeros((0, 3), np.int64)], 0

    def add(self, table: np.ndarray) -> None:
        """Count rows of `rows_of`, in order of time and later than all rows before."""
        keys, persons = table[:, 0], table[:, 1]
        kinds = table[:, 2] << _ROUTE | table[:, 3] << _STATUS | table[:, 5]
        distinct, first, place, count = np.unique(kinds, return_index=True, return_inverse=True, return_counts=True)
        last = np.zeros(len(distinct), np.int64)
        last[place] = keys  # for equal indices the last one wins
        here = np.zeros(len(distinct), np.int64)
        for i, (kind, began, ended, number) in enumerate(
            zip(distinct.tolist(), keys[first].tolist(), last.tolist(), count.tolist(), strict=True)
        ):
            here[i] = known = self.numbers.setdefault(kind, len(self.numbers))
            if known == len(self.spans):
                self.spans.append([began, ended, 0])
            self.spans[known][1] = ended
            self.spans[known][2] += number
        self._met.append(added(here[place], persons, np.ones(len(persons), np.int64)))
        self._waiting += len(self._met[-1])
        if self._waiting > _WAITING:
            self._met, self._waiting = [self.met()], 0

    def met(self) -> np.ndarray:
        """Rows of (number, person, how often)."""
        return added(*np.concatenate(self._met).T)


def added(kinds: np.ndarray, persons: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """One row for each (number, person), with their counts added up."""
    if not len(kinds):
        return np.zeros((0, 3), np.int64)
    order = np.lexsort((persons, kinds))
    kinds, persons, counts = kinds[order], persons[order], counts[order]
    new = begins(kinds) | begins(persons)
    first = np.flatnonzero(new)
    return np.stack((kinds[first], persons[first], np.add.reduceat(counts, first)), axis=1)


def read_failure_groups(db: sqlite3.Connection, people: People, start_us: int, end_us: int) -> list[FailureGroup]:
    """See UsageRepository.failure_groups; call it inside a transaction."""
    sums = _Sums()
    (oldest,), (newest,) = (db.execute(f"SELECT {end}(id) FROM guardian_request").fetchone() for end in ("min", "max"))
    if newest is None:
        return []
    at, end_us = max(start_us, time_of(oldest)), min(end_us, time_of(newest) + 1)
    while at < end_us:
        until = min(end_us, at // DAY * DAY + DAY)
        table = rows_of(db, people, read_failed(db, people, ids(at, until), with_routes=True))
        if len(table):
            sums.add(table)
        at = until
    return in_order(_named(db, people, sums))


def _named(db: sqlite3.Connection, people: People, sums: _Sums) -> list[FailureGroup]:
    routes = all_routes(db)
    texts = sorted({kind & _FAILURE for kind in sums.numbers})
    why = {row[0]: Failure(*row[1:]) for row in db.execute(TEXTS, (json.dumps(texts),))}
    found: dict[GroupKey, FailureGroup] = {}
    of_kind: dict[int, FailureGroup] = {}
    for kind, number in sorted(sums.numbers.items(), key=lambda each: sums.spans[each[1]][0]):
        (feature, endpoint, method), (first, last, count) = routes[kind >> _ROUTE], sums.spans[number]
        failure, status = why.get(kind & _FAILURE), kind >> _STATUS & _OUTCOME
        key = group_key(method, endpoint, status % 1000, failure)
        if key not in found:
            found[key] = new_group(key, feature, failure, time_of(first))
        group = of_kind[number] = found[key]
        group.count += count
        group.last_us = max(group.last_us, time_of(last))
    met = sums.met()
    names = names_of(db, people, distinct(met[:, 1]).tolist())
    for number, person, count in met.tolist():
        mine, name = of_kind[number].people, names[person]
        mine[name] = mine.get(name, 0) + count
    return list(found.values())
