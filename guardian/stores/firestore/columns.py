"""Single events of Firestore as rules read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np

from guardian.alerting.columns import Columns
from guardian.stores.firestore.directory import Directory, person_of
from guardian.stores.firestore.slices import AT, FAILURE, OUTCOME, PERSON, ROUTE, Table
from guardian.stores.people.aliases import Aliases

T = TypeVar("T")


def columns_of(directory: Directory, table: Table, aliases: Aliases) -> Columns:
    """The table's events as columns, with people named by the aliases."""
    rows = table.rows
    there = np.unique(rows[:, PERSON])
    ids = table.people[there].tolist() if len(rows) else []
    names = directory.names(ids)
    users, codes = _coded(person_of(aliases, names[number]) for number in ids)
    user = np.zeros(len(table.people), np.int64)
    user[there] = codes
    features, feature = _coded(route.feature for route in table.routes)
    failed = np.flatnonzero(rows[:, FAILURE] >= 0)
    lines = [each.location.rsplit("\n", 1)[-1] for each in table.failures]
    pairs = [
        (table.failures[place].kind, lines[place] or table.routes[route].feature)
        for place, route in rows[failed][:, [FAILURE, ROUTE]].tolist()
    ]
    failures, code = _coded(pairs)
    failure = np.full(len(rows), -1, np.int64)
    failure[failed] = code
    return Columns(
        rows[:, AT], user[rows[:, PERSON]], feature[rows[:, ROUTE]], rows[:, OUTCOME], table.latencies(), failure,
        users, features, failures,
    )  # fmt: skip


def _coded(values: Iterable[T]) -> tuple[list[T], np.ndarray]:
    """The distinct values, and the index of each given value among them."""
    places: dict[T, int] = {}
    codes = [places.setdefault(value, len(places)) for value in values]
    return list(places), np.array(codes, np.int64)
