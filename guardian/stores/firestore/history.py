"""The history that rules are judged on, from Firestore: read once from sealed buckets, then only updated. Calls block.
Imported events lie before everything that the app itself recorded, in slices of their own, so leaving them out means
starting where the imported past ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from guardian.alerting.columns import MINUTE_US, MinuteCounts
from guardian.alerting.history import History, first_sightings
from guardian.alerting.sample import Released, Sample
from guardian.alerting.wanted import NOTHING_MORE, Wanted
from guardian.alerting.whom import Use
from guardian.core.clock import SLACK
from guardian.core.cursor import Cursor
from guardian.core.time import micros
from guardian.stores.firestore import past
from guardian.stores.firestore.buckets import HOUR
from guardian.stores.firestore.columns import columns_of
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Documents, as_time
from guardian.stores.firestore.evidence import read_releases, read_sample
from guardian.stores.firestore.importing import first_own, imported_until, is_own
from guardian.stores.firestore.passing import Passing
from guardian.stores.firestore.progress import BEHIND_US, as_table
from guardian.stores.firestore.slices import AT, Table, join
from guardian.stores.firestore.succeeded import read_failed, read_slow, read_succeeded
from guardian.stores.firestore.windows import Windows
from guardian.stores.history import ALIVE_US, SAMPLED
from guardian.stores.people.aliases import Aliases
from guardian.stores.people.book import NO_BOOK, AliasBook
from tracker.firestore.address import parse
from tracker.firestore.sink import RECORDERS, SLICES

_SLACK_US = SLACK // timedelta(microseconds=1)
_ALIVE = 100
"""How many of the latest heartbeats are read."""
_END = 2**62


@dataclass
class _Read:
    """What a history was made from: its single events and later ones, the aliases used, and which of the slices written
    after `mark_us` are included."""

    table: Table
    aliases: Aliases
    epoch: object
    mark_us: int
    slices: frozenset[str] = field(default_factory=frozenset)
    hours: past.Hours = field(default_factory=dict)
    """The requests of each minute, by feature, of whole hours of earlier weeks."""
    own_us: int = 0


class FirestoreHistory:
    """`HistoryStore` on one database."""

    def __init__(self, address: str, book: AliasBook = NO_BOOK) -> None:
        self.documents = Documents(parse(address))
        self._directory = Directory(self.documents)
        self._passing = Passing(self.documents)
        self._beats: tuple[int, dict[str, int]] | None = None
        self.book = book

    def first_event(self) -> int | None:
        """See HistoryStore."""
        return self._first(0)

    def _first(self, own_us: int) -> int | None:
        """When the first event ended; with imports (up to `own_us`), the app's own first event."""
        if own_us:
            return first_own(self.documents, own_us)
        found = self.documents.query(SLICES, order=[("start", "ASCENDING")], limit=1)
        return int(found[0].fields["start"]) if found else None

    def read(
        self, start: int, end: int, *, single_events: int, imported: bool = True, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """See HistoryStore."""
        aliases, epoch = self.book.current(), self._directory.refresh()
        windows = Windows(self.documents)
        mark_us = windows.progress.read_us - BEHIND_US
        before = self.documents.query(SLICES, ("written", ">", as_time(max(mark_us, 0))))
        first = max(start, end - -(-single_events // 60))
        own_us = 0 if imported else imported_until(self.documents)
        begin = max(windows.progress.purged_us, own_us)
        pieces = windows.pieces([begin, first * MINUTE_US]) if begin < first * MINUTE_US else []
        found = self.documents.query(
            SLICES, ("start", ">=", first // 5 * 5 * MINUTE_US), order=[("start", "ASCENDING")]
        )
        table = as_table(found if imported else list(filter(is_own, found))).between(first * MINUTE_US, _END)
        inside = columns_of(self._directory, table.between(first * MINUTE_US, end * MINUTE_US), aliases)
        rows = past.rows_of(pieces)
        counts = past.counts_of(rows, start, first).followed(MinuteCounts.of(inside, first, end), end - start)
        seen = past.sightings_of(pieces, windows.progress.cleared_us)
        lately = frozenset(each.name for each in (*before, *found) if micros(each.fields["written"]) > mark_us)
        return History(
            counts, inside, _earliest(seen, first_sightings(inside)), self._first(own_us),
            self._heartbeats(end),
            singles_us=first * MINUTE_US,
            cursor=Cursor({"slices": len(found)}),
            earlier=past.earlier_of(rows, past.minutes_wanted(wanted, start)),
            last_used=past.last_used_of(rows, wanted, start),
            source=_Read(table, aliases, epoch, mark_us, lately, own_us=own_us),
        )  # fmt: skip

    def grown(
        self, history: History, end: int, *, keep: int, single_events: int, wanted: Wanted = NOTHING_MORE
    ) -> History:
        """See HistoryStore. Adds what was written since; reads everything again if that is not enough."""
        aliases, epoch = self.book.current(), self._directory.refresh()
        known, source = history.counts.end, history.source
        singles_us = end * MINUTE_US - single_events * 1_000_000
        grown = None
        if (
            isinstance(source, _Read)
            and (source.aliases, source.epoch) == (aliases, epoch)
            and known <= end
            and end - known <= keep
            and not singles_us < history.singles_us > (end - keep) * MINUTE_US
        ):
            grown = self._grown(history, source, end, keep=keep, singles_us=singles_us, wanted=wanted)
        return grown or self.read(end - keep, end, single_events=single_events, imported=False, wanted=wanted)

    def _grown(
        self, history: History, source: _Read, end: int, *, keep: int, singles_us: int, wanted: Wanted
    ) -> History | None:
        known = history.counts.end
        found = self.documents.query(SLICES, ("written", ">", as_time(max(source.mark_us, 0))))
        fresh = [each for each in found if each.name not in source.slices and is_own(each)]
        new = as_table(fresh)
        if len(new) and new.rows[0, AT] < history.singles_us:
            return None  # later than what was read
        late = np.unique(new.between(0, known * MINUTE_US).rows[:, AT] // MINUTE_US).tolist()
        table = join([source.table, new]).in_order().between(singles_us, _END)
        inside = columns_of(self._directory, table.between(0, end * MINUTE_US), source.aliases)
        counts = history.counts
        if any(minute * MINUTE_US < singles_us for minute in late):
            return None
        for minute in late:
            if minute >= counts.start:
                counts = counts.mended(MinuteCounts.of(inside, minute, minute + 1))
        if end > known:
            counts = counts.followed(MinuteCounts.of(inside, known, end), keep)
        mark_us = max(source.mark_us, max((micros(each.fields["written"]) for each in found), default=0) - BEHIND_US)
        lately = frozenset(each.name for each in found if micros(each.fields["written"]) > mark_us)
        asked, own_us = past.minutes_wanted(wanted, counts.start), imported_until(self.documents)
        hours = self._hours(history, source, asked, own_us)
        return History(
            counts, inside, _earliest(history.first_seen, first_sightings(inside)),
            self._first(own_us), self._beaten(end),
            singles_us=singles_us,
            cursor=Cursor({"slices": sum(history.cursor.serials.values()) + len(fresh)}),
            earlier={minute: past.earlier_at(history, hours, minute) for minute in asked},
            last_used={**history.last_used, **past.fallen_out(history.counts, counts)} if wanted.known_us else {},
            late=late,
            source=replace(source, table=table, mark_us=mark_us, slices=lately, hours=hours, own_us=own_us),
        )  # fmt: skip

    def _hours(self, history: History, source: _Read, asked: Sequence[int], own_us: int) -> past.Hours:
        """The hours around those of these minutes that are not at hand: what is asked for next lies in them too."""
        counts, known = history.counts, source.hours if source.own_us == own_us else {}
        missing = {m // 60 for m in asked if not (counts.start <= m < counts.end or m in history.earlier)}
        found = {hour: known[hour] for hour in {m // 60 for m in asked} if hour in known}
        if new := sorted(missing - found.keys()):
            windows = Windows(self.documents)
            begin = max(windows.progress.purged_us, own_us)
            for hour in new:
                edges = [max(begin, hour * HOUR), (hour + 1) * HOUR]
                pieces = windows.pieces(edges) if edges[0] < edges[1] else []
                found[hour] = past.earlier_of(past.rows_of(pieces), range(hour * 60, hour * 60 + 60))
        return found

    def sample(self, start_us: int, end_us: int, *, most: int = SAMPLED) -> Sample:
        """See HistoryStore."""
        self._directory.refresh()
        return read_sample(self.documents, self._directory, self.book.current(), start_us, end_us, most)

    def failed(self, start_us: int, end_us: int) -> Iterator[Sample]:
        """See HistoryStore."""
        self._directory.refresh()
        return read_failed(Windows(self.documents), self._directory, self.book.current(), start_us, end_us)

    def slow(self, start_us: int, end_us: int, over_us: float, feature: str | None) -> Iterator[Sample]:
        """See HistoryStore."""
        self._directory.refresh()
        asked = (start_us, end_us, over_us, feature)
        return read_slow(Windows(self.documents), self._directory, self.book.current(), *asked)

    def succeeded(self, since: Mapping[Use, int], end_us: int, within_us: float | None = None) -> set[Use]:
        """See HistoryStore."""
        self._directory.refresh()
        return read_succeeded(Windows(self.documents), self._directory, self.book.current(), since, end_us, within_us)

    def releases(self, start_us: int, end_us: int) -> list[Released]:
        """See HistoryStore."""
        return read_releases(self.documents, start_us, end_us)

    def stored_until(self, now_us: int) -> int:
        """See HistoryStore."""
        return self._passing.until(now_us)

    async def reopen(self) -> None:
        """See HistoryStore: a Firestore address always means the same database."""

    async def close(self) -> None:
        """See HistoryStore: the process shares the client, which stays open."""

    def _beaten(self, end: int) -> list[int]:
        """The latest heartbeats, with those that `stored_until` has just read where that was soon after the last."""
        seen, now_us = self._passing.beats(), end * MINUTE_US
        if seen is None or self._beats is None or not 0 <= now_us - self._beats[0] <= ALIVE_US // 2:
            return self._heartbeats(end)
        self._beats = now_us, {**self._beats[1], **seen}
        return sorted(at for at in self._beats[1].values() if at <= _latest(end))[-_ALIVE:]

    def _heartbeats(self, end: int) -> list[int]:
        latest = _latest(end)
        found = self.documents.query(
            RECORDERS, ("seen_us", "<=", latest), order=[("seen_us", "DESCENDING")], limit=_ALIVE
        )
        self._beats = end * MINUTE_US, {str(each.fields["recorder"]): int(each.fields["seen_us"]) for each in found}
        return sorted(self._beats[1].values())


def _latest(end: int) -> int:
    return (end + 2) * MINUTE_US + _SLACK_US


def _earliest(known: Mapping[tuple[str, str], int], more: Mapping[tuple[str, str], int]) -> dict[tuple[str, str], int]:
    return {what: min(known.get(what, at), at) for what, at in {**known, **more}.items()}
