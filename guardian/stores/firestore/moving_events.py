"""The part of `Moving` on Firestore for single events, and for summaries whose events are gone. The name of a moved
slice consists of its stretch, a digest of the stretch's events, and a number: moving the same events again writes the
same documents, and different events different ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import Any

import numpy as np

from guardian.core.storage import StorageError
from guardian.core.time import micros, utc_now
from guardian.core.totals import renumbered
from guardian.core.unlinked import is_unlinked
from guardian.stores.firestore import seals
from guardian.stores.firestore.buckets import DAY, HOUR, MINUTES5, Seal
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import NEW, SECONDS, Change, Documents, Found, as_time, in_commits
from guardian.stores.firestore.moving_imports import note_imported, stretch_of
from guardian.stores.firestore.progress import as_table, read_progress, slices_between
from guardian.stores.firestore.sealing import seal
from guardian.stores.firestore.slices import EMPTY
from guardian.stores.firestore.unlinking import doubted, remove
from guardian.stores.moving import STRETCH_US, Bucket, Facts, Recorded
from tracker.event import ANONYMOUS, Event
from tracker.firestore.address import Address
from tracker.firestore.people import PEOPLE, key_of, new_id
from tracker.firestore.sink import SLICES
from tracker.firestore.slices import NOBODY, slices_of, storable
from tracker.keyed import tombstone
from tracker.source import Source


class FirestoreMovingEvents:
    """One database of Firestore. `clock` says when a name was first seen here."""

    def __init__(self, address: Address, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._documents = Documents(address)
        self._directory = Directory(self._documents)
        self._ids: dict[str, int] | None = None
        self._key = ""
        self._held: set[int] | None = None  # the stretches with slices; None until they are counted

    def facts(self) -> Facts:
        """See Moving."""
        progress = read_progress(self._documents)
        return Facts(progress.purged_us, progress.forgotten_us, progress.purged)

    def put_facts(self, facts: Facts) -> None:
        """See Moving."""
        known = read_progress(self._documents)
        after = replace(
            known,
            until_us=max(known.until_us, facts.purged_us),
            purged_us=max(known.purged_us, facts.purged_us),
            forgotten_us=max(known.forgotten_us, facts.forgotten_us),
            purged=max(known.purged, facts.purged),
            counts=None if known.counts else known.counts,
        )
        self._at_once([after.change()])

    def bucket_starts(self) -> list[int]:
        """See Moving."""
        facts = self.facts()
        names = self._documents.names(seals.SEALS, *seals.range_of(MINUTES5, facts.forgotten_us, facts.purged_us))
        return sorted({seals.start_of(name) for name in names})

    def buckets(self, starts: Sequence[int]) -> Iterator[Bucket]:
        """See Moving."""
        wanted = set(starts)
        for day in sorted({start // DAY for start in wanted}):
            for each in seals.read(self._documents, MINUTES5, day * DAY, (day + 1) * DAY):
                if each.start in wanted:
                    names = self._directory.names(each.people.tolist())
                    people = [names[number] for number in each.people.tolist()]
                    yield Bucket(each.start, each.totals, people, each.routes)

    def put_buckets(self, buckets: Sequence[Bucket]) -> None:
        """See Moving. The minute of each request is no longer known, so all are counted in the first one."""
        ids = self._person_ids([name for bucket in buckets for name in bucket.people])
        changes = []
        for bucket in buckets:
            numbers = np.array([ids[name] for name in bucket.people], np.int64)
            order = np.argsort(numbers)
            place = np.empty(len(numbers), np.int64)
            place[order] = np.arange(len(numbers))
            totals = renumbered(bucket.totals, place, np.arange(len(bucket.routes)))
            minutes = np.column_stack((np.zeros(len(totals.statuses), np.int64), totals.statuses))
            hours = np.zeros(len(numbers), np.int64)
            made = Seal(
                MINUTES5, bucket.start_us, totals, numbers[order], list(bucket.routes), minutes, hours, EMPTY, {}
            )
            changes += [seals.gone(span, bucket.start_us) for span in (HOUR, DAY)] + seals.changes(made)
        self._commit(changes)

    def join_buckets(self) -> None:
        """See Moving."""
        facts, starts = self.facts(), self.bucket_starts()
        missing = set[tuple[int, int]]()
        for span in (HOUR, DAY):
            names = self._documents.names(seals.SEALS, *seals.range_of(span, 0, facts.purged_us))
            made = {(span, seals.start_of(name)) for name in names}
            missing |= {(span, start // span * span) for start in starts} - made
        progress = read_progress(self._documents)
        if missing - progress.unjoined:
            self._at_once([replace(progress, unjoined=progress.unjoined | missing).change()])
        seal(self._documents, facts.purged_us)

    def stretches(self) -> dict[int, int]:
        """See Moving."""
        found: dict[int, int] = defaultdict(int)
        purged_us = self.facts().purged_us

        def work(client: Any) -> None:
            for each in client.collection(SLICES).select(["start", "count"]).stream(retry=None, timeout=600.0):
                start = int(each.get("start")) // STRETCH_US * STRETCH_US
                if start >= purged_us:
                    found[start] += int(each.get("count"))

        self._documents.ask(work)
        self._held = set(found)
        return dict(found)

    def events(self, starts: Sequence[int]) -> dict[int, list[Recorded]]:
        """See Moving."""
        found: dict[int, list[Recorded]] = {start: [] for start in starts}
        for first, last in _runs(starts):
            for each in slices_between(self._documents, first, last + STRETCH_US):
                if (start := stretch_of(each)) in found:
                    found[start] += self._recorded(each)
        return {start: sorted(some, key=lambda each: each.event.at_us) for start, some in found.items()}

    def _recorded(self, found: Found) -> list[Recorded]:
        table = as_table([found])
        names = self._directory.names(table.people.tolist())
        release, instance = found.fields.get("release", ""), found.fields.get("instance", "")
        source = Source(release, instance) if release or instance else None
        return [Recorded(event, source) for event in table.events(names.__getitem__)]

    def replace(self, stretches: Mapping[int, Sequence[Recorded]]) -> None:
        """See Moving. The old slices are deleted after the new ones are written. Slices that are not sealed yet get the
        time of their last event as their write time, as if a recorder had written them then: readers search everything
        written recently for late events."""
        from google.cloud import firestore

        # Only a move writes slices with such names, and only the leader moves.
        looks = self._held is None or not self._held.isdisjoint(stretches)
        if self._held is not None:
            self._held |= stretches.keys()
        until_us = read_progress(self._documents).until_us
        ids = self._person_ids([each.event.user for some in stretches.values() for each in some])
        note_imported(self._documents, (each for some in stretches.values() for each in some))
        changes, kept = [], set()
        for start, recorded in stretches.items():
            now = firestore.SERVER_TIMESTAMP if start < until_us else None
            groups = defaultdict[Source | None, list[Event]](list)
            for event, source in recorded:
                if storable(event):
                    groups[source].append(event)
            slices = [
                {**fields, **({} if source is None else source._asdict()), "written": now or as_time(fields["end"])}
                for source, events in groups.items()
                for fields in slices_of(events, lambda event: ids[event.user])
            ]
            digest = blake2b(repr(recorded).encode(), digest_size=8).hexdigest()
            for number, fields in enumerate(slices):
                name = f"{_stem(start)}{digest}-{number:03d}"
                kept.add(name)
                changes.append(Change(SLICES, name, fields))
        self._commit(changes)
        if emptied := [start for start, some in stretches.items() if start < until_us and not some]:
            # No late slice will mark these as stale.
            self._commit(seals.gone(span, start) for start in emptied for span in (MINUTES5, HOUR, DAY))
            after = replace(read_progress(self._documents), counts=None)
            self._at_once([after.with_stale(emptied, (HOUR, DAY)).change()])
        if looks:
            there = self._documents.names(SLICES, _stem(min(stretches)), _stem(max(stretches) + STRETCH_US))
            old = [name for name in there if name not in kept and int(name.split("-")[1]) in stretches]
            self._documents.delete(SLICES, old)

    def close(self) -> None:
        """See Moving. The process shares the client."""
        self._documents.closed = True

    def _person_ids(self, names: Iterable[str]) -> dict[str, int]:
        """The id of each of these names, new ones for unknown names; and the ids of all other known names."""
        if self._ids is None:
            self._key = self._documents.ask(lambda client: key_of(client, seconds=SECONDS))
            self._ids = {str(each.fields["name"]): int(each.fields["id"]) for each in self._directory.everyone()}
            self._ids[ANONYMOUS] = NOBODY
        seen, made = micros(self._clock()), {}
        for name in dict.fromkeys(names):
            if name not in self._ids:
                fields = {"id": new_id(), "name": name, "seen": seen}
                made[name] = Change(PEOPLE, self._document_of(name), fields, NEW)
        for some in in_commits([change] for change in made.values()):
            erased = any(is_unlinked(str((change.fields or {})["name"])) for change in some)
            self._at_once([*some, *([doubted()] if erased else [])])
        self._ids |= {name: change.fields["id"] for name, change in made.items() if change.fields}
        return self._ids

    def _document_of(self, name: str) -> str:
        return name if is_unlinked(name) else tombstone(name, self._key).hex()

    def _forget_people(self, names: Sequence[str]) -> None:
        gone = set(names)
        remove(self._documents, [each for each in self._directory.everyone() if each.fields["name"] in gone])
        self._ids = None

    def _at_once(self, changes: Sequence[Change]) -> None:
        """Write these documents in one commit. Raises StorageError if somebody else has written them meanwhile."""
        if not self._documents.commit(changes):
            self._ids = None  # read anew by the next attempt
            raise StorageError(f"others write into {self._documents.address} during the move: stop them and move again")

    def _commit(self, changes: Iterable[Change]) -> None:
        """Write these documents, split into commits by number and size."""
        for some in in_commits([change] for change in changes):
            self._documents.commit(some)


def _runs(starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The first and the last stretch of each run in which gaps are shorter than an hour; such gaps are read along."""
    first = last = starts[0]
    for start in starts[1:]:
        if start - last > HOUR:
            yield first, last
            first = start
        last = start
    yield first, last


def _stem(start_us: int) -> str:
    return f"moved-{start_us:018d}-"
