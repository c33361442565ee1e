"""How many events there are: of days whose events are sealed it is kept with the progress of sealing, so that only what
came since is added up from slices. Calls block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from guardian.stores.firestore import seals
from guardian.stores.firestore.buckets import DAY, MINUTES5
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.progress import Progress
from guardian.stores.firestore.windows import Windows
from tracker.firestore.sink import SLICES

_END = 2**62
Range = tuple[int, int]


def events(windows: Windows, oldest_us: int) -> int:
    """How many events there are, where the first slice begins at `oldest_us`, µs."""
    progress = windows.progress
    if progress.counts is None:
        return _added_up(windows.documents, (oldest_us, _END))
    unsure = {at // DAY * DAY for at in windows.stale} | _to_be_joined(progress)
    known = sum(n for day, n in progress.counts.items() if day not in unsure and day + DAY > oldest_us)
    sealed_us, until_us = progress.purged_us, progress.until_us
    single = [(oldest_us, sealed_us), *((max(day, sealed_us), min(day + DAY, until_us)) for day in sorted(unsure))]
    return known + sum(_added_up(windows.documents, each) for each in _merged([*single, (until_us, _END)]))


def _to_be_joined(progress: Progress) -> set[int]:
    """The days that are over and not joined: what is noted of them is of before."""
    return {at for span, at in progress.unjoined if span == DAY and at + DAY <= progress.until_us}


def _merged(ranges: Sequence[Range]) -> Iterator[Range]:
    """These ranges without the empty ones, those as one that follow each other."""
    start = end = -_END
    for first, last in ranges:
        if first >= last:
            continue
        if first > end:
            if start < end:
                yield start, end
            start = first
        end = max(end, last)
    if start < end:
        yield start, end


def _added_up(documents: Documents, within: Range) -> int:
    """The events of the slices that begin in [start, end). Firestore bills one read a thousand slices."""
    return documents.total(SLICES, "count", ("start", ">=", within[0]), ("start", "<", within[1]))


def after_sealing(documents: Documents, progress: Progress, made: Mapping[int, int]) -> Mapping[int, int] | None:
    """The counts once these 5 minutes are sealed, or sealed anew: `made` has the events of each by its start. Of days
    that are over only joining says what they are then."""
    if progress.counts is None:
        return None
    open_us = progress.until_us // DAY * DAY
    again = [start for start in made if open_us <= start < progress.until_us]
    before = _sealed(documents, min(again), max(again) + MINUTES5) if again else {}
    counts = dict(progress.counts)
    for start, number in made.items():
        if start >= open_us:
            day = start // DAY * DAY
            counts[day] = counts.get(day, 0) + number - before.get(start, 0)
    return counts


def after_joining(documents: Documents, progress: Progress, made: Mapping[int, int]) -> Mapping[int, int] | None:
    """The counts once these days are joined: `made` has the events of each by its start, 0 of one without any."""
    if progress.counts is None:
        return None
    counts = {**progress.counts, **made}
    for day in made:
        if day < progress.purged_us:
            counts[day] = sum(_sealed(documents, progress.purged_us, day + DAY).values())
    return {day: number for day, number in counts.items() if number}


def after_purge(documents: Documents, progress: Progress, before: int) -> Mapping[int, int] | None:
    """The counts once the events before that moment, a full 5 minutes, are deleted."""
    if progress.counts is None or before <= progress.purged_us:
        return progress.counts
    counts = {day: number for day, number in progress.counts.items() if day + DAY > before}
    if (day := before // DAY * DAY) in counts and day < before:
        counts[day] = sum(_sealed(documents, before, day + DAY).values())
    return counts


def _sealed(documents: Documents, start: int, end: int) -> dict[int, int]:
    """How many events the sealed 5 minutes of [start, end) have, by their start."""
    return {each.start: each.events for each in seals.read(documents, MINUTES5, start, end)}


def all_days(documents: Documents, progress: Progress) -> dict[int, int]:
    """The counts of all days, from slices: of a database that an earlier version has sealed, or where it is not known
    any more."""
    [*first] = documents.query(SLICES, ("start", ">=", progress.purged_us), order=[("start", "ASCENDING")], limit=1)
    begin = int(first[0].fields["start"]) // DAY * DAY if first else progress.until_us
    days = {
        day: _added_up(documents, (max(day, progress.purged_us), min(day + DAY, progress.until_us)))
        for day in range(begin, progress.until_us, DAY)
    }
    return {day: number for day, number in days.items() if number}
