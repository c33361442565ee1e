"""Who went quiet, from sealed summaries: first the people who no longer come, among them those whose visit ended with
an error, and only for these few how often they came. Call it inside a transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

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
from guardian.stores.sqlite.tables import Tables
from guardian.stores.sqlite.totals import read_raw, read_totals

_US = timedelta(microseconds=1)
_SOON = LAST_THING // _US


def read_quiet(db: sqlite3.Connection, people: People, start: datetime, end: datetime) -> list[Quiet]:
    """See `UsageRepository.gone_quiet`."""
    begin, since, until = (micros(at) for at in quiet_window(start, end))
    try:
        made = pieces(db, begin, micros(end))
    except WindowGone:
        return []
    failed = read_failed(db, people, ids(since - _SOON, until)).last_of_each(1)
    failed = failed.where(np.flatnonzero(failed.persons != number_of_nobody(db)))
    seen = _Seen.read(db, people, made)
    last = _last_visits(db, seen, since, until, failed.persons, time_of(failed.ids))
    failed = failed.where(np.flatnonzero(last))
    visits = _busiest(db, people, seen, failed.persons, last[last > 0])
    names = names_of(db, people, visits[:, 0].tolist())
    found = [Visits(names[number], *times) for number, *times in visits.tolist()]
    return gone_quiet(
        found, events_of(db, people, failed.where(np.flatnonzero(among(failed.persons, distinct(visits[:, 0])))))
    )


class _Seen(NamedTuple):
    """Who was seen in these pieces: the persons of one after those of the other, who has several ids maybe several
    times; how many requests each made; and where in them the rows of each piece begin, and the last ones end."""

    made: Sequence[Piece]
    persons: np.ndarray
    requests: np.ndarray
    edges: np.ndarray

    @classmethod
    def read(cls, db: sqlite3.Connection, people: People, made: Sequence[Piece]) -> _Seen:
        """Reads these pieces, which must be in order."""
        (users, requests), edges = _columns(db, made, Part.PEOPLE)
        # Half the memory: a monthly report covers 47 days of everybody.
        return cls(made, people.persons(users).astype(np.int32), requests.astype(np.int32), edges)

    def at(self, first: int, last: int) -> np.ndarray:
        """Of each row of the pieces from the first of these places to before the last, the place of its piece."""
        return np.repeat(np.arange(first, last), np.diff(self.edges[first : last + 1]))


def _last_visits(
    db: sqlite3.Connection, seen: _Seen, since_us: int, until_us: int, persons: np.ndarray, failed_us: np.ndarray
) -> np.ndarray:
    """For people whose newest failed request is given: when their last request finished; 0 if that was not in [since,
    until), or not soon after the failed one."""
    size = int(persons.max(initial=-1)) + 1
    first = sum(piece.end <= since_us for piece in seen.made)
    behind = sum(piece.start < until_us for piece in seen.made)
    who, at = seen.persons[seen.edges[first] :], seen.at(first, len(seen.made))
    known = np.flatnonzero(who < size)
    place = np.full(size, -1, np.int64)
    place[who[known]] = at[known]  # for equal indices the last one wins
    starts = np.array([piece.start for piece in seen.made], np.int64)
    theirs = place[persons]
    # People who failed long before the piece they were last seen in did not leave right after the error.
    here = np.flatnonzero((theirs >= 0) & (theirs < behind))
    here = here[failed_us[here] >= starts[theirs[here]] - _SOON]
    last = np.zeros(len(persons), np.int64)
    if not len(here):
        return last
    (begin, length), _ = _columns(db, seen.made[first:behind], Part.TIMES)
    known = known[: np.searchsorted(known, len(begin))]
    known = known[at[known] == place[who[known]]]
    ended = np.zeros(size, np.int64)
    np.maximum.at(ended, who[known], begin[known] + length[known])
    last[here] = ended[persons[here]]
    last[(last < since_us) | (last >= until_us) | (last - failed_us > _SOON)] = 0
    return last


def _busiest(db: sqlite3.Connection, people: People, seen: _Seen, persons: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The MOST of these persons who came regularly and most often (with ties): number, requests, when their first
    request began, `last`."""
    found = [np.zeros((0, 4), np.int64)]
    if not len(persons):
        return found[0]
    size = int(persons.max()) + 1
    wanted, place = np.zeros(size + 1, bool), np.zeros(size, np.int64)
    wanted[persons] = True
    mine = np.flatnonzero(wanted.take(np.minimum(seen.persons, size)))
    who = seen.persons[mine]
    often = added_up(who, seen.requests[mine], size)[persons]
    place[who[::-1]] = seen.at(0, len(seen.made))[mine][::-1]  # for equal indices the first one wins
    for number in distinct(often[often >= REGULAR_REQUESTS])[::-1].tolist():
        here = np.flatnonzero(often == number)
        first = _firsts(db, people, seen, persons[here], place[persons[here]], last[here])
        came = last[here] - first >= REGULAR_SPAN // _US
        found.append(np.stack((persons[here], often[here], first, last[here]), axis=1)[came])
        if sum(map(len, found)) >= MOST:
            break
    return np.concatenate(found)


def _firsts(
    db: sqlite3.Connection,
    people: People,
    seen: _Seen,
    persons: np.ndarray,
    place: np.ndarray,
    last: np.ndarray,
) -> np.ndarray:
    """When the first request of each of these people began, given the piece they first came in; the end of the piece,
    if they came regularly in any case."""
    first: np.ndarray = np.array([piece.end for piece in seen.made], np.int64)[place]
    unsure = last - first < REGULAR_SPAN // _US
    for at in distinct(place[unsure]).tolist():
        here = np.flatnonzero(unsure & (place == at))
        users, began = _begins(db, people, seen, at)
        first[here] = began[np.searchsorted(users, persons[here])]
    return first


def _begins(db: sqlite3.Connection, people: People, seen: _Seen, at: int) -> tuple[np.ndarray, np.ndarray]:
    """The persons of the piece with this index, ascending, and when each one's first request began."""
    piece = seen.made[at]
    if piece.span and not people.same:
        [began] = seals.columns(db, Part.TIMES, piece.span, piece.start, piece.end, (0,))
        return seen.persons[seen.edges[at] : seen.edges[at + 1]], began
    rows = read_totals(db, piece.start, piece.end, people, (Part.PEOPLE, Part.TIMES)).users
    return rows[:, 0], rows[:, 4]


def _columns(db: sqlite3.Connection, made: Sequence[Piece], part: Part) -> tuple[list[np.ndarray], np.ndarray]:
    """The first two columns of a part of these pieces, concatenated, and the row numbers at which the pieces begin (and
    the last one ends). For single events each id has its own row."""
    single = {piece: read_raw(db, piece.start, piece.end) for piece in made if not piece.span}
    read = list(Tables(db, People(), made, single).runs(part, 2))
    starts = np.array([start for run in read for start in run.starts], np.int64)
    rows = np.array([row for run in read for row in np.diff(run.edges).tolist()], np.int64)
    columns = [np.concatenate(each) for each in zip([_NONE] * 2, *(run.columns for run in read), strict=True)]
    wanted = np.isin(starts, [piece.start for piece in made])
    if not wanted.all():  # a run may contain other pieces too
        columns = [column[np.repeat(wanted, rows)] for column in columns]
    return columns, np.concatenate(([0], np.cumsum(rows[wanted])))


_NONE = np.zeros(0, np.int64)
