"""Packs: the sealed days of a fortnight once more, in as few documents as they fit into. Who needs several of these
days reads the pack: a report looks back at 400 days for who is new.

The progress says which packs there are, by their tokens, and which days are not in them as they are now: those are read
one by one. It changes together with a day, or before that, so that no pack shows what was replaced.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace

from guardian.stores.firestore import seals
from guardian.stores.firestore.buckets import DAY
from guardian.stores.firestore.documents import Change, Documents, Found
from guardian.stores.firestore.progress import Progress, read_progress

PACK = 14 * DAY
"""How much time a pack is for, µs; one begins at each multiple of it."""
MOST_PIECES = 3
"""Days that fill more documents than this stay alone: a pack is committed at once, and the emulator takes 4 MB."""
ALONE = 0
"""The token of a pack that there is not, since its days are too long."""
_END = 10**17
Range = tuple[int, int]


def days_of(documents: Documents, progress: Progress, missing: Iterable[Range]) -> Iterator[tuple[Range, list[Found]]]:
    """Of the days that begin in these ranges, those of which a pack has several, or of which it is known that nobody
    was there: each time a range, [start, end), of days that follow each other, and the documents that they would be.
    Others of the same packs come along."""
    wanted: dict[int, int] = {}
    for start, end in missing:
        for day in range(-(-start // DAY) * DAY, end, DAY):
            if is_packed(progress, day):
                wanted[day // PACK * PACK] = wanted.get(day // PACK * PACK, 0) + 1
    packs = progress.packs or {}
    for start in (start for start, many in wanted.items() if many > 1 or start not in packs):
        blobs = _unpacked(_documents(documents, start), packs[start]) if start in packs else {}
        if blobs is None:
            continue
        for first, end in _runs(_days(start, lambda day: is_packed(progress, day))):
            inside = [day for day in range(first, end, DAY) if day in blobs]
            yield (first, end), [seals.as_one(DAY, day, blobs[day]) for day in inside]


def is_packed(progress: Progress, day: int) -> bool:
    """Whether the packs say how the day is now that begins then. One without requests is in none; nor is any day of a
    fortnight without requests, which has no pack."""
    there = progress.packs is not None and progress.packs.get(day // PACK * PACK) != ALONE
    return there and day not in progress.unpacked and _is_joined(progress, day)


def update(documents: Documents, progress: Progress) -> Progress | None:
    """Put the days that were joined, rewritten or forgotten since into their packs. Returns the new progress; None
    where another process has changed it meanwhile."""
    if progress.packs is None:
        documents.delete(seals.SEALS, documents.names(seals.SEALS, _name(0, 0), _name(_END, 0)))
        first = documents.first_named(seals.SEALS, "d")
        begin = progress.until_us if first is None else seals.start_of(first.name)
        days = frozenset(range(begin, progress.until_us // DAY * DAY, DAY))
        if not documents.commit([replace(progress, packs={}, unpacked=days).change()]):
            return None
        progress = read_progress(documents)
    ready = _ready(progress)
    for start in sorted({day // PACK * PACK for day in ready}):
        if not documents.commit(
            _anew(documents, progress, start, {day for day in ready if day // PACK * PACK == start})
        ):
            return None
        progress = read_progress(documents)
    return progress


def _anew(documents: Documents, progress: Progress, start: int, days: Set[int]) -> list[Change]:
    """What writes the pack that begins then, in which these days have changed, and the progress with it."""
    known = {} if progress.packs is None else progress.packs
    old = _documents(documents, start) if known.get(start, ALONE) != ALONE else []
    blobs = _unpacked(old, known.get(start, ALONE))
    kept = {day: blob for day, blob in (blobs or {}).items() if is_packed(progress, day)}
    for first, end in _runs(days if blobs is not None else _days(start)):
        kept |= seals.blobs(documents.named(seals.SEALS, *seals.range_of(DAY, first, end)))
    stay = {day: kept[day] for day in sorted(kept) if _is_joined(progress, day) and day >= progress.forgotten_us}
    token, changes = _changes(start, stay)
    written = {each.name for each in changes}
    gone = [Change(seals.SEALS, each.name, None) for each in old if each.name not in written]
    packs = {at: its for at, its in known.items() if at != start} | ({start: token} if stay else {})
    return [*changes, *gone, replace(progress, packs=packs, unpacked=progress.unpacked - days).change()]


def is_due(progress: Progress) -> bool:
    """Whether `update` has something to do."""
    return progress.packs is None or bool(_ready(progress))


def _ready(progress: Progress) -> set[int]:
    return {day for day in progress.unpacked if _is_joined(progress, day)}


def without(progress: Progress, start: int, end: int) -> Progress:
    """The progress with nothing of the days in [start, end) believed that their packs hold, until the next `update`."""
    touched = {day for at in progress.packs or () for day in _days(at) if start <= day < end}
    return replace(progress, unpacked=progress.unpacked | touched)


def forgotten(progress: Progress, before: int) -> Progress:
    """The progress without the packs of the time before a midnight, and nothing believed of what another one has of
    it."""
    left = {at: token for at, token in (progress.packs or {}).items() if at + PACK > before}
    there = replace(progress, packs=None if progress.packs is None else left)
    return without(replace(there, unpacked=frozenset(day for day in there.unpacked if day >= before)), 0, before)


def names_of_forgotten(documents: Documents, before: int) -> list[str]:
    """The names of the documents of all packs of the time before a midnight."""
    return documents.names(seals.SEALS, _name(0, 0), _name((before // PACK) * PACK, 0))


def _is_joined(progress: Progress, day: int) -> bool:
    return day + DAY <= progress.until_us and (DAY, day) not in progress.unjoined


def _days(start: int, wanted: Callable[[int], bool] = lambda day: True) -> Iterator[int]:
    return filter(wanted, range(start, start + PACK, DAY))


def _runs(days: Iterable[int]) -> Iterator[Range]:
    """The range of each run of days that follow each other."""
    first = end = None
    for day in sorted(days):
        if day != end:
            if first is not None and end is not None:
                yield first, end
            first = day
        end = day + DAY
    if first is not None and end is not None:
        yield first, end


def _documents(documents: Documents, start: int) -> list[Found]:
    return documents.named(seals.SEALS, _name(start, 0), _name(start, MOST_PIECES))


def _unpacked(found: Sequence[Found], token: int) -> dict[int, bytes] | None:
    """The blob of each day that the pack of these documents has; None where it is not the one with this token, or is
    damaged: the days themselves say the same."""
    mine = [each for each in found if each.fields.get("token") == token]
    try:
        if len(mine) != mine[0].fields["of"]:
            return None
        body, at, blobs = b"".join(each.fields["body"] for each in mine), 0, dict[int, bytes]()
        for day, size in json.loads(mine[0].fields["days"]):
            blobs[day], at = body[at : at + size], at + size
    except (LookupError, TypeError, ValueError):
        return None
    return blobs if at == len(body) else None


def _changes(start: int, blobs: Mapping[int, bytes]) -> tuple[int, list[Change]]:
    """A token and what writes the pack of these days, in order: nothing, and ALONE, where they are too long."""
    pieces = seals.pieces_of(b"".join(blobs.values()))
    if len(pieces) > MOST_PIECES:
        return ALONE, []
    token, days = secrets.randbits(62) + 1, json.dumps([[day, len(blob)] for day, blob in blobs.items()])
    fields = {"of": len(pieces), "token": token, "days": days}
    return token, [
        Change(seals.SEALS, _name(start, place), {**fields, "body": piece}) for place, piece in enumerate(pieces)
    ]


def _name(start: int, place: int) -> str:
    return f"p{max(start, 0):018d}-{place:03d}"
