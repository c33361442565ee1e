"""Copies what is missing or different in the target store; repeated until both are alike. Blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from secrets import token_urlsafe
from typing import TypeVar

from guardian.stores.moving import (
    AFTER_EVENTS,
    HASHED_BY,
    HEAVY,
    STRETCH_US,
    TABLES,
    Key,
    Moving,
    fingerprint,
    fingerprints,
)

T = TypeVar("T")
Progress = Callable[[str, float], None]
"""Called with what is being done, in a few words, and how much of the whole is done, 0 to 1."""

_EVENTS, _STRETCHES = 20_000, 200
"""How many events, and of how many stretches, are written at once."""
_BUCKETS = 50


def shared(source: Moving, target: Moving, *, late: bool | None = None) -> list[str]:
    """The tables that are moved, in order; those that follow single events (late) or the others, None for both."""
    return [table for table in TABLES if table in source.gives & target.takes and late in (None, table in AFTER_EVENTS)]


def copy_tables(source: Moving, target: Moving, *, late: bool, progress: Callable[[float], None]) -> dict[str, int]:
    """Let the target have the rows of the source; how many of each table were written. People missing in the source
    stay for now, since their events are still there."""
    written: dict[str, int] = {}
    tables = shared(source, target, late=late)
    for number, table in enumerate(tables):
        progress(number / len(tables))
        known, seen = fingerprints(target, table), set[Key]()
        written[table] = 0
        for rows in source.rows(table):
            keyed = [(TABLES[table].key(row), row) for row in rows]
            seen.update(key for key, _ in keyed)
            changed = [row for key, row in keyed if known.get(key) != fingerprint(row)]
            if changed:
                target.put(table, changed)
            written[table] += len(changed)
        if table != "person":
            for keys in _some(known.keys() - seen, 20 if table in HEAVY else 300):
                target.delete(table, keys)
    return written


def make_key(source: Moving) -> None:
    """Make the source create its key of hashed names if it has none: otherwise the target would create another, and
    lose all names when the source gets its own."""
    if not any(row["name"] == HASHED_BY for rows in source.rows("secret") for row in rows):
        source.put("secret", [{"name": HASHED_BY, "value": token_urlsafe(32)}])


def people_gone(source: Moving, target: Moving) -> list[Key]:
    """The keys of the people of the target that the source does not have: it was moved from before they were erased."""
    if "person" not in target.takes:
        return []
    return sorted(fingerprints(target, "person").keys() - fingerprints(source, "person").keys())


def copy_buckets(source: Moving, target: Moving, *, anew: bool, progress: Callable[[float], None]) -> int:
    """Let the target have the summaries whose single events are gone, all of them where `anew`; how many were put."""
    known = set() if anew else set(target.bucket_starts())
    missing = [start for start in source.bucket_starts() if start not in known]
    done = 0
    for starts in _some(missing, _BUCKETS):
        target.put_buckets(list(source.buckets(starts)))
        done += len(starts)
        progress(done / len(missing))
    target.join_buckets()  # those too that a run before this one came to put, but not to join
    return len(missing)


def copied_events(source: Moving, target: Moving, *, anew: bool) -> Iterator[tuple[int, int, float]]:
    """Let each stretch of the target have the events of the source; all are written where `anew`, or else those of
    which the target has another number. After each write how many events it were, before which moment (µs) all of them
    are there, and how much of the whole is done."""
    mine, theirs = source.stretches(), target.stretches()
    changed = sorted(start for start in mine.keys() | theirs.keys() if anew or mine.get(start) != theirs.get(start))
    whole, done = sum(mine.get(start, 0) for start in changed), 0
    for starts in _batches(changed, mine):
        target.replace(source.events(starts))
        count = sum(mine.get(start, 0) for start in starts)
        done += count
        yield count, starts[-1] + STRETCH_US, done / max(whole, 1)


def _batches(starts: Iterable[int], counts: Mapping[int, int]) -> Iterator[list[int]]:
    batch: list[int] = []
    events = 0
    for start in starts:
        grows = counts.get(start, 0)
        if batch and (events + grows > _EVENTS or len(batch) == _STRETCHES):
            yield batch
            batch, events = [], 0
        batch.append(start)
        events += grows
    if batch:
        yield batch


def _some(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    left = iter(items)
    while some := list(islice(left, size)):
        yield some
