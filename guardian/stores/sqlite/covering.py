"""Splits a window in SQLite into pieces: the longest sealed buckets inside it, and single events where none fits, or
where an hour stands alone (see `lone_hours`)."""

from __future__ import annotations

import sqlite3
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from itertools import groupby, pairwise
from typing import NamedTuple

from guardian.core.storage import WindowGone
from guardian.stores.sqlite import lone_hours, seals
from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5, SPANS
from guardian.stores.sqlite.listed import Range
from guardian.stores.sqlite.lone_hours import Starts
from guardian.stores.sqlite.seal_marks import Marks, read_marks

_UNTIL = ("sealed", "purged", "forgotten")
_FACTS = (
    "SELECT key, value FROM guardian_meta WHERE key IN ('sealed_until_us', 'purged_until_us', 'forgotten_until_us')"
)
_FEW = 2_016
"""Up to a window of this many 5 minutes (a week), its buckets are listed by one query."""


class Piece(NamedTuple):
    """A part of a window, [start, end): a sealed bucket of length `span`, or single events (0)."""

    start: int
    end: int
    span: int
    mark: object = None
    """Of single events of a lone hour the mark of its day (`seal_marks`), for as long as which they stay the same; None
    while a late event waits for the hour."""


class _Known(NamedTuple):
    """What windows are split by: which buckets there are, up to when all is sealed, the 5 minutes that are stale
    (ascending starts), and the `Piece.mark` of the lone hour that begins at a moment."""

    starts: Starts
    sealed: int
    stale: Sequence[int]
    mark_of: Callable[[int], object]


def runs(made: Sequence[Piece]) -> Iterator[tuple[int, int, int]]:
    """Runs of consecutive buckets of one length, as (length, start, end); each piece of single events is its own run,
    with length 0."""
    for span, run in groupby(made, key=lambda piece: piece.span):
        found = list(run)
        if span:
            yield span, found[0].start, found[-1].end
        else:
            yield from ((0, piece.start, piece.end) for piece in found)


class Cover:
    """Splits several windows, reading only once what all need: what is sealed around the edges of these `windows`,
    each [start, end), is listed by one query. Use it inside the transaction that reads the pieces."""

    def __init__(self, db: sqlite3.Connection, windows: Sequence[tuple[int, int]]) -> None:
        self._db = db
        facts = {key: int(value) for key, value in db.execute(_FACTS)}
        sealed, self._purged, self._forgotten = (facts.get(f"{name}_until_us", 0) for name in _UNTIL)
        low = min((start for start, _ in windows), default=0)
        self._reach = low, max((end for _, end in windows), default=0)
        dirty = "SELECT start_us FROM guardian_dirty WHERE start_us >= ? ORDER BY start_us"
        stale = [at for (at,) in db.execute(dirty, (max(self._purged, low - DAY),))]
        self._stale_hours = {at // HOUR * HOUR for at in stale}
        self._split = _Known(self._starts, sealed, stale, self._mark_of)
        ranges = sorted({each for window in windows for each in _around(*window)})
        self._known = list(zip(ranges, seals.starts_in(db, ranges), strict=True))
        self._all_known = False

    def pieces(self, start_us: int, end_us: int) -> list[Piece]:
        """The pieces of [start, end), in order: the longest sealed buckets inside it, single events where none fits.
        Raises WindowGone if an edge needs what retention has deleted.
        """
        if self._forgotten and start_us < self._forgotten:
            raise WindowGone("this window reaches back further than summaries are kept (see retention.summaries_days)")
        found = list(_cover(self._split, start_us, end_us, SPANS))
        for edge in (edge for piece in found if not piece.span for edge in piece[:2]):
            # An edge inside a purged bucket: nothing is missing only if nothing happened in it.
            if edge % MINUTES5 and edge < self._purged and self._starts(MINUTES5, edge - edge % MINUTES5, edge):
                raise WindowGone(
                    "the single events at the edge of this window have been deleted (see retention.events_days): "
                    "let it begin and end at full 5 minutes"
                )
        # Events that arrived for minutes already purged count in no window, as in no bucket.
        left = (piece if piece.span else piece._replace(start=max(piece.start, self._purged)) for piece in found)
        return [piece for piece in left if piece.start < piece.end]

    def between(self, edges: Sequence[int], made: Sequence[Piece]) -> list[list[Piece]]:
        """The pieces between each two neighbouring edges, given those of the whole (`made`): pieces between two edges
        are reused, and a piece that crosses an edge is split into shorter ones.
        """
        found = list[list[Piece]]()
        starts = [piece.start for piece in made]
        for first, last in pairwise(edges):
            inside = list(made[bisect_left(starts, first) : bisect_left(starts, last)])
            before = made[place - 1].end if (place := bisect_left(starts, first)) else first
            over = before > first or (inside and inside[-1].end > last)
            if over and not self._all_known and edges[-1] - edges[0] <= _FEW * MINUTES5:
                ranges = [(span, edges[0] - max(span, HOUR), edges[-1] + HOUR) for span in SPANS]
                self._known[:0] = zip(ranges, seals.starts_in(self._db, ranges), strict=True)
                self._all_known = True
            found.append(self.pieces(first, last) if over else inside)
        return found

    def _starts(self, span: int, low: int, high: int) -> list[int]:
        """See seals.starts."""
        for (length, first, end), starts in self._known:
            if length == span and first <= low and high <= end:
                return starts[bisect_left(starts, low) : bisect_left(starts, high)]
        return seals.starts(self._db, span, low, high)

    def _mark_of(self, hour: int) -> object:
        low, high = self._reach
        known = low < hour + HOUR and hour < high and hour not in self._stale_hours
        return self._marks[hour // DAY] if known else None

    @cached_property
    def _marks(self) -> Marks:
        return read_marks(self._db, *self._reach)


def _around(start: int, end: int) -> Iterator[Range]:
    """Where the pieces of [start, end) are looked for if no bucket is missing: among the days inside, the hours before
    and after these, and the 5 minutes before and after those, in the whole hours at the edges: they may stand alone."""
    middle = None
    for span in SPANS:
        if span == DAY:
            low, high = -(-start // DAY) * DAY, end // DAY * DAY
        else:
            low, high = start // HOUR * HOUR, -(-end // HOUR) * HOUR
        if low < high:
            sides = ((low, high),) if middle is None else ((low, middle[0]), (middle[1], high))
            yield from ((span, *side) for side in sides if side[0] < side[1])
        low, high = -(-start // span) * span, end // span * span
        middle = (low, high) if low < high else middle


def pieces(db: sqlite3.Connection, start_us: int, end_us: int) -> list[Piece]:
    """See `Cover.pieces`."""
    return Cover(db, [(start_us, end_us)]).pieces(start_us, end_us)


def cover(
    db: sqlite3.Connection, start: int, end: int, spans: Sequence[int], sealed: int, stale: Sequence[int]
) -> Iterator[Piece]:
    """The pieces of [start, end), in order: the longest buckets that fit, and single events between them. Before
    `sealed`, 5 minutes without a bucket have no events, unless they are among the `stale` ones (ascending starts), or
    in a lone hour. None has a mark.
    """
    return _cover(_Known(partial(seals.starts, db), sealed, stale, lambda hour: None), start, end, spans)


def _cover(known: _Known, start: int, end: int, spans: Sequence[int]) -> Iterator[Piece]:
    if start >= end:
        return
    at = start
    for hour in lone_hours.find_among(known.starts, start, end) if tuple(spans) == SPANS[-1:] else ():
        yield from _buckets(known, at, hour, spans)
        yield Piece(max(start, hour), min(hour + HOUR, end), 0, known.mark_of(hour))
        at = hour + HOUR
    yield from _buckets(known, at, end, spans)


def _buckets(known: _Known, start: int, end: int, spans: Sequence[int]) -> Iterator[Piece]:
    """The pieces of [start, end), in which no lone hour begins or ends within the last of these lengths."""
    if start >= end:
        return
    if not spans:
        # Single events, leaving out sealed 5 minutes without events.
        low, high = -(-start // MINUTES5) * MINUTES5, min(end, known.sealed) // MINUTES5 * MINUTES5
        if low >= high:
            yield Piece(start, end, 0)
            return
        edges = [(start, low), *((at, at + MINUTES5) for at in known.stale if low <= at < high), (high, end)]
        yield from (Piece(first, last, 0) for first, last in edges if first < last)
        return
    span, shorter = spans[0], spans[1:]
    low, high = -(-start // span) * span, end // span * span
    at, whole = start, {at // span * span for at in known.stale}
    for bucket in known.starts(span, low, high) if low < high else ():
        if bucket not in whole:
            yield from _cover(known, at, bucket, shorter)
            yield Piece(bucket, bucket + span, span)
            at = bucket + span
    yield from _cover(known, at, end, shorter)
