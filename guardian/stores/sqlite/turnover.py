"""Who came and went, from sealed summaries in SQLite, reading only the columns needed. Call it inside a transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from guardian.core.counting import added_up
from guardian.core.quiet import LAST_THING
from guardian.core.time import micros
from guardian.core.totals import Part
from guardian.core.turnover import MOST_BACK, Presence, Turnover, steady, turnover
from guardian.stores.sqlite.buckets import DAY, ids, meta, time_of
from guardian.stores.sqlite.covering import pieces
from guardian.stores.sqlite.failures import read_failed
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.tables import Tables, features_of

_US = timedelta(microseconds=1)


def read_turnover(db: sqlite3.Connection, people: People, edges: Sequence[datetime]) -> Turnover:
    """See `UsageRepository.turnover`."""
    times = [micros(edge) for edge in edges]
    begin = min(_begin(db, times[-2]), times[0])
    found = _presence(db, people, [(begin, times[0]), *pairwise(times)])
    failed = _failed(db, people, found, times[-3], times[-2])
    return turnover(found, failed, edges, lambda numbers: names_of(db, people, numbers))


def _begin(db: sqlite3.Connection, before_us: int) -> int:
    """How far back people are looked for: to the start of a full day, since days are all that is left where single
    events are gone."""
    first = max(before_us - MOST_BACK // _US, meta(db, "forgotten_until_us"), 0)
    return -(-first // DAY) * DAY


def _presence(db: sqlite3.Connection, people: People, spans: Sequence[tuple[int, int]]) -> Presence:
    (most,) = db.execute("SELECT coalesce(max(id), 0) FROM guardian_user").fetchone()
    features, feature_of = features_of(db)
    nobody, size = number_of_nobody(db), most + 1
    there = np.zeros((len(spans), size), bool)
    requests = np.zeros((2, size), np.int64)
    first_us, last_us = np.zeros(size, np.int64), np.zeros(size, np.int64)
    counts = []
    for row, (start, end) in enumerate(spans):
        lately = row - len(spans) + 2  # 0 and 1: the last two windows
        tables = Tables.by_id(db, people, pieces(db, start, end) if start < end else ())
        if lately < 0:
            for run in tables.runs(Part.PEOPLE, 1):
                there[row, run.columns[0]] = True
            continue
        for run, times in zip(tables.runs(Part.PEOPLE, 2), tables.runs(Part.TIMES, 2 - lately), strict=True):
            (persons, number), (first, *length) = run.columns, times.columns
            there[row, persons] = True
            requests[lately] += added_up(persons, number, size)
            if lately:
                # Several ids of a person may be in one bucket: then the one counts that began first.
                order = np.arange(len(persons))
                if people.same:
                    order = np.lexsort((first, np.repeat(np.arange(len(run.starts)), np.diff(run.edges))))
                order = order[first_us[persons[order]] == 0][::-1]
                first_us[persons[order]] = first[order]  # of several at one number the last stays
            else:
                np.maximum.at(last_us, persons, first + length[0])
        used = np.zeros((size, len(features)), bool)
        for run in tables.runs(Part.USED, 2):
            persons, route = run.columns
            used.reshape(-1)[persons * len(features) + feature_of[route]] = True
        used[nobody] = False
        counts.append(used.sum(axis=0))
    there[:, nobody] = False
    return Presence(there, requests, last_us, first_us, np.stack(counts), features)


def _failed(db: sqlite3.Connection, people: People, found: Presence, start_us: int, end_us: int) -> Mapping[int, str]:
    """For each steady person who hit an error right before they left, its feature."""
    failed = read_failed(db, people, ids(start_us, end_us)).last_of_each(1)
    passed = found.last_us[failed.persons] - time_of(failed.ids)
    flags = steady(found.there)[failed.persons] & (passed >= 0) & (passed <= LAST_THING // _US)
    failed = failed.where(np.flatnonzero(flags))
    rows = db.execute(
        "SELECT r.feature FROM json_each(?) j JOIN guardian_request e ON e.id = j.value "
        "JOIN guardian_route r ON r.id = e.route ORDER BY e.id",
        (json.dumps(failed.ids.tolist()),),
    )
    return dict(zip(failed.persons.tolist(), (feature for (feature,) in rows), strict=True))
