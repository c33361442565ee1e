"""Who went quiet, from sealed summaries: first who does not come any more, of these whose last thing was an error, and
only of these few how often they came.

To be called inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import numpy as np

from guardian.core.quiet import (
    LAST_THING,
    MOST,
    REGULAR_REQUESTS,
    REGULAR_SPAN,
    Quiet,
    Visits,
    gone_quiet,
    quiet_window,
)
from guardian.core.storage import WindowGone
from guardian.core.time import micros
from guardian.core.totals import Part
from guardian.stores.sqlite import seals
from guardian.stores.sqlite.buckets import ids, time_of
from guardian.stores.sqlite.failures import events_of, read_failed
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.totals import Piece, pieces, read_raw, read_totals

Read = Callable[[Piece], tuple[np.ndarray, np.ndarray]]
_US = timedelta(microseconds=1)


def read_quiet(db: sqlite3.Connection, people: People, start: datetime, end: datetime) -> list[Quiet]:
    """See `UsageRepository.gone_quiet`."""
    begin, since, until = (micros(at) for at in quiet_window(start, end))
    try:
        made = pieces(db, begin, micros(end))
    except WindowGone:
        return []
    read = _columns_once(db, people)
    last = _last_visits(db, read, made, since, until)
    failed = read_failed(db, people, ids(since - LAST_THING // _US, until)).last_of_each(1)
    failed = failed.where(np.flatnonzero(failed.persons < len(last)))
    passed = last[failed.persons] - time_of(failed.ids)
    failed = failed.where(np.flatnonzero((last[failed.persons] > 0) & (passed >= 0) & (passed <= LAST_THING // _US)))
    failed = failed.where(np.flatnonzero(failed.persons != number_of_nobody(db)))
    visits = _regular(db, people, read, made, last, failed.persons)
    if len(visits) > MOST:
        visits = visits[visits[:, 1] >= np.sort(visits[:, 1])[-MOST]]
    names = names_of(db, people, visits[:, 0].tolist())
    found = [Visits(names[number], *times) for number, *times in visits.tolist()]
    return gone_quiet(found, events_of(db, people, failed.ids[np.isin(failed.persons, visits[:, 0])]))


def _last_visits(db: sqlite3.Connection, read: Read, made: Sequence[Piece], since_us: int, until_us: int) -> np.ndarray:
    """By number, when each person's last request finished, for those for whom that was in [since, until); else 0."""
    seen, came = list[np.ndarray](), list[np.ndarray]()
    times = list[np.ndarray]()
    for piece in made:
        if piece.end <= since_us:
            continue
        if piece.start >= until_us:
            came.append(read(piece)[0])
        else:
            seen.append(read(piece)[0])
            times.append(_ends(db, piece))
    users, returned = (np.concatenate([_NONE, *parts]) for parts in (seen, came))
    last = np.zeros(int(users.max(initial=-1)) + 1, np.int64)
    np.maximum.at(last, users, np.concatenate([_NONE, *times]))
    last[returned[returned < len(last)]] = 0
    last[(last < since_us) | (last >= until_us)] = 0
    return last


def _regular(
    db: sqlite3.Connection,
    people: People,
    read: Read,
    made: Sequence[Piece],
    last: np.ndarray,
    persons: np.ndarray,
) -> np.ndarray:
    """Of these persons those who came regularly: number, requests, when their first request began, `last`."""
    if not len(persons):
        return np.zeros((0, 4), np.int64)
    wanted = np.zeros(len(last), bool)
    wanted[persons] = True
    requests, place = np.zeros(len(last), np.int64), np.zeros(len(last), np.int64)
    for at, piece in reversed(list(enumerate(made))):
        users, counts = read(piece)
        mine = np.flatnonzero(wanted.take(users, mode="clip") & (users < len(last)))
        np.add.at(requests, users[mine], counts[mine])
        place[users[mine]] = at
    found = persons[requests[persons] >= REGULAR_REQUESTS]
    ends = np.array([piece.end for piece in made], np.int64)
    first = ends[place[found]]
    # Who first came so long before is regular whenever in that bucket it was; of the others it is looked up.
    unsure = last[found] - first < REGULAR_SPAN // _US
    for at in np.unique(place[found[unsure]]).tolist():
        here = np.flatnonzero(unsure & (place[found] == at))
        users, began = _begins(db, people, read, made[at])
        first[here] = began[np.searchsorted(users, found[here])]
    table: np.ndarray = np.stack((found, requests[found], first, last[found]), axis=1)
    came: np.ndarray = table[last[found] - first >= REGULAR_SPAN // _US]
    return came


_NONE = np.zeros(0, np.int64)


def _columns_once(db: sqlite3.Connection, people: People) -> Read:
    """Reads the persons of a piece and how many requests each made, of the same piece once; who has several ids may be
    there several times."""
    known: dict[Piece, tuple[np.ndarray, np.ndarray]] = {}

    def read(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        if piece not in known:
            if piece.span:
                [(users, requests)] = seals.columns(db, Part.PEOPLE, piece.span, piece.start, piece.end, (0, 1))
            else:
                users, requests = read_raw(db, piece.start, piece.end).users.T[:2]
            # A report on a month looks at 47 days of everybody: half the memory.
            known[piece] = people.persons(users).astype(np.int32), requests.astype(np.int32)
        return known[piece]

    return read


def _begins(db: sqlite3.Connection, people: People, read: Read, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """The persons of a piece, in order, and when the first request of each began."""
    if piece.span and not people.same:
        [(began,)] = seals.columns(db, Part.TIMES, piece.span, piece.start, piece.end, (0,))
        return read(piece)[0], began
    rows = read_totals(db, piece.start, piece.end, people, (Part.PEOPLE, Part.TIMES)).users
    return rows[:, 0], rows[:, 4]


def _ends(db: sqlite3.Connection, piece: Piece) -> np.ndarray:
    """When the last request of each row of a piece finished."""
    if not piece.span:
        ends: np.ndarray = read_raw(db, piece.start, piece.end).users[:, 5]
        return ends
    [(first, length)] = seals.columns(db, Part.TIMES, piece.span, piece.start, piece.end, (0, 1))
    ends = first + length
    return ends
