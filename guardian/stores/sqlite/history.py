"""The history that rules are judged on, read from SQLite straight into numpy: a million events in a second or two."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from guardian.alerting.columns import MINUTE_US, MinuteCounts
from guardian.alerting.history import History
from guardian.alerting.sample import Released, Sample
from guardian.alerting.wanted import NOTHING_MORE, Wanted
from guardian.alerting.whom import Use
from guardian.core.cursor import Cursor
from guardian.core.storage import StorageError
from guardian.stores.history import SAMPLED
from guardian.stores.people.aliases import NO_ALIASES, Aliases
from guardian.stores.people.book import NO_BOOK, AliasBook
from guardian.stores.sqlite import sightings
from guardian.stores.sqlite.buckets import ids
from guardian.stores.sqlite.connections import Connections, in_one_state
from guardian.stores.sqlite.damage import UNREADABLE, unreadable
from guardian.stores.sqlite.earlier import with_earlier
from guardian.stores.sqlite.imported import OWN
from guardian.stores.sqlite.late import late_minutes, marked, read_marks
from guardian.stores.sqlite.pieces import Pieces
from guardian.stores.sqlite.sampling import read_failed_page, read_releases, read_sample, read_slow_page
from guardian.stores.sqlite.singles import Singles, read_minute_counts
from guardian.stores.sqlite.succeeded import read_succeeded
from tracker.sqlite.connection import undo
from tracker.sqlite.database_file import FileChanged, OpenedFile

T = TypeVar("T")

_FAILED = 200_000
"""How many failed or slow requests one statement reads."""


class SqliteHistory:
    """`HistoryStore` on the database at `path`; never creates the file. With `keep`, connections stay open between
    calls until `close`; without it, and after `close`, each call opens its own."""

    def __init__(self, path: Path, book: AliasBook = NO_BOOK, *, keep: bool = False) -> None:
        self._path, self.book, self._keep = path, book, keep
        self._file, self._opened = OpenedFile(str(path)), False
        self._connections = Connections(self._file)

    def first_event(self) -> int | None:
        """See HistoryStore."""
        return self._ask(sightings.read_first_event)

    def read(
        self, start: int, end: int, *, single_events: int, imported: bool = True, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """See HistoryStore."""
        aliases, only = self.book.current(), "" if imported else OWN

        def work(db: sqlite3.Connection) -> History:
            return read_history(db, start, end, single_events=single_events, aliases=aliases, only=only, wanted=wanted)

        return self._ask(work)

    def grown(
        self, history: History, end: int, *, keep: int, single_events: int, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """See HistoryStore."""
        aliases = self.book.current()
        asked = {"keep": keep, "single_events": single_events}
        return self._ask(lambda db: refreshed(history, db, end, **asked, aliases=aliases, wanted=wanted))

    def sample(self, start_us: int, end_us: int, *, most: int = SAMPLED) -> Sample:
        """See HistoryStore."""
        aliases = self.book.current()
        return self._ask(lambda db: read_sample(db, start_us, end_us, most, aliases))

    def failed(self, start_us: int, end_us: int) -> Iterator[Sample]:
        """See HistoryStore."""
        aliases = self.book.current()
        first, end = ids(start_us, end_us)
        while first < end:
            sample, first = self._ask(partial(read_failed_page, first=first, end=end, most=_FAILED, aliases=aliases))
            yield sample

    def slow(self, start_us: int, end_us: int, over_us: float, feature: str | None) -> Iterator[Sample]:
        """See HistoryStore."""
        asked: dict[str, Any] = {"over_us": over_us, "feature": feature, "aliases": self.book.current()}
        first, end = ids(start_us, end_us)
        while first < end:
            sample, first = self._ask(partial(read_slow_page, first=first, end=end, most=_FAILED, **asked))
            yield sample

    def succeeded(self, since: Mapping[Use, int], end_us: int, within_us: float | None = None) -> set[Use]:
        """See HistoryStore."""
        read = partial(read_succeeded, aliases=self.book.current(), since=since, end_us=end_us, within_us=within_us)
        return self._ask(lambda db: in_one_state(db, read))

    def releases(self, start_us: int, end_us: int) -> list[Released]:
        """See HistoryStore."""
        return self._ask(lambda db: read_releases(db, start_us, end_us))

    def stored_until(self, now_us: int) -> int:
        """See HistoryStore. Processes store events at once, so only one that reported a backlog is behind."""
        return self._ask(lambda db: sightings.read_stored_until(db, now_us))

    async def reopen(self) -> None:
        """See HistoryStore."""
        self._opened = False
        await asyncio.to_thread(self._connections.drop)

    async def close(self) -> None:
        """See HistoryStore."""
        self._keep = False
        await asyncio.to_thread(self._connections.drop)

    def _ask(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if not self._opened:
                self._file.note()
            with self._connections.use() as db:
                self._opened = True
                return work(db)
        except FileChanged as error:
            raise StorageError(str(error)) from error
        except UNREADABLE as error:
            raise unreadable(self._path, error) from error
        finally:
            if not self._keep:
                self._connections.drop()


def read_history(
    db: sqlite3.Connection,
    start: int,
    end: int,
    *,
    single_events: int,
    aliases: Aliases = NO_ALIASES,
    only: str = "",
    wanted: Wanted = NOTHING_MORE,
) -> History:
    """The history of the minutes [start, end): counts of all of them, single events of the last `single_events`
    seconds. `only`, here and below, is "" or OWN."""
    with _one_state(db):
        cursor, ahead = _read_so_far(db, end)  # first: events that come meanwhile will be found again
        marks = read_marks(db)
    first = max(start, end - -(-single_events // 60))
    singles = Singles(db, aliases, only)
    counts = read_minute_counts(db, start, first, singles)
    pieces = Pieces(db, first, end)
    for minute, last in pieces:
        piece = singles.read(db, minute * MINUTE_US, last * MINUTE_US)
        singles.add(piece, last, last * MINUTE_US - single_events * 1_000_000)
        counts = counts.followed(MinuteCounts.of(piece, minute, last), end - start)
        pieces.read = len(piece)
    singles.end, singles.marks = end, marks
    history = History(
        counts,
        singles.columns,
        sightings.read_first_sightings(db, only),
        sightings.read_first_event(db, only),
        sightings.read_heartbeats(db, end),
        singles_us=first * MINUTE_US,
        cursor=cursor,
        ahead=ahead,
        source=singles,
    )
    return with_earlier(db, history, wanted, only)


def refreshed(
    history: History,
    db: sqlite3.Connection,
    end: int,
    *,
    keep: int,
    single_events: int,
    aliases: Aliases = NO_ALIASES,
    wanted: Wanted = NOTHING_MORE,
) -> History:
    """The same history up to minute `end`, with new events appended. Late events show in the recorders' counters, or,
    where others write too, in the counts of the last quarter of an hour; their minutes are read again. `keep` minutes
    of counts stay.
    """
    known = history.counts.end
    singles_us = end * MINUTE_US - single_events * 1_000_000
    grown = None
    if end - known <= keep and not singles_us < history.singles_us > (end - keep) * MINUTE_US:
        with _one_state(db):
            grown = _grown(history, db, end, keep=keep, singles_us=singles_us, aliases=aliases)
    if grown is None:
        return read_history(db, end - keep, end, single_events=single_events, aliases=aliases, only=OWN, wanted=wanted)
    return with_earlier(db, grown, wanted, OWN)


def _grown(
    history: History, db: sqlite3.Connection, end: int, *, keep: int, singles_us: int, aliases: Aliases
) -> History | None:
    """The history with new and late events; None if it has to be read in full."""
    known, singles = history.counts.end, history.source
    if not isinstance(singles, Singles) or singles.only != OWN or not singles.fits(db, aliases, known):
        return None
    cursor, ahead = _read_so_far(db, end)
    more = cursor.since(history.cursor) + history.ahead - ahead
    new = singles.read(db, known * MINUTE_US, end * MINUTE_US)
    # Writers without counters (an import, a test) are noticed by this check, or when nobody writes with counters.
    marks = read_marks(db)
    late = None if len(new) == more == 0 else marked(singles.marks, marks, known, more - len(new))
    if late is None:
        late = late_minutes(db, history.counts, more - len(new), OWN)
    if late is None:
        return None
    pieces = {minute: singles.read(db, minute * MINUTE_US, (minute + 1) * MINUTE_US) for minute in late}
    first = sightings.grown_first_event(history, (new, *pieces.values()), db)
    seen = sightings.grown_sightings(history, (new, *pieces.values()), db, first)
    counts = history.counts.followed(MinuteCounts.of(new, known, end), keep) if end > known else history.counts
    for minute, piece in pieces.items():
        if minute >= counts.start:
            counts = counts.mended(MinuteCounts.of(piece, minute, minute + 1))
        if minute * MINUTE_US >= history.singles_us:
            singles.replace(minute, piece)
    singles.add(new, end, singles_us)
    singles.marks = marks
    behind = any(minute < counts.start for minute in late)  # then its known counts are outdated
    return History(
        counts, singles.columns, seen, first, sightings.read_heartbeats(db, end),
        singles_us=singles_us, cursor=cursor, ahead=ahead, source=singles,
        earlier={} if behind else history.earlier, last_used={} if behind else history.last_used, late=late,
    )  # fmt: skip


@contextmanager
def _one_state(db: sqlite3.Connection) -> Iterator[None]:
    """Everything read inside is from one moment."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        undo(db)


def _read_so_far(db: sqlite3.Connection, end: int) -> tuple[Cursor, int]:
    """How many events each recorder has stored since it started, and how many lie after minute `end`."""
    (ahead,) = db.execute("SELECT count(*) FROM guardian_request WHERE id >= ?", ids(end * MINUTE_US, 0)[:1]).fetchone()
    return Cursor(dict(db.execute("SELECT id, stored FROM guardian_recorder"))), ahead
