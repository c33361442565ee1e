"""Taking names out of Firestore while others do the same, die, or run an earlier version: at the end no document of any
collection says them."""

import threading
from contextlib import suppress
from datetime import timedelta

import pytest

from guardian.core.storage import StorageError
from guardian.core.time import micros
from guardian.stores.firestore import erasing, name_lists, sealing, unlinking, writing
from guardian.stores.firestore.directory import Directory
from guardian.stores.firestore.documents import Change, Documents
from guardian.stores.firestore.events import FirestoreRepository
from guardian.stores.firestore.moving import FirestoreMoving
from guardian.stores.firestore.name_lists import NAMES, NameList, read_all, read_index
from guardian.stores.people.aliases import Aliases
from tests.integration.test_erasing_firestore import places_of
from tests.support.events import event as made
from tests.support.firestore import address_in
from tests.support.firestore_erasing import erased_as_before_lists
from tests.support.firestore_packs import BEGIN
from tracker.firestore.address import parse
from tracker.firestore.expiry import META
from tracker.firestore.people import PEOPLE

pytestmark = pytest.mark.needs_firestore
END = BEGIN + timedelta(days=1, hours=2)
BOB, MANY = "u3@example.com", 30


def event(at, user):
    return made(micros(at), user=user)


@pytest.fixture
def address(tmp_path, monkeypatch):
    monkeypatch.setattr(sealing, "BEHIND_US", 0)  # as a minute later
    return address_in(tmp_path)


async def filled(address, names=tuple(f"u{n}@example.com" for n in range(MANY))):
    repository = FirestoreRepository(address)
    writing.write(repository.documents, [event(BEGIN, name) for name in names])
    await repository.seal(END)
    await repository.seal(END)
    return repository


def found_of(documents, *names):
    return Directory(documents).documents_of(names, Aliases())


class Killed(BaseException):
    pass


def dying(monkeypatch, place, *, after):
    """Let the process die at the commit of this number, before or after it is made."""
    left, commit = place, Documents.commit

    def counted(self, changes):
        nonlocal left
        left -= 1
        if left == 0 and not after:
            raise Killed
        done = commit(self, changes)
        if left == 0:
            raise Killed
        return done

    monkeypatch.setattr(Documents, "commit", counted)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("most", [800_000, 300])
@pytest.mark.parametrize("place", range(1, 4))
async def test_an_erasure_that_dies_and_is_made_again_leaves_no_name(address, monkeypatch, place, most, after):
    monkeypatch.setattr(name_lists, "MOST_BYTES", most)
    await filled(address)
    assert {PEOPLE} <= places_of(address, BOB).keys()
    with monkeypatch.context() as patched, suppress(Killed):
        dying(patched, place, after=after)
        await FirestoreRepository(address).erase_user(BOB)
    await FirestoreRepository(address).erase_user(BOB)
    assert places_of(address, BOB) == {}


@pytest.mark.parametrize("again", [False, True])
async def test_who_is_erased_twice_at_once_is_one_person_and_who_comes_back_stays(address, again):
    repository = await filled(address)
    found = found_of(repository.documents, BOB)
    assert erasing.erase(repository.documents, Directory(repository.documents), found)
    if again:
        writing.write(FirestoreRepository(address).documents, [event(END, BOB)])
    unlinking.unlink(repository.documents, [found])  # by another process, that has read the same
    unlinking.remove(repository.documents, found)
    people = [each.fields for each in repository.documents.query(PEOPLE)]
    assert len(people) == MANY + again
    assert [each["name"] for each in people if each["name"] == BOB] == [BOB] * again


async def test_two_who_erase_each_other_s_people_at_the_same_time_leave_no_name(address):
    await filled(address)
    names = [f"u{n}@example.com" for n in range(6)]
    threads = []
    for name in [*names, *names]:
        documents = FirestoreRepository(address).documents
        work = lambda documents=documents, name=name: erasing.erase(  # noqa: E731
            documents, Directory(documents), found_of(documents, name)
        )
        threads.append(threading.Thread(target=work))
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert places_of(address, *names) == {}
    assert len(FirestoreRepository(address).documents.query(PEOPLE)) == MANY


async def test_whom_an_older_version_erased_is_in_no_document_after_a_cleanup_though_nobody_comes(address):
    repository = await filled(address)
    [bob] = found_of(repository.documents, BOB)
    erased_as_before_lists(repository.documents, bob)
    anew = FirestoreRepository(address)
    await anew.seal(END + timedelta(hours=5))
    await anew.purge(events_before=BEGIN - timedelta(days=9), summaries_before=BEGIN - timedelta(days=9))
    assert places_of(address, BOB) == {}


async def test_a_cleanup_leaves_the_lists_there_are(address):
    repository = await filled(address)
    before = places_of(address, BOB)
    await repository.purge(events_before=BEGIN - timedelta(days=9), summaries_before=BEGIN - timedelta(days=9))
    assert places_of(address, BOB) == before


async def test_a_move_that_dies_while_it_brings_erased_people_lets_no_list_say_who_they_are(address, monkeypatch):
    await filled(address)
    assert read_index(FirestoreRepository(address).documents).groups == {}
    two = ["erased-0123456789abcdef", "erased-0123456789abcdef~1"]
    with monkeypatch.context() as patched, suppress(Killed):
        dying(patched, 1, after=True)
        FirestoreMoving(parse(address)).put("person", [{"name": name} for name in two])
    documents = FirestoreRepository(address).documents
    assert set(unlinking.renamed_documents(documents).values()) == set(two)
    directory = Directory(documents)
    directory.refresh()
    assert set(directory.erased().values()) >= set(two)


async def test_an_index_that_is_damaged_is_as_if_there_were_none(address):
    repository = await filled(address)
    repository.documents.commit([Change(META, "erased", {"epoch": "x", "lists": b"123", "groups": b"1"})])
    anew = FirestoreRepository(address)
    assert len((await anew.summary(BEGIN, END)).users) == MANY
    assert await anew.erase_user(BOB)
    assert places_of(address, BOB) == {}


async def test_erased_people_of_more_ids_than_one_document_holds_are_looked_up_instead(address, monkeypatch):
    monkeypatch.setattr(name_lists, "MOST_GROUPED", 3)
    names = [f"u{n}@example.com" for n in range(MANY)]
    repository = await filled(address)
    unlinking.unlink(repository.documents, [found_of(repository.documents, *names[:4])])
    assert read_index(repository.documents).groups is None
    directory = Directory(repository.documents)
    directory.refresh()
    assert len({name.partition("~")[0] for name in directory.erased().values()}) == 1


async def test_lists_that_are_read_while_names_are_looked_up_disturb_nobody(address, monkeypatch):
    await filled(address)
    documents = FirestoreRepository(address).documents
    directory, among = Directory(documents), NameList.among
    directory.refresh()
    ids = [each.fields["id"] for each in documents.query(PEOPLE)]
    assert len(directory.names(ids[:9])) == 9

    def meanwhile(self, wanted):
        """Another thread has read one more list."""
        lists = directory._cache.lists
        lists[max(lists) + 1 if len(lists) < 9 else 0] = NameList.of(1, {})
        return among(self, wanted)

    monkeypatch.setattr(NameList, "among", meanwhile)
    directory.names([1, 2])


async def test_two_who_list_names_at_once_lose_nothing_of_each_other(address, monkeypatch):
    monkeypatch.setattr(name_lists, "MOST_BYTES", 900)
    repository = await filled(address)
    writing.write(repository.documents, [event(END, f"new{n}@example.com") for n in range(90)])
    others = [each.fields["id"] for each in repository.documents.query(PEOPLE)]
    done, commit, once = [], Documents.commit, []

    def beside(self, changes):
        made_now = list(changes)
        result = commit(self, made_now)
        if self is repository.documents and not once and any(each.collection == NAMES for each in made_now):
            once.append(True)
            Directory(FirestoreRepository(address).documents).list_names(others)
        done.append(result)
        return result

    monkeypatch.setattr(Documents, "commit", beside)
    Directory(repository.documents).list_names(others)
    lists, _ = read_all(repository.documents, read_index(repository.documents))
    listed = [number for each in lists.values() for number in each.ids.tolist()]
    assert len(listed) == len(set(listed)) == MANY + 90


async def test_lists_that_fit_into_a_commit_as_they_are_sent_stay(address, monkeypatch):
    monkeypatch.setattr(name_lists, "MOST_BYTES", 20_000)
    repository = await filled(address, [f"somebody.with.a.long.name.{n}@example.com" for n in range(900)])
    lists, _ = read_all(repository.documents, read_index(repository.documents))
    sent = sum(len(each.body) + each.ids.nbytes for each in lists.values())
    monkeypatch.setattr(unlinking, "COMMIT_BYTES", 2 * sent)
    names = [f"somebody.with.a.long.name.{n}@example.com" for n in range(0, 900, 90)]
    unlinking.unlink(repository.documents, [[each] for each in found_of(repository.documents, *names)])
    after, _ = read_all(repository.documents, read_index(repository.documents))
    assert after.keys() == lists.keys() and len(lists) > 1


async def test_who_is_really_called_erased_is_forgotten_with_their_last_summary(address):
    repository = await filled(address, ["erased-mike", "erased-mike@example.com"])
    before = BEGIN + timedelta(days=2)
    await repository.purge(events_before=before, summaries_before=before)
    await repository.seal(before)
    assert places_of(address, "erased-mike") == {}


async def test_a_commit_that_meets_another_at_once_is_made_again(address, monkeypatch):
    from google.api_core.exceptions import Aborted
    from google.cloud.firestore import WriteBatch

    repository = await filled(address)
    commit, times = WriteBatch.commit, []

    def contended(self, *values, **more):
        times.append(1)
        if len(times) == 1:
            raise Aborted("Too much contention on these documents. Please try again.")
        return commit(self, *values, **more)

    found = found_of(repository.documents, BOB)
    monkeypatch.setattr(WriteBatch, "commit", contended)
    unlinking.unlink(repository.documents, [found])
    assert places_of(address, BOB) == {}


def test_a_move_into_which_somebody_else_writes_says_so_and_can_be_made_again(address, monkeypatch):
    moving, commit, once = FirestoreMoving(parse(address)), Documents.commit, []
    moving.put("person", [{"name": "ada@example.com"}])

    def beside(self, changes):
        if not once:
            once.append(True)
            writing.write(FirestoreRepository(address).documents, [event(END, BOB)])
        return commit(self, changes)

    monkeypatch.setattr(Documents, "commit", beside)
    with pytest.raises(StorageError, match="others write into"):
        moving.put("person", [{"name": BOB}])
    moving.put("person", [{"name": BOB}])
    assert len(FirestoreRepository(address).documents.query(PEOPLE)) == 2
