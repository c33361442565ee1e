"""The packs of days on Firestore: whatever happens to a day, no answer is of what it was before."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.time import micros
from guardian.stores.firestore import packs, sealing, seals, writing
from guardian.stores.firestore.buckets import DAY
from guardian.stores.firestore.documents import Change
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.progress import Progress, read_progress
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker.event import Failure
from tracker.firestore.expiry import META, PROGRESS

pytestmark = pytest.mark.needs_firestore
BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 40
END = BEGIN + timedelta(days=DAYS, hours=3)


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    return address_in(tmp_path)


def event(at, user="ada@example.com", status=200):
    failure = Failure("Boom", f"no {at:%d %H:%M}", "app.py:3 f") if status >= 400 else None
    return made(micros(at), user=user, status=status, failure=failure)


async def filled(address, without=()):
    """Somebody is there each twelve hours, but not on the days `without`; some requests fail."""
    repository = FirestoreRepository(address)
    times = [BEGIN + timedelta(hours=n) for n in range(0, DAYS * 24, 12) if n // 24 not in without]
    writing.write(
        repository.documents,
        [event(at, f"u{n % 3}@example.com", 500 if n % 5 == 0 else 200) for n, at in enumerate(times)],
    )
    await repository.seal(END)
    await repository.seal(END)
    return repository


def packed(repository):
    """The days that packs have: {day: blob}, each as the pack has it."""
    progress = read_progress(repository.documents)
    found = {}
    for start in progress.packs:
        days = [day for day in range(start, start + packs.PACK, DAY) if packs.is_packed(progress, day)]
        for (first, end), documents in packs.days_of(repository.documents, progress, [(start, start + packs.PACK)]):
            there = dict(seals.blobs(documents))
            found |= {day: there.get(day) for day in days if first <= day < end}
    return found


def assert_as_the_days_are(repository):
    """Each pack has each of its days as the day's own document has it, and there is no document of another pack."""
    documents = repository.documents
    alone = dict(seals.blobs(documents.named(seals.SEALS, "d", "e")))
    for day, blob in packed(repository).items():
        assert blob == alone.get(day)
    there = {seals.start_of(name) for name in documents.names(seals.SEALS, "p", "q")}
    assert there == {start for start, token in read_progress(documents).packs.items() if token != packs.ALONE}


async def answers(address, monkeypatch, start):
    """What a new process answers, with packs and without."""
    found = []
    for days_of in (packs.days_of, lambda *asked: iter(())):
        with monkeypatch.context() as patched:
            patched.setattr(packs, "days_of", days_of)
            repository = FirestoreRepository(address)
            edges = [start + timedelta(days=n) for n in range(0, (END - start).days, 5)]
            found.append(
                (await repository.timeline(edges), await repository.turnover(edges[-4:]), await repository.gone_quiet(
                    edges[-2], edges[-1]), await repository.activity([edges[0], edges[-1]]))
            )  # fmt: skip
    return found


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
