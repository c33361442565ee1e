"""Names on Firestore: read from lists of thousands, which say nothing that people's own documents do not say."""

import random
from contextlib import suppress
from datetime import timedelta
from types import SimpleNamespace

import pytest

from guardian.core.time import micros
from guardian.stores.firestore import name_lists, sealing, unlinking, writing
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.name_lists import NAMES, read_all, read_index
from guardian.stores.people.aliases import Aliases
from tests.support.events import event as made
from tests.support.firestore import address_in
from tests.support.firestore_erasing import erased_as_before_lists
from tests.support.firestore_packs import BEGIN
from tracker.event import Client
from tracker.firestore.expiry import META
from tracker.firestore.people import PEOPLE

pytestmark = pytest.mark.needs_firestore
MANY = 400
DAY, END = (BEGIN, BEGIN + timedelta(days=1)), BEGIN + timedelta(days=1, hours=2)
HOUR = timedelta(hours=1)


def event(at, user):
    return made(micros(at), user=user)


def person(n):
    return f"u{n}@example.com"


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    return address_in(tmp_path)


def book(aliases):
    return SimpleNamespace(current=lambda: aliases, trouble=None)


async def filled(address, many=MANY, **more):
    """A day of so many people, sealed."""
    repository = FirestoreRepository(address, **more)
    writing.write(repository.documents, [event(BEGIN + timedelta(minutes=n % 900), person(n)) for n in range(many)])
    await repository.seal(END)
    await repository.seal(END)
    return repository


def listed(address):
    """The names of all lists by id; each is in one list once."""
    documents = Documents(FirestoreRepository(address).documents.address)
    lists, strays = read_all(documents, read_index(documents))
    assert strays == []
    names = {}
    for each in lists.values():
        assert not names.keys() & each.all().keys()
        names |= each.all()
    return names


def recorded(address):
    """The names of people's own documents by id."""
    found = FirestoreRepository(address).documents.query(PEOPLE)
    return {each.fields["id"]: each.fields["name"] for each in found}


async def reads_of(address):
    """Who was there, and how many documents a new process reads to say it."""
    anew = FirestoreRepository(address)
    summary = await anew.summary(*DAY)
    return set(summary.users), anew.documents.reads


async def test_a_report_of_many_people_reads_their_names_from_lists(address):
    await filled(address)
    assert listed(address) == recorded(address)
    people, reads = await reads_of(address)
    assert people == {person(n) for n in range(MANY)}
    assert reads <= 9


async def test_few_names_are_read_one_by_one_where_there_are_more_lists_than_that(address, monkeypatch):
    monkeypatch.setattr(name_lists, "MOST_BYTES", 2_000)
    await filled(address)
    documents = Documents(FirestoreRepository(address).documents.address)
    directory = Directory(documents)
    directory.refresh()
    assert len(read_index(documents).tokens) > 5
    before, number = documents.reads, min(listed(address))
    assert directory.names([number]) == {number: listed(address)[number]}
    assert documents.reads - before == 1
    assert directory.names(listed(address)) == listed(address)


async def test_the_name_of_one_person_who_is_in_no_list_yet_is_one_document(address):
    repository = await filled(address, 3)
    writing.write(repository.documents, [event(END, "new@example.com")])
    documents = Documents(repository.documents.address)
    [new] = recorded(address).keys() - listed(address).keys()
    directory = Directory(documents)
    directory.refresh()
    before = documents.reads
    assert directory.names([new]) == {new: "new@example.com"}
    assert documents.reads - before == 1


async def test_who_comes_later_is_added_to_the_last_list_and_to_new_ones(address, monkeypatch):
    monkeypatch.setattr(name_lists, "MOST_BYTES", 9_000)
    repository = await filled(address)
    lists = len(read_index(repository.documents).tokens)
    assert lists > 1
    for hour in range(2, 6):
        at = BEGIN + timedelta(days=1, hours=hour)
        some = [event(at, person(n)) for n in range(100 * hour, 100 * hour + 300)]
        writing.write(repository.documents, some)
        await (repository if hour % 2 else FirestoreRepository(address)).seal(at + 2 * HOUR)
    assert listed(address) == recorded(address)
    assert lists < len(read_index(repository.documents).tokens) <= lists + 4


async def test_people_from_before_there_were_lists_are_in_the_first_one(address):
    repository = await filled(address)
    documents = repository.documents
    documents.commit(
        [Change(META, "erased", None), *(Change(NAMES, name, None) for name in documents.names(NAMES, "0", "~"))]
    )
    writing.write(documents, [event(END - HOUR / 2, "new@example.com")])
    await FirestoreRepository(address).seal(END + HOUR)
    assert listed(address) == recorded(address) and len(listed(address)) == MANY + 1


async def test_aliases_of_many_people_read_few_documents(address):
    await filled(address)
    aliases = Aliases.of([(person(n), person(n % 40)) for n in range(40, MANY)])
    anew = FirestoreRepository(address, book(aliases))
    assert set((await anew.summary(*DAY)).users) == {person(n) for n in range(40)}
    assert anew.documents.reads <= 9


@pytest.mark.parametrize("most", [800_000, 3_000])
async def test_who_is_erased_is_in_no_list_and_who_had_several_ids_is_one_person(address, monkeypatch, most):
    monkeypatch.setattr(name_lists, "MOST_BYTES", most)
    aliases = Aliases.of([(person(n), person(n % 40)) for n in range(40, MANY)])
    await filled(address, book=book(aliases))
    assert await FirestoreRepository(address, book(aliases)).erase_user(person(7))
    assert listed(address) == recorded(address)
    gone = {name for name in listed(address).values() if name.startswith("erased-")}
    assert len(gone) == MANY // 40 and person(7) not in listed(address).values()
    people, _ = await reads_of(address)
    assert len([name for name in people if name.startswith("erased-")]) == 1


async def test_a_hundred_people_who_were_erased_cost_a_report_no_document_each(address):
    repository = await filled(address)
    for n in range(100):
        assert await repository.erase_user(person(n))
    people, reads = await reads_of(address)
    assert len(people) == MANY and reads <= 9


async def test_lists_that_are_too_long_to_be_written_at_once_are_deleted_by_an_erasure(address, monkeypatch):
    monkeypatch.setattr(name_lists, "MOST_BYTES", 3_000)
    monkeypatch.setattr(unlinking, "COMMIT_BYTES", 3_000)
    aliases = Aliases.of([(person(n), person(n % 40)) for n in range(40, MANY)])
    repository = await filled(address, book=book(aliases))
    lists = len(listed(address))
    assert await repository.erase_user(person(7))
    assert person(7) not in listed(address).values() and len(listed(address)) < lists
    assert len((await reads_of(address))[0]) == MANY - MANY // 40 + 1
    writing.write(repository.documents, [event(BEGIN + timedelta(hours=2), person(n)) for n in range(8, MANY)])
    await repository.seal(END)
    assert set(listed(address).values()) >= {person(n) for n in range(8, MANY) if n % 40 != 7}


@pytest.mark.parametrize("most", [800_000, 3_000])
async def test_whom_an_older_version_erased_is_in_no_list_once_something_is_sealed(address, monkeypatch, most):
    monkeypatch.setattr(name_lists, "MOST_BYTES", most)
    repository = await filled(address)
    [bob] = [each for each in repository.documents.query(PEOPLE) if each.fields["name"] == person(3)]
    name = erased_as_before_lists(repository.documents, bob)
    people, _ = await reads_of(address)
    assert name in people and person(3) not in people
    writing.write(repository.documents, [event(END - HOUR / 2, person(n)) for n in range(20) if n != 3])
    await repository.seal(END + HOUR)
    assert person(3) not in listed(address).values()
    assert set(listed(address).values()) >= {person(n) for n in range(20) if n != 3}


@pytest.mark.parametrize("seed", range(4))
async def test_somebody_who_is_erased_while_names_are_listed_is_in_no_list(address, monkeypatch, seed):
    chance = random.Random(seed)
    monkeypatch.setattr(name_lists, "MOST_BYTES", 3_000)
    await filled(address, 40)
    repository, beside = FirestoreRepository(address), FirestoreRepository(address)
    writing.write(repository.documents, [event(END - HOUR / 2, person(n)) for n in range(200)])
    left, query, commit = chance.randrange(1, 12), Documents.query, Documents.commit
    directory = Directory(beside.documents)

    def erasing(work):
        def counted(self, *values, **more):
            nonlocal left
            if self is repository.documents:
                left -= 1
                if left == 0:
                    unlinking.unlink(beside.documents, [directory.documents_of([person(190)], Aliases())])
            return work(self, *values, **more)

        return counted

    monkeypatch.setattr(Documents, "commit", erasing(commit))
    monkeypatch.setattr(Documents, "query", erasing(query))
    await repository.seal(END + HOUR)
    if left > 0:
        unlinking.unlink(beside.documents, [directory.documents_of([person(190)], Aliases())])
    assert person(190) not in {*listed(address).values(), *recorded(address).values()}
    assert listed(address).items() <= recorded(address).items()


async def test_a_list_that_is_damaged_is_read_past_and_deleted_by_the_next_erasure(address):
    repository = await filled(address)
    [place] = [each.name for each in repository.documents.named(NAMES, "0", "~")]
    found = repository.documents.get(NAMES, place)
    repository.documents.commit([Change(NAMES, place, {**found.fields, "names": found.fields["names"][:-9]})])
    assert (await reads_of(address))[0] == {person(n) for n in range(MANY)}
    await repository.erase_user(person(3))
    assert repository.documents.names(NAMES, "0", "~") == []
    assert person(3) not in (await reads_of(address))[0]


async def test_odd_names_are_listed_as_they_are(address):
    odd = ['"', "\\", "a,b", "李", "\U0001f600" * 80, "erased-mike", "x" * 320]
    repository = FirestoreRepository(address)
    writing.write(repository.documents, [event(BEGIN, name)._replace(client=Client("::1", "x")) for name in odd])
    await repository.seal(END)
    assert listed(address) == recorded(address) and set(odd) == set(listed(address).values())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("dies", range(4, 13))
async def test_a_purge_that_dies_forgets_at_last_who_is_in_no_summary_any_more(address, monkeypatch, dies):
    await filled(address, 30)
    repository = FirestoreRepository(address)
    writing.write(repository.documents, [event(BEGIN + timedelta(days=3), person(n)) for n in range(10)])
    await repository.seal(BEGIN + timedelta(days=4, hours=1))
    before, left, commit = BEGIN + timedelta(days=2), dies, Documents.commit

    def dying(self, changes):
        nonlocal left
        left -= 1
        if left == 0:
            raise Killed
        return commit(self, changes)

    with monkeypatch.context() as patched:
        patched.setattr(Documents, "commit", dying)
        with suppress(Killed):
            await repository.purge(events_before=before, summaries_before=before)
    await FirestoreRepository(address).purge(events_before=before, summaries_before=before)
    assert {name for name in recorded(address).values() if not name.startswith("erased-")} == {
        person(n) for n in range(10)
    }
    assert listed(address).items() <= recorded(address).items()
