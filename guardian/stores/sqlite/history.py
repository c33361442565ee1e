"""The history that rules are judged on, read from SQLite straight into numpy: a million events in a second or two."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from guardian.alerting.columns import MINUTE_US, Columns, MinuteCounts
from guardian.alerting.history import History
from guardian.core.clock import SLACK
from guardian.core.cursor import Cursor
from guardian.core.storage import StorageError
from guardian.stores.people.aliases import NO_ALIASES, Aliases
from guardian.stores.people.book import NO_BOOK, AliasBook
from guardian.stores.sqlite.buckets import AT_US, ids, time_of
from guardian.stores.sqlite.damage import UNREADABLE, unreadable
from guardian.stores.sqlite.importing import OWN
from guardian.stores.sqlite.people import read_people
from tracker.sqlite.connection import connect
from tracker.sqlite.database_file import FileChanged, OpenedFile

T = TypeVar("T")

_ROW = np.dtype(
    [("at", "i8"), ("user", "i8"), ("route", "i8"), ("status", "i8"), ("duration", "i8"), ("failure", "i8")]
)
_DAY_US = 86400 * 1_000_000


class SqliteHistory:
    """`HistoryStore` on the database at `path`, with a connection for each call; it makes no file."""

    def __init__(self, path: Path, book: AliasBook = NO_BOOK) -> None:
        self._path = path
        self._file = OpenedFile(str(path))
        self._book = book
        self._opened = False

    def first_event(self) -> int | None:
        """See HistoryStore."""
        return self._ask(read_first_event)

    def read(self, start: int, end: int, *, single_events: int, imported: bool = True) -> History:
        """See HistoryStore."""
        aliases, only = self._book.current(), "" if imported else OWN
        return self._ask(
            lambda db: read_history(db, start, end, single_events=single_events, aliases=aliases, only=only)
        )

    def grown(self, history: History, end: int, *, keep: int, single_events: int) -> History:
        """See HistoryStore."""
        aliases = self._book.current()
        return self._ask(
            lambda db: refreshed(history, db, end, keep=keep, single_events=single_events, aliases=aliases)
        )

    async def reopen(self) -> None:
        """See HistoryStore."""
        self._opened = False

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if not self._opened:
                self._file.note()
            self._file.check()
            with closing(connect(str(self._path), create=False)) as db:
                self._opened = True
                return work(db)
        except FileChanged as error:
            raise StorageError(str(error)) from error
        except UNREADABLE as error:
            raise unreadable(self._path, error) from error


def read_columns(
    db: sqlite3.Connection, start_us: int, end_us: int, aliases: Aliases = NO_ALIASES, only: str = ""
) -> Columns:
    """The single events of [start, end), in the order of time; all ids of a person are one user.

    `only`, here and below, is "" or OWN.
    """
    rows = np.fromiter(
        db.execute(
            f"SELECT {AT_US}, user, route, status, coalesce(latency_us, duration_us), coalesce(failure, 0) "
            f"FROM guardian_request WHERE id >= ? AND id < ? {only} ORDER BY id",
            ids(start_us, end_us),
        ),
        dtype=_ROW,
    )
    people = read_people(db, aliases)
    emails = dict(db.execute("SELECT id, email FROM guardian_user"))
    user_ids, users = np.unique(people.persons(rows["user"]), return_inverse=True)
    route_ids, routes = np.unique(rows["route"], return_inverse=True)
    feature_of = dict(db.execute("SELECT id, feature FROM guardian_route"))
    names = sorted({feature_of[int(i)] for i in route_ids})
    feature_code = np.array([names.index(feature_of[int(i)]) for i in route_ids], dtype=np.int64)
    features = feature_code[routes] if len(rows) else routes
    pairs, failed = np.full(len(rows), -1), np.flatnonzero(rows["failure"])
    places = _places(db)
    codes: dict[tuple[str, str], int] = {}
    for i in failed:
        kind, location = places[int(rows["failure"][i])]
        pairs[i] = codes.setdefault((kind, location or names[features[i]]), len(codes))
    return Columns(
        rows["at"],
        users,
        features,
        rows["status"],
        rows["duration"],
        pairs,
        [people.name(int(i), emails[int(i)]) for i in user_ids],
        names,
        list(codes),
    )


def _places(db: sqlite3.Connection) -> dict[int, tuple[str, str]]:
    """Per failure its kind and the innermost line of its location, "" where no exception was seen."""
    rows = db.execute("SELECT id, kind, location FROM guardian_failure")
    return {number: (kind, location.rsplit("\n", 1)[-1]) for number, kind, location in rows}


def read_minute_counts(db: sqlite3.Connection, start: int, end: int, only: str = "") -> MinuteCounts:
    """Counts of the minutes [start, end), read a day at a time so that no read lasts long enough to hold up the WAL."""
    feature_of = dict(db.execute("SELECT id, feature FROM guardian_route"))
    counts: dict[str, np.ndarray] = {}
    for first_us in range(start * MINUTE_US, end * MINUTE_US, _DAY_US):
        last_us = min(first_us + _DAY_US, end * MINUTE_US)
        rows = db.execute(
            f"SELECT route, {AT_US} / {MINUTE_US} AS minute, count(*), sum(status >= 400), sum(status >= 500) "
            f"FROM guardian_request WHERE id >= ? AND id < ? {only} GROUP BY route, minute",
            ids(first_us, last_us),
        ).fetchall()
        for route, minute, *numbers in rows:
            feature = feature_of.get(route)
            if feature is None:  # A route that was first seen after the dictionary was read; the next refresh has it.
                continue
            if feature not in counts:
                counts[feature] = np.zeros((end - start, 3), dtype=np.int64)
            counts[feature][minute - start] += numbers
    return MinuteCounts(start, end - start, counts)


def read_first_sightings(db: sqlite3.Connection, only: str = "") -> dict[tuple[str, str], int]:
    """When each (kind, place) of error was first recorded, µs."""
    places, feature_of = _places(db), dict(db.execute("SELECT id, feature FROM guardian_route"))
    seen: dict[tuple[str, str], int] = {}
    for failure, route, event in db.execute(
        f"SELECT failure, route, min(id) FROM guardian_request WHERE failure IS NOT NULL {only} GROUP BY failure, route"
    ):
        if failure not in places or route not in feature_of:
            continue
        kind, location = places[failure]
        what = (kind, location or feature_of[route])
        seen[what] = min(seen.get(what, time_of(event)), time_of(event))
    return seen


def read_first_event(db: sqlite3.Connection, only: str = "") -> int | None:
    """When the oldest stored event ended, µs; None for an empty database."""
    (oldest,) = db.execute(f"SELECT min(id) FROM guardian_request WHERE true {only}").fetchone()
    return None if oldest is None else time_of(oldest)


def read_heartbeats(db: sqlite3.Connection, end: int) -> list[int]:
    """The latest sign of life of each recorder, ascending, µs; `end` is the minute that ended last.

    Without those that a clock has noted which was ahead: they would keep a dead app alive.
    """
    latest = (end + 2) * MINUTE_US + SLACK // timedelta(
        microseconds=1
    )  # a minute is judged while the next one is under way
    return sorted(seen for (seen,) in db.execute("SELECT seen_us FROM guardian_recorder WHERE seen_us <= ?", (latest,)))


def read_history(
    db: sqlite3.Connection, start: int, end: int, *, single_events: int, aliases: Aliases = NO_ALIASES, only: str = ""
) -> History:
    """The minutes [start, end): counts of all of them, single events of the last `single_events` seconds."""
    with _one_state(db):
        cursor, ahead = _read_so_far(db, end)  # first: what comes meanwhile is looked for again
    first = max(start, end - -(-single_events // 60))
    columns = read_columns(db, first * MINUTE_US, end * MINUTE_US, aliases, only)
    counts = read_minute_counts(db, start, first, only).joined(MinuteCounts.of(columns, first, end), end - start)
    seen, oldest = read_first_sightings(db, only), read_first_event(db, only)
    return History(
        counts,
        columns,
        seen,
        oldest,
        read_heartbeats(db, end),
        singles_us=first * MINUTE_US,
        cursor=cursor,
        ahead=ahead,
    )


def refreshed(
    history: History,
    db: sqlite3.Connection,
    end: int,
    *,
    keep: int,
    single_events: int,
    again: int = 15,
    aliases: Aliases = NO_ALIASES,
) -> History:
    """The same history up to minute `end`; the last `again` minutes are read anew, since events come late sometimes.

    What came later than that is noticed by the numbers of the recorders, and read too. `keep` is how many minutes of
    counts stay.
    """
    known = history.counts.end
    if end - max(history.counts.start, known - again) > keep:
        return read_history(db, end - keep, end, single_events=single_events, aliases=aliases, only=OWN)
    with _one_state(db):
        cursor, ahead = _read_so_far(db, end)
        more = cursor.since(history.cursor) + history.ahead - ahead
        piece = _grown(history.counts, db, end, more=more, again=again)
    if piece is None:
        return read_history(db, end - keep, end, single_events=single_events, aliases=aliases, only=OWN)
    counts = history.counts.joined(piece, keep)
    singles_us = end * MINUTE_US - single_events * 1_000_000
    columns = read_columns(db, singles_us, end * MINUTE_US, aliases, OWN)
    first = read_first_event(db, OWN)
    late = piece.start < known - again
    seen = read_first_sightings(db, OWN) if late else _first_sightings(history, columns, db, first)
    return History(
        counts, columns, seen, first, read_heartbeats(db, end), singles_us=singles_us, cursor=cursor, ahead=ahead
    )


@contextmanager
def _one_state(db: sqlite3.Connection) -> Iterator[None]:
    """What is read inside is of one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def _read_so_far(db: sqlite3.Connection, end: int) -> tuple[Cursor, int]:
    """How many events each recorder, an instance, has stored since it began, and how many lie behind minute `end`."""
    (ahead,) = db.execute("SELECT count(*) FROM guardian_request WHERE id >= ?", ids(end * MINUTE_US, 0)[:1]).fetchone()
    return Cursor(dict(db.execute("SELECT id, stored FROM guardian_recorder"))), ahead


def _grown(counts: MinuteCounts, db: sqlite3.Connection, end: int, *, more: int, again: int) -> MinuteCounts | None:
    """The last `again` minutes read anew, or the last day, whichever has `more` events more than were counted; None
    where some are older still."""
    for minutes in (again, 1440):
        start = max(counts.start, counts.end - minutes)
        piece = read_minute_counts(db, start, end, OWN)
        if piece.requests(start, end) - counts.requests(start, counts.end) >= more:
            return piece
    return None


def _first_sightings(
    history: History, columns: Columns, db: sqlite3.Connection, first: int | None
) -> Mapping[tuple[str, str], int]:
    """Those that were known and what is new among the columns; all anew where retention has deleted events of some."""
    if first is None or min(history.first_seen.values(), default=first) < first:
        return read_first_sightings(db, OWN)
    seen = dict(history.first_seen)
    for what, at in History.of_columns(columns, history.counts).first_seen.items():
        seen[what] = min(at, seen.get(what, at))
    return seen
