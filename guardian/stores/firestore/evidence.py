"""Reads what is needed to find an incident's cause from Firestore: a sample of a window's requests, and the
releases."""

from __future__ import annotations

from dataclasses import replace

from guardian.alerting.sample import Released, Sample
from guardian.stores.firestore.directory import Directory, person_of
from guardian.stores.firestore.documents import Documents
from guardian.stores.firestore.progress import as_table, slices_between
from guardian.stores.people.aliases import Aliases
from tracker.event import Event
from tracker.firestore.sink import RELEASES
from tracker.source import Source

_READ = 8
"""If a window has more than this many times the requests wanted, only some of its slices are unpacked."""


def read_sample(
    documents: Documents, directory: Directory, aliases: Aliases, start_us: int, end_us: int, most: int
) -> Sample:
    """See `HistoryStore.sample`."""
    found = slices_between(documents, start_us, end_us)
    whole = sum(int(each.fields["count"]) for each in found)
    kept = found[:: max(1, whole // (_READ * most))]
    pairs: list[tuple[Event, Source | None]] = []
    for each in kept:
        table = as_table([each]).between(start_us, end_us)
        names = directory.names(table.people.tolist())
        release, instance = each.fields.get("release", ""), each.fields.get("instance", "")
        source = Source(release, instance) if release or instance else None
        people = {number: person_of(aliases, name) for number, name in names.items()}
        pairs += [(event, source) for event in table.events(people.__getitem__)]
    sample = Sample.of(pairs, most)
    if len(kept) == len(found):
        return sample
    return replace(sample, weight=sample.weight * (whole / sum(int(each.fields["count"]) for each in kept)))


def read_releases(documents: Documents, start_us: int, end_us: int) -> list[Released]:
    """See `HistoryStore.releases`."""
    found = sorted((int(each.fields["first_us"]), str(each.fields["release"])) for each in documents.query(RELEASES))
    return [Released(release, at_us) for at_us, release in found[1:] if start_us <= at_us < end_us]
