"""Sealed buckets that were read lately, so that a report, which looks at the same days for several things, reads each
once."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
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
        if span == HOUR:
            self._read_hours(progress.version, start, end)
        if span == DAY:
            for place, found in packs.days_of(
                self._documents, progress, self._missing(progress.version, DAY, start, end)
            ):
                self._keep(progress.version, DAY, place, found)
        for first, last in self._missing(progress.version, span, start, end):
            found = self._documents.named(seals.SEALS, *seals.range_of(span, first, last))
            self._keep(progress.version, span, (first, last), found)
        first_name, end_name = seals.range_of(span, start, end)
        with self._lock:
            if self._version == progress.version and not _without(start, end, self._ranges[span]):
                there = self._found[span]
                return seals.unpacked_from(
                    span, [there[name] for name in sorted(there) if first_name <= name < end_name]
                )
        return seals.read(self._documents, span, start, end)  # another one began anew meanwhile, or it is too much

    def _read_hours(self, version: Any, start: int, end: int) -> None:
        """Read all hours of the days that an edge cuts where several are missing and a document has them."""
        cut = {at // DAY * DAY for at in (start, end) if at % DAY}
        for day in sorted(cut):
            missing = self._missing(version, HOUR, max(start, day), min(end, day + DAY))
            many = sum(last - first for first, last in missing) >= seals.FEW * HOUR
            if many and (found := seals.hours_of(self._documents, day)) is not None:
                self._keep(version, HOUR, (day, day + DAY), found)

    def _missing(self, version: Any, span: int, start: int, end: int) -> list[tuple[int, int]]:
        with self._lock:
            if version != self._version or time.monotonic() > self._ends:
                self._begin(version)
            return _without(start, end, self._ranges[span])

    def _keep(self, version: Any, span: int, place: tuple[int, int], found: Sequence[Found]) -> None:
        grows = sum(len(each.fields["body"]) for each in found)
        with self._lock:
            if version != self._version:
                return
            if self._bytes + grows > MOST_BYTES:
                self._begin(version)
            self._bytes += grows
            self._found[span].update((each.name, each) for each in found)
            self._ranges[span] = sorted([*self._ranges[span], place])


def _without(start: int, end: int, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
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
