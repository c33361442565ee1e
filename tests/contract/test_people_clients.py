"""From where a person came is part of their export, and goes when they are erased, whatever the database is."""

from datetime import UTC, datetime, timedelta

import pytest

from guardian.stores.firestore.documents import Documents
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event as made
from tests.support.firestore import address_in
from tracker import Recorder
from tracker.event import Client
from tracker.firestore.address import parse
from tracker.firestore.clients import CLIENTS
from tracker.firestore.sink import FirestoreSink

ADA = "ada@example.com"
AT = datetime(2026, 3, 2, tzinfo=UTC)
HOME, WORK = Client("198.51.100.7", "curl/8.7.6"), Client("203.0.113.9", "Firefox")


def event(minutes, client=HOME, user=ADA):
    return made(AT + timedelta(minutes=minutes), user=user, client=client)


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
def database(request, tmp_path):
    return tmp_path / "guardian.db" if request.param == "sqlite" else address_in(tmp_path)


@pytest.fixture
async def repository(database):
    opened = []

    async def another():
        opened.append(await backend(database).open_events(NO_BOOK))
        return opened[-1]

    yield another
    for each in opened:
        await each.close()


def record(database, *events):
    recorder = Recorder(database)
    for each in events:
        recorder.add(each)
    assert recorder.flush() and recorder.close()


async def sessions(repository):
    rows = (await repository.export_user(ADA))["user_sessions"]
    return [(row["session_start"][11:16], row["ip_address"], row["user_agent"]) for row in rows]


async def test_each_session_has_the_address_and_user_agent_it_began_with_and_an_erasure_takes_them(
    database, repository, tmp_path
):
    record(
        database, event(0), event(9, WORK), event(60, WORK), event(61, None), event(120, None), event(1, user="b@c.de")
    )
    store = await repository()
    assert await sessions(store) == [("23:59", *HOME), ("00:59", *WORK), ("01:59", None, None)]
    assert await store.erase_user(ADA)
    assert await store.export_user(ADA) is None
    if isinstance(database, str):
        left = Documents(parse(database)).query(CLIENTS)
        assert len(left) == 1, "that of the other person"
    else:
        await store.erase_user("b@c.de")
        await store.close()
        kept = b"".join(each.read_bytes() for each in tmp_path.iterdir())
        assert b"198.51.100.7" not in kept and b"curl/8.7.6" not in kept


async def test_from_where_somebody_came_goes_when_sessions_are_old(database, repository):
    record(database, event(0), event(600, WORK))
    store = await repository()
    await store.purge_sessions(AT + timedelta(minutes=60))
    found = await sessions(store)
    assert found[-1] == ("09:59", *WORK)
    assert not [each for each in found[:-1] if each[1] or each[2]]


@pytest.mark.needs_firestore
async def test_a_process_that_knows_an_erased_person_by_their_old_number_notes_no_address_of_them(tmp_path):
    database = address_in(tmp_path)
    sink, store = FirestoreSink(database), await backend(database).open_events(NO_BOOK)
    sink.write([event(0)])
    assert await store.erase_user(ADA)
    sink.write([event(1), event(40)])  # within the same session, and the next one
    documents = Documents(parse(database))
    [noted] = documents.query(CLIENTS)
    assert noted.fields["at_us"] == event(40).at_us
    assert (await sessions(store))[-1] == ("00:39", *HOME), "who came back is a new person"
    await store.close()


@pytest.mark.needs_firestore
async def test_sessions_that_several_processes_see_are_one_with_the_first_address(tmp_path):
    database = address_in(tmp_path)
    first, second = FirestoreSink(database), FirestoreSink(database)
    second.write([event(2, WORK), event(25, WORK)])
    first.write([event(0), event(20)])
    store = await backend(database).open_events(NO_BOOK)
    assert await sessions(store) == [("23:59", *HOME)]
    await store.close()
