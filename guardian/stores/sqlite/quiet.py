"""Who went quiet, from sealed summaries: first the people who no longer come, among them those whose visit ended with
an error, and only for these few how often they came. Call it inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from guardian.core.counting import added_up, among, distinct
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
from guardian.stores.sqlite.covering import Piece, pieces
from guardian.stores.sqlite.failures import events_of, read_failed
from guardian.stores.sqlite.people import People, names_of, number_of_nobody
from guardian.stores.sqlite.seals import Run
from guardian.stores.sqlite.tables import Tables
from guardian.stores.sqlite.totals import read_totals

_US = timedelta(microseconds=1)
_SOON = LAST_THING // _US
_WHO = (Part.PEOPLE, Part.TIMES)


def read_quiet(db: sqlite3.Connection, people: People, start: datetime, end: datetime) -> list[Quiet]:
    """See `UsageRepository.gone_quiet`."""
    begin, since, until = (micros(at) for at in quiet_window(start, end))
    try:
        made = pieces(db, begin, micros(end))
    except WindowGone:
        return []
    failed = read_failed(db, people, ids(since - _SOON, until)).last_of_each(1)
    failed = failed.where(np.flatnonzero(failed.persons != number_of_nobody(db)))
    last = _last_visits(db, people, made, since, until, failed.persons, time_of(failed.ids))
    failed = failed.where(np.flatnonzero(last))
    before = [piece for piece in made if piece.start < until]  # nobody of them came later
    visits = _busiest(db, people, before, failed.persons, last[last > 0])
    names = names_of(db, people, visits[:, 0].tolist())
    found = [Visits(names[number], *times) for number, *times in visits.tolist()]
    return gone_quiet(
        found, events_of(db, people, failed.where(np.flatnonzero(among(failed.persons, distinct(visits[:, 0])))))
    )


def _last_visits(
    db: sqlite3.Connection,
    people: People,
    made: Sequence[Piece],
    since_us: int,
    until_us: int,
    persons: np.ndarray,
    failed_us: np.ndarray,
) -> np.ndarray:
    """For people whose newest failed request is given: when their last request in these pieces finished; 0 if that was
    not in [since, until), or not soon after the failed one."""
    first = sum(piece.end <= since_us for piece in made)
    behind = sum(piece.start < until_us for piece in made)
    place, ended = _places(persons), np.zeros(len(persons), np.int64)
    tables = Tables.by_id(db, people, made[first:behind], _WHO)
    for seen, times in zip(tables.runs(Part.PEOPLE, 1), tables.runs(Part.TIMES, 2), strict=True):
        here, who = _of_these(place, seen)
        begin, length = times.columns
        np.maximum.at(ended, who, begin[here] + length[here])
    for seen in Tables.by_id(db, people, made[behind:], _WHO).runs(Part.PEOPLE, 1):
        ended[_of_these(place, seen)[1]] = 0
    ended[(ended < since_us) | (ended >= until_us) | (ended - failed_us > _SOON)] = 0
    return ended


def _busiest(
    db: sqlite3.Connection, people: People, made: Sequence[Piece], persons: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """The MOST of these persons who came regularly and most often (with ties): number, requests, when their first
    request began, `last`."""
    found = [np.zeros((0, 4), np.int64)]
    if not len(persons):
        return found[0]
    starts = [piece.start for piece in made]
    place, often, came_in = _places(persons), np.zeros(len(persons), np.int64), np.full(len(persons), -1)
    for seen in Tables.by_id(db, people, made, _WHO).runs(Part.PEOPLE, 2):
        here, who = _of_these(place, seen)
        often += added_up(who, seen.columns[1][here], len(persons))
        pieces_of = np.searchsorted(starts, seen.starts)[np.searchsorted(seen.edges, here, side="right") - 1]
        new = np.flatnonzero(came_in[who] < 0)[::-1]
        came_in[who[new]] = pieces_of[new]  # for equal indices the last one wins: their first piece
    for number in distinct(often[often >= REGULAR_REQUESTS])[::-1].tolist():
        here = np.flatnonzero(often == number)
        first = _firsts(db, people, made, persons[here], came_in[here], last[here])
        came = last[here] - first >= REGULAR_SPAN // _US
        found.append(np.stack((persons[here], often[here], first, last[here]), axis=1)[came])
        if sum(map(len, found)) >= MOST:
            break
    return np.concatenate(found)


def _places(persons: np.ndarray) -> np.ndarray:
    """The place of each of these distinct persons among them, by number; -1 for all others, of whom the last entry
    stands for those with higher numbers."""
    place = np.full(int(persons.max(initial=-1)) + 2, -1)
    place[persons] = np.arange(len(persons))
    return place


def _of_these(place: np.ndarray, seen: Run) -> tuple[np.ndarray, np.ndarray]:
    """The rows of a run of PEOPLE that belong to one of those persons, and the place of each row's person."""
    places = place.take(seen.columns[0], mode="clip")
    here = np.flatnonzero(places >= 0)
    return here, places[here]


def _firsts(
    db: sqlite3.Connection,
    people: People,
    made: Sequence[Piece],
    persons: np.ndarray,
    place: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """When the first request of each of these people began, given the piece they first came in; the end of the piece,
    if they came regularly in any case."""
    first: np.ndarray = np.array([piece.end for piece in made], np.int64)[place]
    unsure = last - first < REGULAR_SPAN // _US
    for at in distinct(place[unsure]).tolist():
        here = np.flatnonzero(unsure & (place == at))
        users, began = _begins(db, people, made[at])
        first[here] = began[np.searchsorted(users, persons[here])]
    return first


def _begins(db: sqlite3.Connection, people: People, piece: Piece) -> tuple[np.ndarray, np.ndarray]:
    """The persons of this piece, ascending, and when each one's first request began."""
    if piece.span and not people.same:
        [users], [began] = (seals.columns(db, part, piece.span, piece.start, piece.end, (0,)) for part in _WHO)
        return users, began
    rows = read_totals(db, piece.start, piece.end, people, _WHO).users
    return rows[:, 0], rows[:, 4]
