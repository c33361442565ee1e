"""Sealed buckets that were read lately, so that a report, which looks at the same days for several things, reads each
once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

from guardian.stores.firestore import packs, seals
from guardian.stores.firestore.buckets import DAY, HOUR, Seal
from guardian.stores.firestore.documents import NEW, Documents, Found
from guardian.stores.firestore.progress import Progress

SECONDS = 60.0
"""For so long after the first of them was read documents are kept."""
MOST_BYTES = 16_000_000
"""As they are stored: of more, those that were kept go."""
Range = tuple[int, int]


class Kept:
    """What was read under one state of the progress: whoever seals or deletes writes another one."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._lock = Lock()
        self._begin(None)

    def _begin(self, version: Any) -> None:
        self._version, self._ends, self._bytes = version, time.monotonic() + SECONDS, 0
        self._found: dict[int, dict[str, Found]] = defaultdict(dict)
        self._ranges: dict[int, list[tuple[int, int]]] = defaultdict(list)

    def read(self, progress: Progress, span: int, start: int, end: int) -> list[Seal]:
        """The buckets of this length that begin in [start, end), in order, as they are under this progress. Raises
        StorageError where one is damaged."""
        if start >= end:
            return []
        if progress.version is NEW:
            return seals.read(self._documents, span, start, end)
        there, missing = self._known(progress.version, span, start, end)
        for place, found in self._together(progress, span, missing):
            there += self._keep(progress.version, span, place, found)
            missing = [part for each in missing for part in _without(*each, [place])]
        for first, last in missing:
            found = self._documents.named(seals.SEALS, *seals.range_of(span, first, last))
            there += self._keep(progress.version, span, (first, last), found)
        first_name, end_name = seals.range_of(span, start, end)
        asked = {each.name: each for each in there if first_name <= each.name < end_name}
        return seals.unpacked_from(span, [asked[name] for name in sorted(asked)])

    def _together(self, progress: Progress, span: int, missing: Sequence[Range]) -> Iterator[tuple[Range, list[Found]]]:
        """What one document has of several missing buckets: days that are in a pack, and all hours of a day of which
        no fewer than `seals.FEW` are to be read."""
        if span == DAY:
            yield from packs.days_of(self._documents, progress, missing)
        if span == HOUR:
            days = {day for first, last in missing for day in range(first // DAY * DAY, last, DAY)}
            open_ = {at for span, at in progress.unjoined if span == DAY}
            for day in sorted(day for day in days - open_ if day + DAY <= progress.until_us):
                many = sum(max(0, min(last, day + DAY) - max(first, day)) for first, last in missing)
                if many >= seals.FEW * HOUR and (found := seals.hours_of(self._documents, day)) is not None:
                    yield (day, day + DAY), found

    def _known(self, version: Any, span: int, start: int, end: int) -> tuple[list[Found], list[Range]]:
        """The documents that are kept, and which parts of [start, end) they are not of."""
        with self._lock:
            if version != self._version or time.monotonic() > self._ends:
                self._begin(version)
            return [*self._found[span].values()], _without(start, end, self._ranges[span])

    def _keep(self, version: Any, span: int, place: Range, found: list[Found]) -> list[Found]:
        """Keep the documents of a range, unless another state is read by now. Returns them."""
        grows = sum(len(each.fields["body"]) for each in found)
        with self._lock:
            if version != self._version:
                return found
            if self._bytes + grows > MOST_BYTES:
                self._begin(version)
            self._bytes += grows
            self._found[span].update((each.name, each) for each in found)
            self._ranges[span] = sorted([*self._ranges[span], place])
        return found


def _without(start: int, end: int, ranges: Sequence[Range]) -> list[Range]:
    """What of [start, end) lies in none of these ranges, which are in order."""
    found = []
    for first, last in ranges:
        if last <= start:
            continue
        if first >= end:
            break
        if start < first:
            found.append((start, first))
        start = max(start, last)
    return [*found, (start, end)] if start < end else found
