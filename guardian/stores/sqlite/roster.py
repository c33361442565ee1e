"""Everybody who was there in a window in SQLite, counted in arrays, with who is new and who came back. Call it inside a
transaction.
"""

from __future__ import annotations

import sqlite3

import numpy as np

from guardian.core.counting import distinct
from guardian.core.roster import AWAY_US, KINDS, Roster
from guardian.core.storage import WindowGone
from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.activity import users_active
from guardian.stores.sqlite.covering import Piece, pieces
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.tables import Tables, features_of
from guardian.stores.sqlite.totals import read_raw


def read_roster(db: sqlite3.Connection, people: People, start_us: int, end_us: int, back_us: int) -> Roster:
    """Everybody in [start, end); people not seen between `back_us` and the start are new. Raises WindowGone."""
    tables = Tables.read(db, people, pieces(db, start_us, end_us))
    nobody = number_of_nobody(db)
    users, _ = tables.users(nobody)
    numbers = users[:, 0]
    size = int(numbers.max(initial=0)) + 1
    wanted = np.ones(max(size, nobody + 1), bool)
    who, first_us, last_us, active_us = tables.times(wanted)
    theirs = np.searchsorted(who, numbers)
    first_us = first_us[theirs]
    minutes = users_active(numbers, first_us, active_us[theirs], start_us, size)
    spelled = numbers.tolist()
    names = names_of(db, people, spelled)
    features, used = _used(db, tables, numbers, nobody)
    return Roster(
        [names[number] for number in spelled],
        users[:, 1],
        users[:, 2],
        minutes[numbers],
        last_us[theirs],
        _kinds(db, people, numbers, first_us, start_us, back_us),
        features,
        used,
    )


def read_reached(db: sqlite3.Connection, people: People, start_us: int, end_us: int) -> dict[str, int]:
    """How many verified people used each feature in [start, end). Raises WindowGone."""
    features, codes = features_of(db)
    tables = Tables.read(db, people, pieces(db, start_us, end_us))
    used = (run.columns for run in tables.runs(Part.USED, 2))
    found = [np.zeros(0, np.int64), *(persons * len(features) + codes[route] for persons, route in used)]
    persons, places = np.divmod(distinct(np.concatenate(found)), max(len(features), 1))
    counts = np.bincount(places[persons != number_of_nobody(db)], minlength=len(features)).tolist()
    return {name: count for name, count in zip(features, counts, strict=True) if count}


def _used(db: sqlite3.Connection, tables: Tables, users: np.ndarray, nobody: int) -> tuple[list[str], np.ndarray]:
    """The names of features, and which of these people (ascending) used which: `Roster.used`."""
    features, codes = features_of(db)
    place = np.zeros(max(int(users.max(initial=0)), nobody) + 1, np.int64)
    place[users] = np.arange(0, len(users) * len(features), len(features)) if len(users) else 0
    place[nobody] = len(users) * len(features)  # after all others
    found = [users[:0], *(place[run.columns[0]] + codes[run.columns[1]] for run in tables.runs(Part.USED, 2))]
    pairs = distinct(np.concatenate(found))
    return features, pairs[: np.searchsorted(pairs, len(users) * len(features))]


def _kinds(
    db: sqlite3.Connection, people: People, users: np.ndarray, began: np.ndarray, start_us: int, back_us: int
) -> np.ndarray:
    """The index in KINDS for each of these persons, whose first request began at `began`; 0 for all if the time before
    is no longer stored, or nobody came in it."""
    kinds = np.zeros(len(users), np.int64)
    try:
        made = pieces(db, back_us, start_us)
    except WindowGone:
        return kinds
    size = int(users.max(initial=0)) + 1
    seen, anybody, nobody = np.full(size, -1, np.int64), False, number_of_nobody(db)
    starts = [piece.start for piece in made]
    for run in Tables.read(db, people, made).runs(Part.PEOPLE, 1):
        who = run.columns[0]
        anybody = anybody or bool((who != nobody).any())
        places = np.repeat(np.searchsorted(starts, run.starts, side="right") - 1, np.diff(run.edges))
        known = who < size
        seen[who[known]] = places[known]  # for equal indices the last one wins
    if not anybody:
        return kinds
    last = seen[users]
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
        away = began[here] - ended[users[here]] >= AWAY_US
        kinds[here[away]] = KINDS.index("returned")
    return kinds


def _who(db: sqlite3.Connection, people: People, piece: Piece) -> np.ndarray:
    """The people of a piece; somebody with several ids may appear several times."""
    if not piece.span:
        return read_raw(db, piece.start, piece.end, people=people).users[:, 0]
    [who] = seals.columns(db, Part.PEOPLE, piece.span, piece.start, piece.end, (0,))
    return people.persons(who)


def _ends(db: sqlite3.Connection, people: People, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """The same, with the time at which each one's last request finished."""
    if not piece.span:
        rows = read_raw(db, piece.start, piece.end, people=people).users
        return rows[:, 0], rows[:, 5]
    first, length = seals.columns(db, Part.TIMES, piece.span, piece.start, piece.end, (0, 1))
    return _who(db, people, piece), first + length
