"""Everybody who was there in a window in SQLite, counted in arrays, with who is new and who came back.

To be called inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import numpy as np

from guardian.core.counting import distinct
from guardian.core.roster import AWAY_US, KINDS, Roster
from guardian.core.storage import WindowGone
from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.activity import users_active
from guardian.stores.sqlite.covering import Piece, pieces, runs
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.totals import read_raw, read_totals

_FEATURES = "SELECT id, feature FROM guardian_route"


def read_roster(db: sqlite3.Connection, people: People, start_us: int, end_us: int, back_us: int) -> Roster:
    """Everybody of [start, end); who was not there from `back_us` on is new. Raises WindowGone."""
    made = pieces(db, start_us, end_us)
    users = read_totals(db, start_us, end_us, people, (Part.PEOPLE, Part.TIMES)).users
    users = users[users[:, 0] != number_of_nobody(db)]
    numbers = users[:, 0].tolist()
    names = names_of(db, people, numbers)
    features, used = _used(db, people, made, users[:, 0])
    return Roster(
        [names[number] for number in numbers],
        users[:, 1],
        users[:, 2],
        users_active(users[:, 0], users[:, 4], users[:, 6], start_us, int(users[:, 0].max(initial=0)) + 1)[users[:, 0]],
        users[:, 5],
        _kinds(db, people, users, start_us, back_us),
        features,
        used,
    )


def _used(
    db: sqlite3.Connection, people: People, made: Sequence[Piece], users: np.ndarray
) -> tuple[list[str], np.ndarray]:
    """The names of features, and which of these people, who are in order, used which: `Roster.used`."""
    feature_of = dict(db.execute(_FEATURES))
    features = sorted(set(feature_of.values()))
    codes = np.zeros(max(feature_of, default=0) + 1, np.int64)
    code_of = {name: code for code, name in enumerate(features)}
    for route, name in feature_of.items():
        codes[route] = code_of[name]
    if not len(users):
        return features, users
    place = np.full(int(users.max(initial=0)) + 1, -1, np.int64)
    place[users] = np.arange(len(users))
    found = [users[:0]]
    for span, at, until in runs(made):
        if span:
            who, route = seals.columns(db, Part.USED, span, at, until, (0, 1))
        else:
            who, route = read_raw(db, at, until, people=people).used.T[:2]
        # Who is not among them is nobody in particular, and may have a higher number than all.
        persons = people.persons(who)
        theirs = place.take(persons, mode="clip")
        there = (theirs >= 0) & (users[theirs] == persons)
        found.append(distinct(theirs[there] * len(features) + codes[route[there]]))
    return features, distinct(np.concatenate(found))


def _kinds(db: sqlite3.Connection, people: People, users: np.ndarray, start_us: int, back_us: int) -> np.ndarray:
    """The place in KINDS of each of these rows of `Totals.users`; 0 for all where it is not stored any more who came
    before, or nobody did."""
    kinds = np.zeros(len(users), np.int64)
    try:
        made = pieces(db, back_us, start_us)
    except WindowGone:
        return kinds
    size = int(users[:, 0].max(initial=0)) + 1
    seen, anybody, nobody = np.full(size, -1, np.int64), False, number_of_nobody(db)
    for place, piece in enumerate(made):
        who = _who(db, people, piece)
        anybody = anybody or bool((who != nobody).any())
        seen[who[who < size]] = place
    if not anybody:
        return kinds
    last, began = seen[users[:, 0]], users[:, 4]
    kinds[last < 0] = KINDS.index("new")
    edges = np.array([piece[:2] for piece in [*made, (0, 0)]], np.int64)
    # The last request was somewhere in that piece: where that decides it, nobody looks when.
    kinds[(last >= 0) & (began - edges[last, 1] >= AWAY_US)] = KINDS.index("returned")
    unsure = (last >= 0) & (began - edges[last, 1] < AWAY_US) & (began - edges[last, 0] >= AWAY_US)
    for place in distinct(last[unsure]).tolist():
        ended = np.zeros(size, np.int64)
        who, ends = _ends(db, people, made[place])
        np.maximum.at(ended, who[who < size], ends[who < size])
        here = np.flatnonzero(unsure & (last == place))
        away = began[here] - ended[users[here, 0]] >= AWAY_US
        kinds[here[away]] = KINDS.index("returned")
    return kinds


def _who(db: sqlite3.Connection, people: People, piece: Piece) -> np.ndarray:
    """The people of a piece; who has several ids may be there several times."""
    if not piece.span:
        return read_raw(db, piece.start, piece.end, people=people).users[:, 0]
    [who] = seals.columns(db, Part.PEOPLE, piece.span, piece.start, piece.end, (0,))
    return people.persons(who)


def _ends(db: sqlite3.Connection, people: People, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """The same, and when the last request of each finished."""
    if not piece.span:
        rows = read_raw(db, piece.start, piece.end, people=people).users
        return rows[:, 0], rows[:, 5]
    first, length = seals.columns(db, Part.TIMES, piece.span, piece.start, piece.end, (0, 1))
    return _who(db, people, piece), first + length
