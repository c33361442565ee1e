"""Deleting from Firestore what retention no longer allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from guardian.core.unlinked import is_unlinked
from guardian.stores.firestore import counting, packs, seals
from guardian.stores.firestore.buckets import DAY, HOUR, MINUTES5, SPANS, Seal, Sighting
from guardian.stores.firestore.clients import purge_clients
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Change, Documents, Found
from guardian.stores.firestore.progress import Progress, read_progress, slices_between
from guardian.stores.firestore.sealing import GRACE_US, seal
from guardian.stores.firestore.slices import AT, EMPTY, bare, packed, unpacked, wordy
from guardian.stores.firestore.unlinking import tidy, unlink
from tracker.firestore.sink import NOTES, RECORDERS, SLICES
from tracker.firestore.slices import NOBODY

_AT_ONCE = 200
_END = 2**62


def purge(documents: Documents, people: Directory, events_before_us: int, summaries_before_us: int) -> int:
    """Delete events in full 5 minutes before the first moment, and summaries of full days before the second. Returns
    how many events were deleted, including those of a purge that was killed before it could report them."""
    seal(documents, events_before_us + MINUTES5 + GRACE_US)
    progress = read_progress(documents)
    before = max(0, min(events_before_us, progress.until_us)) // MINUTES5 * MINUTES5
    while found := slices_between(documents, 0, before, limit=_AT_ONCE) if before else []:
        count = sum(int(each.fields["count"]) for each in found)
        after = replace(
            progress,
            counts=counting.after_purge(documents, progress, before),
            purged_us=max(progress.purged_us, before),
            purged=progress.purged + count,
            unsaid=progress.unsaid + count,
        )
        documents.commit([after.change(), *(Change(SLICES, each.name, None) for each in found)])
        progress = read_progress(documents)
    _rewrite(documents, "emptied_us", progress.purged_us // DAY * DAY, lambda seal: replace(seal, failed=EMPTY))
    for collection in (RECORDERS, NOTES):
        documents.delete(collection, [each.name for each in documents.query(collection, ("seen_us", "<", before))])
    purge_clients(documents, before)
    _forget_summaries(documents, people, min(summaries_before_us, before) // DAY * DAY)
    tidy(documents)
    return _take_unsaid(documents)


def _take_unsaid(documents: Documents) -> int:
    progress = read_progress(documents)
    if progress.unsaid and documents.commit([replace(progress, unsaid=0).change()]):
        return progress.unsaid
    return 0


def _forget_summaries(documents: Documents, people: Directory, before: int) -> None:
    """Delete the summaries before a midnight, and the names of people who no longer appear anywhere."""
    leaving = [each for span in SPANS for each in seals.read(documents, span, 0, before)]
    if not leaving:
        return
    progress = read_progress(documents)
    after = replace(
        packs.forgotten(progress, before),
        forgotten_us=max(progress.forgotten_us, before),
        unjoined=frozenset(each for each in progress.unjoined if each[1] >= before),
    )
    if not documents.commit([after.change()]):
        return  # the next purge goes on
    gone = {number for each in leaving for number in each.people.tolist()} - {NOBODY}
    gone -= _spoken_of(documents, progress, before)
    found = [each for each in people.documents_with(gone) if not is_unlinked(each.fields["name"])]
    # Before the summaries, which say who is leaving: a purge that is killed goes on with the same people.
    unlink(documents, [[each] for each in found])
    for span in SPANS:
        documents.delete(seals.SEALS, documents.names(seals.SEALS, *seals.range_of(span, 0, before)))
    documents.delete(seals.SEALS, seals.names_of_hours(documents, 0, before))
    documents.delete(seals.SEALS, packs.names_of_forgotten(documents, before))
    packs.update(documents, read_progress(documents))


def _spoken_of(documents: Documents, progress: Progress, start: int) -> set[int]:
    """The ids of the people who appear in summaries and events from a moment on."""
    found: set[int] = set()
    loose = min([progress.until_us // DAY * DAY, *(at for span, at in progress.unjoined if span == DAY)])
    for span, first in ((DAY, start), (HOUR, loose), (MINUTES5, loose)):  # a day has whoever its hours have
        for each in seals.read(documents, span, max(first, start), _END):
            found |= set(each.people.tolist())
    for first, last in ((0, progress.purged_us), (progress.until_us, _END)):
        for slice_ in slices_between(documents, first, last):
            found |= set(unpacked(slice_.fields["body"], slice_.fields["names"]).people.tolist())
    return found


def purge_errors(documents: Documents, before_us: int) -> int:
    """Remove the text and place of errors before this moment; their kind stays. Returns how many events were
    changed."""
    progress, cleared = read_progress(documents), 0
    if before_us > progress.cleared_us and progress.until_us:
        documents.commit([replace(progress, cleared_us=before_us).change()])
        _rewrite(documents, "bared_us", before_us // DAY * DAY, _bared)
    for found in _with_texts(documents, before_us):
        for each in (found, documents.get(SLICES, found.name)):
            if each is None:
                break
            table = unpacked(each.fields["body"], each.fields["names"])
            texts = wordy(table, before_us)
            body, names = packed(bare(table, texts))
            left = bool(wordy(unpacked(body, names), _END).any())
            changed = {"body": body, "names": names, "texts": left}
            if not texts.any() or documents.commit([Change(SLICES, each.name, changed, each.version)]):
                cleared += int(texts.sum())
                break
    return cleared


def _rewrite(documents: Documents, reached: str, day: int, change: Callable[[Seal], Seal]) -> None:
    """Rewrite all sealed buckets before a midnight with `change`; the progress records how far this has come."""
    progress = read_progress(documents)
    begin = int(getattr(progress, reached))
    if day <= begin:
        return
    while not documents.commit([packs.without(progress, begin, day).change()]):
        progress = read_progress(documents)  # somebody sealed meanwhile
    documents.delete(seals.SEALS, seals.names_of_hours(documents, begin, day))
    for span in SPANS:
        for seal_ in seals.read(documents, span, begin, day):
            if len(seal_.failed) or seal_.seen:
                documents.commit(seals.changes(change(seal_)))
    after: Any = {reached: day}
    # Once more: another process may have put a day into its pack before it was rewritten.
    documents.commit([replace(packs.without(read_progress(documents), begin, day), **after).change()])
    packs.update(documents, read_progress(documents))


def _bared(seal_: Seal) -> Seal:
    """The bucket without the texts and places of its errors."""
    seen: dict[Sighting, int] = {}
    for (kind, _, feature), at in seal_.seen.items():
        seen[kind, "", feature] = min(at, seen.get((kind, "", feature), at))
    return replace(seal_, failed=bare(seal_.failed, wordy(seal_.failed, _END)), seen=seen)


def _with_texts(documents: Documents, before_us: int) -> list[Found]:
    return documents.query(SLICES, ("texts", "==", True), ("start", "<", before_us))


def count_old(documents: Documents, events_us: int, errors_us: int) -> tuple[int, int]:
    """How many events and error texts are older than these moments."""
    before = events_us // MINUTES5 * MINUTES5
    errors = 0
    for each in _with_texts(documents, errors_us):
        table = unpacked(each.fields["body"], each.fields["names"])
        errors += int((wordy(table, errors_us) & (table.rows[:, AT] >= before)).sum())
    return documents.total(SLICES, "count", ("start", "<", before)), errors
