"""Sealing, deleting and reading on Firestore at the same time, or cut off by a death: no answer has less than there
is."""

import random
from datetime import timedelta

import pytest

from guardian.stores.firestore import packs, sealing, seals, writing
from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.progress import read_progress
from guardian.stores.one_state import of_one_state
from tests.support.firestore import address_in
from tests.support.firestore_packs import BEGIN, DAYS, END, answers, assert_as_the_days_are, event, filled

pytestmark = pytest.mark.needs_firestore


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    return address_in(tmp_path)


class Killed(Exception):
    pass


async def requests(repository):
    summary = await repository.summary(BEGIN, END)
    return sum(each.requests for each in summary.users.values())


async def sealed_without_joining(repository, monkeypatch):
    """As by a process that dies once the 5 minutes of what came late are written."""
    with monkeypatch.context() as patched:
        patched.setattr(sealing, "_joined", lambda *values: None)
        patched.setattr(sealing, "_TRIES", 1)
        await repository.seal(END)


@pytest.mark.parametrize("late", [timedelta(days=20, hours=12, minutes=7), timedelta(days=DAYS, minutes=27)])
async def test_a_report_that_is_being_made_misses_no_day_or_hour_into_which_something_is_sealed(
    address, monkeypatch, late
):
    monkeypatch.setattr(packs, "MOST_PIECES", 0)
    repository, reader = await filled(address), FirestoreRepository(address)
    writing.write(repository.documents, [event(BEGIN + timedelta(days=DAYS, minutes=7))])
    await repository.seal(END)
    before = await requests(repository)
    with of_one_state():
        await reader.summary(BEGIN + timedelta(days=3), BEGIN + timedelta(days=4))
        writing.write(repository.documents, [event(BEGIN + late, "late@example.com")])
        await sealed_without_joining(repository, monkeypatch)
        assert before <= await requests(reader) <= before + 1
    assert await requests(reader) == before + 1, "who asks afterwards"
    await repository.seal(END)
    assert await requests(FirestoreRepository(address)) == before + 1


async def test_what_was_packed_while_error_texts_were_being_purged_is_packed_again(address, monkeypatch):
    repository = await filled(address)
    another, delete = Documents(repository.documents.address), Documents.delete

    def beside(self, collection, names):
        delete(self, collection, names)
        if self is not another:
            packs.update(another, read_progress(another))

    monkeypatch.setattr(Documents, "delete", beside)
    await repository.purge_errors(BEGIN + timedelta(days=20))
    assert_as_the_days_are(repository)


DAMAGE = {
    "empty": lambda fields: {},
    "short": lambda fields: {**fields, "body": fields["body"][:-100]},
    "no list of days": lambda fields: {**fields, "days": "?"},
    "text": lambda fields: {**fields, "body": "text"},
    "gone": lambda fields: None,
}


@pytest.mark.parametrize("how", DAMAGE)
async def test_a_pack_that_is_damaged_is_read_around_and_made_anew_with_the_next_change(address, how):
    repository = await filled(address)
    documents = repository.documents
    name = documents.names(seals.SEALS, "p", "q")[1]
    documents.commit([Change(seals.SEALS, name, DAMAGE[how](documents.get(seals.SEALS, name).fields))])
    assert await requests(FirestoreRepository(address)) == DAYS * 2
    writing.write(documents, [event(BEGIN + timedelta(days=n, hours=1)) for n in range(0, DAYS, 5)])
    await repository.seal(END)
    assert await requests(FirestoreRepository(address)) == DAYS * 2 + DAYS // 5
    assert_as_the_days_are(repository)


@pytest.mark.parametrize("seed", range(2))
async def test_who_dies_before_any_commit_leaves_packs_that_say_what_the_days_do(address, monkeypatch, seed):
    chance, start, commit = random.Random(seed), BEGIN, Documents.commit
    repository = await filled(address)
    for what in chance.choices(["late", "late", "errors", "events", "summaries"], k=6):
        left = chance.randrange(12)

        def dying(self, changes):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return commit(self, changes)

        if what == "late":
            times = [BEGIN + timedelta(hours=chance.randrange(24, DAYS * 24)) for _ in range(2)]
            writing.write(repository.documents, [event(at, "late@example.com", 500) for at in times])
        before = BEGIN + timedelta(days=chance.randrange(DAYS // 2))
        with monkeypatch.context() as patched:
            patched.setattr(Documents, "commit", dying)
            try:
                match what:
                    case "late":
                        await repository.seal(END)
                    case "errors":
                        await repository.purge_errors(before)
                    case "events":
                        await repository.purge(events_before=before, summaries_before=start)
                    case "summaries":
                        start = max(start, before)
                        await repository.purge(events_before=start, summaries_before=start)
            except Killed:
                pass
        with_packs, without = await answers(address, monkeypatch, start)
        assert with_packs == without, what
    await repository.purge(events_before=start, summaries_before=start)
    await repository.seal(END)
    assert_as_the_days_are(repository)
