"""Splits a window in Firestore into pieces: the longest sealed buckets inside it, and single events at its edges."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from guardian.core.storage import WindowGone
from guardian.core.summary import fits
from guardian.stores.firestore.buckets import DAY, HOUR, MINUTES5, SPANS, Seal
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.kept import Kept
from guardian.stores.firestore.progress import (
    Progress,
    late_slices,
    read_progress,
    read_table,
    stale_buckets,
)
from guardian.stores.firestore.slices import AT, Table


@dataclass(frozen=True)
class Piece:
    """A part of a window, [start, end): a sealed bucket, or else single events."""

    start: int
    end: int
    content: Seal | Table


class Windows:
    """One state of the store for reading windows: how far it was sealed, and which late slices have come since. `kept`
    has what was read of the same state before."""

    def __init__(self, documents: Documents, kept: Kept | None = None) -> None:
        self.documents = documents
        self._kept = kept or Kept(documents)
        self.progress: Progress = read_progress(documents)
        self.stale = stale_buckets(late_slices(documents, self.progress))
        """The starts of the sealed 5 minutes into which something has come late, or was changed, since."""

    def pieces(self, edges: Sequence[int], features: Sequence[str] = (), *, hourly: bool = False) -> list[Piece]:
        """The pieces of the window from the first edge to the last, in order. No piece crosses an edge, except that
        with `hourly` a day may cross edges at full hours. With features, all pieces are single events. Raises
        WindowGone if retention has deleted what is needed.
        """
        start, end = edges[0], edges[-1]
        if start >= end:
            return []
        if self.progress.forgotten_us and start < self.progress.forgotten_us:
            raise WindowGone("this window reaches back further than summaries are kept (see retention.summaries_days)")
        if features:
            return self._of_features(edges, features)
        until = self.progress.until_us
        inner = sorted({edge for edge in edges if start < edge < end})
        found: list[Piece] = []
        left = self._sealed(max(start, 0), min(end, until), SPANS, inner, hourly, found)
        left.append((max(start, until), end))
        for first, last in left:
            if first < last:
                cuts = [first, *(edge for edge in inner if first < edge < last), last]
                self._may_be_read(cuts)
                found += self._single(self.table(first, last), cuts)
        return sorted(found, key=lambda piece: piece.start)

    def inside(self, seal: Seal) -> list[Seal]:
        """The shorter buckets inside a sealed one."""
        return self._read(HOUR if seal.span == DAY else MINUTES5, seal.start, seal.end)

    def _read(self, span: int, start: int, end: int) -> list[Seal]:
        """The buckets of this length that begin in [start, end), without those that have yet to be joined anew."""
        found = self._kept.read(self.progress, span, start, end)
        return [each for each in found if (span, each.start) not in self.progress.unjoined]

    def table(self, start_us: int, end_us: int) -> Table:
        """The single events of [start, end)."""
        return read_table(self.documents, start_us, end_us)

    def counted(self, table: Table) -> Table:
        """Only the events that count: late events of purged 5 minutes do not."""
        return table.where(np.flatnonzero(table.rows[:, AT] >= self.progress.purged_us))

    def _single(self, table: Table, edges: Sequence[int]) -> Iterator[Piece]:
        counted = self.counted(table)
        for first, last in pairwise(edges):
            yield Piece(first, last, counted.between(first, last))

    def _of_features(self, edges: Sequence[int], features: Sequence[str]) -> list[Piece]:
        start, end = edges[0], edges[-1]
        purged = self.progress.purged_us
        first = max(0, start) // MINUTES5 * MINUTES5
        if start < purged and self._read(MINUTES5, first, min(end, purged)):
            raise WindowGone(
                "the single events of this window have been deleted (see retention.events_days), and a report of some "
                "features alone counts them: let retention.events_days be longer than its period"
            )
        table = self.table(start, end).of_features(lambda name: fits(name, features))
        return list(self._single(table, edges))

    def _sealed(
        self, start: int, end: int, spans: Sequence[int], edges: Sequence[int], hourly: bool, found: list[Piece]
    ) -> list[tuple[int, int]]:
        """Put the longest sealed buckets inside [start, end) into `found`, and return the gaps that need single
        events."""
        if start >= end:
            return []
        if not spans:
            return self._unsealed(start, end, edges)
        span, *shorter = spans
        low, high = -(-start // span) * span, end // span * span
        step = HOUR if hourly and span == DAY else span
        cut = {at // span * span for at in self.stale} | {edge // span * span for edge in edges if edge % step}
        left, at, here = list[tuple[int, int]](), start, self._read(span, low, high)
        there = {seal.start for seal in here}

        def closer(first: int, last: int) -> None:
            for part in self._may_have(span, there, first, last):
                left.extend(self._sealed(*part, shorter, edges, hourly, found))

        for seal in here:
            if seal.start not in cut:
                closer(at, seal.start)
                found.append(Piece(seal.start, seal.end, seal))
                at = seal.end
        closer(at, end)
        return left

    def _may_have(self, span: int, there: Collection[int], start: int, end: int) -> Iterator[tuple[int, int]]:
        """The parts of [start, end) that may have events, where `there` are the starts of the buckets of this length:
        nothing was in one that is missing although all shorter ones are joined, unless something has come late."""
        late, at = {each // span * span for each in self.stale}, start
        for first in range(-(-start // span) * span, end - span + 1, span):
            joined = first + span <= self.progress.until_us and (span, first) not in self.progress.unjoined
            if joined and first not in there and first not in late:
                if at < first:
                    yield at, first
                at = first + span
        if at < end:
            yield at, end

    def _unsealed(self, start: int, end: int, edges: Sequence[int]) -> list[tuple[int, int]]:
        """The parts of [start, end), in which no seal can be used, that may have single events: edges inside 5 minutes,
        stale buckets, and buckets cut by an edge. The rest is empty."""
        low, high = -(-start // MINUTES5) * MINUTES5, end // MINUTES5 * MINUTES5
        if low > high:
            return [(start, end)]
        single = {*self.stale, *(edge // MINUTES5 * MINUTES5 for edge in edges if edge % MINUTES5)}
        whole = [(at, at + MINUTES5) for at in sorted(single) if low <= at < high]
        return [(a, b) for a, b in ((start, low), *whole, (high, end)) if a < b]

    def _may_be_read(self, edges: Sequence[int]) -> None:
        """Raises WindowGone if an edge lies inside 5 minutes whose events were deleted."""
        for edge in edges:
            bucket = edge // MINUTES5 * MINUTES5
            inside = edge % MINUTES5 and edge < self.progress.purged_us
            if inside and self._read(MINUTES5, bucket, bucket + 1):
                raise WindowGone(
                    "the single events at the edge of this window have been deleted (see retention.events_days): "
                    "let it begin and end at full 5 minutes"
                )
