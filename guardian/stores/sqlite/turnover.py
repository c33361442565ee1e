"""Who came and went, from sealed summaries in SQLite: of each bucket only the columns that tell.

To be called inside a transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from guardian.core.quiet import LAST_THING
from guardian.core.time import micros
from guardian.core.totals import Part
from guardian.core.turnover import MOST_BACK, Presence, Turnover, steady, turnover
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import DAY, ids, meta, time_of
from guardian.stores.sqlite.covering import Piece, pieces
from guardian.stores.sqlite.failures import read_failed
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.totals import read_raw

_US = timedelta(microseconds=1)


def read_turnover(db: sqlite3.Connection, people: People, edges: Sequence[datetime]) -> Turnover:
    """See `UsageRepository.turnover`."""
    times = [micros(edge) for edge in edges]
    begin = min(_begin(db, times[-2]), times[0])
    found = _presence(db, people, [(begin, times[0]), *pairwise(times)])
    failed = _failed(db, people, found, times[-3], times[-2])
    return turnover(found, failed, edges, lambda numbers: names_of(db, people, numbers))


def _begin(db: sqlite3.Connection, before_us: int) -> int:
    """How far back people are looked for: a full day, since where single events are gone, totals begin there."""
    first = max(before_us - MOST_BACK // _US, meta(db, "forgotten_until_us"), 0)
    return -(-first // DAY) * DAY


def _presence(db: sqlite3.Connection, people: People, spans: Sequence[tuple[int, int]]) -> Presence:
    (most,) = db.execute("SELECT coalesce(max(id), 0) FROM guardian_user").fetchone()
    features, feature_of = _features(db)
    nobody = number_of_nobody(db)
    there = np.zeros((len(spans), most + 1), bool)
    requests = np.zeros((2, most + 1), np.int64)
    first_us, last_us = np.zeros(most + 1, np.int64), np.zeros(most + 1, np.int64)
    counts = []
    for row, (start, end) in enumerate(spans):
        lately = row - len(spans) + 2  # 0 and 1: the last two windows
        used = np.zeros((most + 1, len(features)), bool) if lately >= 0 else None
        for piece in pieces(db, start, end) if start < end else ():
            if used is None:
                there[row, people.persons(_people(db, piece))] = True
                continue
            users, number, first, last, user, route = _all(db, piece)
            users = people.persons(users)
            there[row, users] = True
            np.add.at(requests[lately], users, number)
            if lately:
                new = first_us[users] == 0
                # Several ids of a person may be in one piece.
                order = np.argsort(-first[new], kind="stable")
                first_us[users[new][order]] = first[new][order]
            else:
                np.maximum.at(last_us, users, last)
            used[people.persons(user), feature_of[route]] = True
        if used is not None:
            if nobody is not None:
                used[nobody] = False
            counts.append(used.sum(axis=0))
    if nobody is not None:
        there[:, nobody] = False
    return Presence(there, requests, last_us, first_us, np.stack(counts), features)


def _features(db: sqlite3.Connection) -> tuple[list[str], np.ndarray]:
    """The names of all features, and the place of each route's among them, by its number."""
    routes = db.execute("SELECT id, feature FROM guardian_route").fetchall()
    features = sorted({feature for _, feature in routes})
    place = {feature: n for n, feature in enumerate(features)}
    places = np.zeros(max((number for number, _ in routes), default=0) + 1, np.int64)
    for number, feature in routes:
        places[number] = place[feature]
    return features, places


def _people(db: sqlite3.Connection, piece: Piece) -> np.ndarray:
    """Whose requests a piece has; who has several ids is there several times."""
    if not piece.span:
        users: np.ndarray = read_raw(db, piece.start, piece.end).users[:, 0]
        return users
    [users] = seals.columns(db, Part.PEOPLE, piece.span, piece.start, piece.end, (0,))
    return users


def _all(db: sqlite3.Connection, piece: Piece) -> tuple[np.ndarray, ...]:
    """Of a piece the users, how many requests each made, when the first began and the last finished; and which user
    used which route."""
    if not piece.span:
        totals = read_raw(db, piece.start, piece.end)
        return (*totals.users[:, [0, 1, 4, 5]].T, *totals.used[:, :2].T)
    where = (piece.span, piece.start, piece.end)
    users, requests = seals.columns(db, Part.PEOPLE, *where, (0, 1))
    first, length = seals.columns(db, Part.TIMES, *where, (0, 1))
    user, route = seals.columns(db, Part.USED, *where, (0, 1))
    return users, requests, first, first + length, user, route


def _failed(db: sqlite3.Connection, people: People, found: Presence, start_us: int, end_us: int) -> Mapping[int, str]:
    """Of those who were steady, and met an error at the end, the feature of it."""
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
