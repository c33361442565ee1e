"""Sealing in Firestore: each closed bucket of 5 minutes, an hour, a day is summarised once, and again where an event
came late. Each step commits its buckets together with the progress, so if two processes seal at once, one of them
starts over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from guardian.core.time import micros
from guardian.stores.firestore import counting, packs, seals
from guardian.stores.firestore.buckets import DAY, HOUR, INSIDE, MINUTES5, bucket_of, joined
from guardian.stores.firestore.documents import NEW, Change, Documents, Found, in_commits
from guardian.stores.firestore.progress import (
    BEHIND_US,
    Progress,
    as_table,
    late_slices,
    number_of,
    read_progress,
    slices_between,
    stale_buckets,
)
from tracker.firestore.sink import SLICES

GRACE_US = 60_000_000
"""A bucket is sealed this long after its end, when recorders have stored what they still held."""
MOST_LATELY = 20_000
"""At most this many slices are sealed before the mark moves on, since the progress lists each of them in one document.
The rest of a long imported past follows in the next rounds."""
_TRIES = 20


def seal(documents: Documents, now_us: int, people: set[int] | None = None) -> int:
    """Summarise stale buckets, then newly closed ones, then complete hours and days. Returns how many buckets were
    written, and puts the ids of those whom the new hours and days have into `people`."""
    met = set[int]() if people is None else people
    for _ in range(_TRIES):
        written = _seal(documents, now_us, met)
        if written is not None:
            return written
    return 0  # another process keeps interfering


def _seal(documents: Documents, now_us: int, people: set[int]) -> int | None:
    """Like `seal`, in one attempt; None if another process sealed meanwhile."""
    progress, written = read_progress(documents), 0
    end = (now_us - GRACE_US) // MINUTES5 * MINUTES5
    mark_us = max(progress.mark_us, progress.read_us - BEHIND_US)
    for found, until_us in _to_seal(documents, progress, end):
        step = _made(documents, progress, found, until_us, mark_us)
        if step is None:
            return None
        progress, more = step
        written += more
    if progress.version is not NEW and mark_us > progress.mark_us + BEHIND_US // 2:
        # Saves reading the slices of the last minutes again.
        if not documents.commit([replace(progress, mark_us=mark_us).change()]):
            return None
        joinable = any(_runs(progress, span) for span in (HOUR, DAY))
        if progress.counts is not None and not joinable and not packs.is_due(progress):
            return written
        progress = read_progress(documents)
    for span in (HOUR, DAY):
        step = _joined(documents, progress, span, people)
        if step is None:
            return None
        progress, more = step
        written += more
    packed = packs.update(documents, progress)
    if packed is None:
        return None
    if (progress := packed).counts is None:
        documents.commit([replace(progress, counts=counting.all_days(documents, progress)).change()])
    return written


def _to_seal(documents: Documents, progress: Progress, end: int) -> list[tuple[list[Found], int]]:
    """Slices to be sealed one lot after another, and up to when everything is sealed after each."""
    room, found = MOST_LATELY - len(progress.sealed), list[Found]()
    for start in stale_buckets(late_slices(documents, progress)):
        if len(found) < room:
            found += slices_between(documents, start, start + MINUTES5)
    steps = [(found, progress.until_us)] if found else []
    room -= len(found)
    at = progress.until_us
    while at < end:
        if room <= 0:
            return steps
        [*first] = documents.query(
            SLICES, ("start", ">=", at), ("start", "<", end), order=[("start", "ASCENDING")], limit=1
        )
        if not first:
            break
        begin = int(first[0].fields["start"]) // MINUTES5 * MINUTES5
        at = min(end, begin // DAY * DAY + DAY)
        steps.append((slices_between(documents, begin, at), at))
        room -= len(steps[-1][0])
    if steps and at < end:
        steps.append(([], end))
    return steps


def _made(
    documents: Documents, progress: Progress, found: Sequence[Found], until_us: int, mark_us: int
) -> tuple[Progress, int] | None:
    """Commit the buckets of these slices. Returns the new progress and the number of buckets."""
    buckets = {
        start: list(group)
        for start, group in groupby(found, key=lambda each: int(each.fields["start"]) // MINUTES5 * MINUTES5)
    }
    events = dict[int, int]()
    commits = list(in_commits(_changes(start, buckets[start], events) for start in sorted(buckets))) or [[]]
    written = 0
    for place, commit in enumerate(commits, 1):
        some = sorted({seals.start_of(each.name) for each in commit if seals.is_of(MINUTES5, each.name)})
        last = place == len(commits)
        sealed = {number_of(each.name): micros(each.fields["written"]) for start in some for each in buckets[start]}
        after = replace(
            progress.with_stale(some, (HOUR, DAY)),
            counts=counting.after_sealing(documents, progress, {start: events[start] for start in some}),
            until_us=max(progress.until_us, until_us if last else some[-1] + MINUTES5),
            mark_us=mark_us if last else progress.mark_us,
            sealed={**progress.sealed, **sealed},
        )
        if not documents.commit([*commit, after.change()]):
            return None
        written += len(some)
        progress = read_progress(documents)
    return progress, written


def _joined(documents: Documents, progress: Progress, span: int, people: set[int]) -> tuple[Progress, int] | None:
    """Commit the complete buckets of this length. Returns the new progress and the number of buckets. Neighbours within
    a day are read at once and many are committed together, since a long past would be slow one by one."""
    written, events = 0, dict[int, int]()
    made = (each for starts in _runs(progress, span) for each in _whole(documents, span, starts, events, people))
    for commit in in_commits(made):
        done = {seals.start_of(each.name) for each in commit}
        after = replace(progress, unjoined=progress.unjoined - {(span, start) for start in done})
        if span == DAY:
            days = {start: events.get(start, 0) for start in done}
            counts = counting.after_joining(documents, progress, days)
            after = replace(after, counts=counts, unpacked=progress.unpacked | done)
        if not documents.commit([*commit, after.change()]):
            return None
        written += len({seals.start_of(each.name) for each in commit if each.fields is not None})
        progress = read_progress(documents)
    return progress, written


def _whole(
    documents: Documents, span: int, starts: Sequence[int], events: dict[int, int], people: set[int]
) -> Iterator[list[Change]]:
    """The changes that write each of the buckets at these neighbouring starts, joined from the shorter ones inside; a
    bucket with nothing inside is deleted. Puts the number of events of each into `events`, and who was there into
    `people`."""
    found = seals.read(documents, INSIDE[span], starts[0], starts[-1] + span)
    parts = {start: list(group) for start, group in groupby(found, key=lambda each: each.start // span * span)}
    for start in starts:
        if start not in parts:
            yield [seals.gone(span, start)]
            continue
        whole = joined(span, start, parts[start])
        events[start] = whole.events
        people.update(whole.people.tolist())
        yield seals.day_changes(whole, parts[start]) if span == DAY else seals.changes(whole)


def _runs(progress: Progress, span: int) -> list[list[int]]:
    """The starts of the buckets of this length that have to be joined, grouped into neighbours within a day."""
    runs: list[list[int]] = []
    for inner, start in sorted(progress.unjoined):
        if inner != span or start + span > progress.until_us:
            continue
        if not runs or start != runs[-1][-1] + span or start % DAY == 0:
            runs.append([])
        runs[-1].append(start)
    return runs


def _changes(start: int, slices: Sequence[Found], events: dict[int, int]) -> list[Change]:
    """The changes that write the 5 minutes of these slices. Puts the number of their events into `events`. The hour and
    day around them stay until they are joined anew: who has read the progress of before looks for them, and would take
    it that nobody was there."""
    bucket = bucket_of(start, as_table(slices))
    events[start] = bucket.events
    return seals.changes(bucket)
