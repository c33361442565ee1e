"""The bars of a timeline in SQLite, of the whole app or of some features: from sealed summaries, without names.

To be called inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

import numpy as np

from guardian.core.counting import among
from guardian.core.summary import TimelineBar
from guardian.core.time import micros
from guardian.core.totals import Part, Totals
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.counts import active
from guardian.stores.sqlite.covering import Piece, pieces_between, runs
from guardian.stores.sqlite.people import People, number_of_nobody
from guardian.stores.sqlite.totals import read_raw


def read_bars(
    db: sqlite3.Connection, people: People, edges: Sequence[datetime], only: Sequence[int] | None
) -> list[TimelineBar]:
    """A bar for each two neighbours; with `only`, of these numbers of routes alone. Raises WindowGone."""
    nobody = number_of_nobody(db)
    routes = None if only is None else np.array(sorted(only), np.int64)
    found = []
    times = [micros(edge) for edge in edges]
    made = pieces_between(db, times)
    for start, inside in zip(edges[:-1], made, strict=True):
        who, requests, errors = _bar(db, people, inside, routes)
        found.append(TimelineBar(start, requests, errors, active(who, nobody)))
    return found


def _bar(
    db: sqlite3.Connection, people: People, made: Sequence[Piece], routes: np.ndarray | None
) -> tuple[np.ndarray, int, int]:
    """The numbers of the people, of each once or more, how many requests there were, and how many failed."""
    users, requests, errors = [np.zeros(0, np.int64)], 0, 0
    for span, at, until in runs(made):
        single = None if span else read_raw(db, at, until, None if routes is None else routes.tolist())
        if routes is None:
            who, asked, failed = _of(db, single, Part.PEOPLE, span, at, until)
            users.append(who)
            requests += int(asked.sum())
            errors += int(failed.sum())
            continue
        who, route, _ = _of(db, single, Part.USED, span, at, until)
        users.append(who[among(route, routes)])
        route, outcome, count = _of(db, single, Part.STATUSES, span, at, until)
        count = count * among(route, routes)
        requests += int(count.sum())
        errors += int(count[outcome >= 400].sum())
    return people.persons(np.concatenate(users)), requests, errors


def _of(
    db: sqlite3.Connection, single: Totals | None, part: Part, span: int, start: int, end: int
) -> Sequence[np.ndarray]:
    """The first three columns of a part, of single events or of sealed buckets."""
    return seals.columns(db, part, span, start, end, (0, 1, 2)) if single is None else single.columns(part)[:3]
