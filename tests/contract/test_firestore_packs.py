"""The packs of days on Firestore: whatever happens to a day, no answer is of what it was before."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from guardian.core.time import micros
from guardian.stores.firestore import kept, packs, sealing, seals, writing
from guardian.stores.firestore.buckets import DAY
from guardian.stores.firestore.documents import Change
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.progress import Progress, read_progress
from tests.support.firestore import address_in
from tests.support.firestore_packs import BEGIN, DAYS, END, answers, assert_as_the_days_are, event, filled, packed
from tracker.firestore.expiry import META, PROGRESS

pytestmark = pytest.mark.needs_firestore


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    return address_in(tmp_path)


async def test_all_days_that_are_over_are_in_packs_and_a_long_window_is_read_from_these(address):
    repository = await filled(address, without=range(14, 30))
    days = packed(repository)
    assert len(days) >= DAYS - 3 and sum(blob is not None for blob in days.values()) == DAYS - 16
    assert_as_the_days_are(repository)
    anew = FirestoreRepository(address)
    summary = await anew.summary(BEGIN - timedelta(days=300), BEGIN + timedelta(days=DAYS))
    assert sum(each.requests for each in summary.users.values()) == (DAYS - 16) * 2
    assert anew.documents.reads <= 4 + 3 + 6, "packs, names, and how the store stands"


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_days_answers_with_packs_are_those_without(address, monkeypatch, seed):
    chance, start = random.Random(seed), BEGIN
    repository = await filled(address)
    for _ in range(6):
        match chance.choice(["late", "late", "errors", "events", "summaries", "seal"]):
            case "late":
                days = chance.sample(range(1, DAYS), 2)
                some = [BEGIN + timedelta(days=day, hours=chance.randrange(24)) for day in days]
                writing.write(repository.documents, [event(at, "late@example.com", 500) for at in some])
            case "errors":
                await repository.purge_errors(BEGIN + timedelta(days=chance.randrange(DAYS)))
                assert_as_the_days_are(repository)
            case "events":
                before = BEGIN + timedelta(days=chance.randrange(DAYS // 2))
                await repository.purge(events_before=before, summaries_before=start)
            case "summaries":
                start = max(start, BEGIN + timedelta(days=chance.randrange(DAYS // 2)))
                await repository.purge(events_before=start, summaries_before=start)
                assert_as_the_days_are(repository)
            case "seal":
                await repository.seal(END)
        with_packs, without = await answers(address, monkeypatch, start)
        assert with_packs == without
    await repository.seal(END)
    assert_as_the_days_are(repository)
    assert read_progress(repository.documents).unpacked == frozenset()


async def test_the_texts_of_errors_that_are_purged_are_in_no_pack(address):
    repository = await filled(address)
    await repository.purge_errors(BEGIN + timedelta(days=20))
    with_texts = set()
    for day, blob in ((day, blob) for day, blob in packed(repository).items() if blob is not None):
        [seal] = seals.unpacked_from(DAY, [seals.as_one(DAY, day, blob)])
        if any(what.message != what.kind for what in seal.failed.failures):
            with_texts.add(day)
    assert with_texts and min(with_texts) >= micros(BEGIN + timedelta(days=20))


async def test_days_that_fill_too_many_documents_stay_alone(address, monkeypatch):
    monkeypatch.setattr(packs, "MOST_PIECES", 0)
    repository = await filled(address)
    assert set(read_progress(repository.documents).packs.values()) == {packs.ALONE}
    assert repository.documents.names(seals.SEALS, "p", "q") == []
    summary = await repository.summary(BEGIN, BEGIN + timedelta(days=DAYS))
    assert sum(each.requests for each in summary.users.values()) == DAYS * 2
    monkeypatch.undo()
    monkeypatch.setattr(sealing, "BEHIND_US", 0)
    writing.write(repository.documents, [event(BEGIN + timedelta(days=3))])
    await repository.seal(END)
    assert_as_the_days_are(repository)
    assert packs.is_packed(read_progress(repository.documents), micros(BEGIN + timedelta(days=3)))


async def test_what_a_version_without_packs_has_sealed_is_not_read_from_a_pack(address, monkeypatch):
    repository = await filled(address)
    writing.write(repository.documents, [event(BEGIN + timedelta(days=9, hours=1), "late@example.com")])
    with monkeypatch.context() as patched:
        whole = Progress.change

        def change(self):
            written = whole(self)
            fields = {key: value for key, value in written.fields.items() if key not in ("packs", "unpacked")}
            return Change(META, PROGRESS, fields, written.version)

        patched.setattr(Progress, "change", change)
        patched.setattr(packs, "update", lambda documents, progress: progress)
        await repository.seal(END)
    assert read_progress(repository.documents).packs is None
    with_packs, without = await answers(address, monkeypatch, BEGIN)
    assert with_packs == without and "late@example.com" in with_packs[0][0].users
    await repository.seal(END)
    assert_as_the_days_are(repository)
    assert len(packed(repository)) >= DAYS - 3


async def test_of_two_that_pack_at_once_one_does_it_and_nothing_is_half(address):
    repository = await filled(address)
    progress = read_progress(repository.documents)
    stale = replace(progress, unpacked=frozenset(packs.without(progress, 0, 2**62).unpacked))
    assert packs.update(repository.documents, stale) is not None
    assert packs.update(repository.documents, stale) is None
    assert_as_the_days_are(repository)


async def test_days_that_are_more_than_is_kept_are_read_once(address, monkeypatch):
    await filled(address)
    reads = []
    for most in (16_000_000, 5_000):
        monkeypatch.setattr(kept, "MOST_BYTES", most)
        repository = FirestoreRepository(address)
        await repository.summary(BEGIN, BEGIN + timedelta(days=DAYS))
        reads.append(repository.documents.reads)
    assert reads[0] == reads[1]
