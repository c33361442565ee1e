"""Who went quiet, from sealed summaries: first who does not come any more, of these whose last thing was an error, and
only of these few how often they came.

To be called inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from guardian.core.counting import among, distinct
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
from guardian.stores.sqlite.covering import Piece, pieces, runs
from guardian.stores.sqlite.failures import events_of, read_failed
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.totals import read_raw, read_totals

Read = Callable[[Piece], tuple[np.ndarray, np.ndarray]]
_US = timedelta(microseconds=1)
_SOON = LAST_THING // _US


def read_quiet(db: sqlite3.Connection, people: People, start: datetime, end: datetime) -> list[Quiet]:
    """See `UsageRepository.gone_quiet`."""
    begin, since, until = (micros(at) for at in quiet_window(start, end))
    try:
        made = pieces(db, begin, micros(end))
    except WindowGone:
        return []
    read = _reader(db, people, made)
    failed = read_failed(db, people, ids(since - _SOON, until)).last_of_each(1)
    failed = failed.where(np.flatnonzero(failed.persons != number_of_nobody(db)))
    last = _last_visits(db, read, made, since, until, failed.persons, time_of(failed.ids))
    failed = failed.where(np.flatnonzero(last))
    visits = _busiest(db, people, read, made, failed.persons, last[last > 0])
    names = names_of(db, people, visits[:, 0].tolist())
    found = [Visits(names[number], *times) for number, *times in visits.tolist()]
    return gone_quiet(
        found, events_of(db, people, failed.where(np.flatnonzero(among(failed.persons, distinct(visits[:, 0])))))
    )


def _last_visits(
    db: sqlite3.Connection,
    read: Read,
    made: Sequence[Piece],
    since_us: int,
    until_us: int,
    persons: np.ndarray,
    failed_us: np.ndarray,
) -> np.ndarray:
    """When the last request of each of these finished, whose newest failed one was then: 0 where that was not in
    [since, until), or not soon after the failed one."""
    size = int(persons.max(initial=-1)) + 1
    place = np.full(size, -1, np.int64)
    for at, piece in enumerate(made):
        if piece.end > since_us:
            users, _ = read(piece)
            place[users[users < size]] = at
    last, theirs = np.zeros(len(persons), np.int64), place[persons]
    for at in distinct(theirs[theirs >= 0]).tolist():
        piece = made[at]
        # Who failed long before the piece they were last seen in was seen again later than soon.
        here = np.flatnonzero((theirs == at) & (failed_us >= piece.start - _SOON))
        if piece.start >= until_us or not len(here):
            continue
        ended, (users, _) = np.zeros(size, np.int64), read(piece)
        np.maximum.at(ended, users[users < size], _ends(db, piece)[users < size])
        last[here] = ended[persons[here]]
    last[(last < since_us) | (last >= until_us) | (last - failed_us > _SOON)] = 0
    return last


def _busiest(
    db: sqlite3.Connection,
    people: People,
    read: Read,
    made: Sequence[Piece],
    persons: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """Of these persons the MOST who came regularly and most often, and who came as often: number, requests, when their
    first request began, `last`."""
    size = int(persons.max(initial=-1)) + 1
    wanted, requests, place = np.zeros(size, bool), np.zeros(size, np.int64), np.zeros(size, np.int64)
    wanted[persons] = True
    for at, piece in reversed(list(enumerate(made))):
        users, counts = read(piece)
        mine = np.flatnonzero((users < size) & wanted.take(users, mode="clip")) if size else _NONE
        np.add.at(requests, users[mine], counts[mine])
        place[users[mine]] = at
    found = [np.zeros((0, 4), np.int64)]
    often = requests[persons]
    for number in distinct(often[often >= REGULAR_REQUESTS])[::-1].tolist():
        here = np.flatnonzero(often == number)
        first = _firsts(db, people, read, made, persons[here], place[persons[here]], last[here])
        came = last[here] - first >= REGULAR_SPAN // _US
        found.append(np.stack((persons[here], often[here], first, last[here]), axis=1)[came])
        if sum(map(len, found)) >= MOST:
            break
    return np.concatenate(found)


def _firsts(
    db: sqlite3.Connection,
    people: People,
    read: Read,
    made: Sequence[Piece],
    persons: np.ndarray,
    place: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """When the first request of each of these began, who first came in that piece; where they came regularly whenever
    in the piece it was, its end."""
    first: np.ndarray = np.array([piece.end for piece in made], np.int64)[place]
    unsure = last - first < REGULAR_SPAN // _US
    for at in distinct(place[unsure]).tolist():
        here = np.flatnonzero(unsure & (place == at))
        users, began = _begins(db, people, read, made[at])
        first[here] = began[np.searchsorted(users, persons[here])]
    return first


_NONE = np.zeros(0, np.int64)


def _reader(db: sqlite3.Connection, people: People, made: Sequence[Piece]) -> Read:
    """Gives the persons of each of these pieces and how many requests each made; who has several ids may be there
    several times."""
    known: dict[Piece, tuple[np.ndarray, np.ndarray]] = {}
    for span, at, until in runs(made):
        if span:
            starts, (users, requests), edges = seals.run(db, Part.PEOPLE, span, at, until, (0, 1))
        else:
            users, requests = read_raw(db, at, until).users.T[:2]
            starts, edges = [at], [0, len(users)]
        # A report on a month looks at 47 days of everybody: half the memory.
        users, requests = people.persons(users).astype(np.int32), requests.astype(np.int32)
        for start, (a, b) in zip(starts, pairwise(edges), strict=True):
            known[Piece(start, start + span if span else until, span)] = users[a:b], requests[a:b]
    return known.__getitem__


def _begins(db: sqlite3.Connection, people: People, read: Read, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """The persons of a piece, in order, and when the first request of each began."""
    if piece.span and not people.same:
        [began] = seals.columns(db, Part.TIMES, piece.span, piece.start, piece.end, (0,))
        return read(piece)[0], began
    rows = read_totals(db, piece.start, piece.end, people, (Part.PEOPLE, Part.TIMES)).users
    return rows[:, 0], rows[:, 4]


def _ends(db: sqlite3.Connection, piece: Piece) -> np.ndarray:
    """When the last request of each row of a piece finished."""
    if not piece.span:
        ends: np.ndarray = read_raw(db, piece.start, piece.end).users[:, 5]
        return ends
    first, length = seals.columns(db, Part.TIMES, piece.span, piece.start, piece.end, (0, 1))
    ends = first + length
    return ends
