"""What every kind of database does as a whole: it is there or not, is opened anew, and is read as of one moment."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from guardian.core.storage import StorageError
from guardian.stores.one_state import of_one_state
from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.events import event
from tests.support.firestore import address_in

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = ["Ada@example.com", "Zoë", "bob", "erased-mike"]


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.needs_firestore)])
def address(request, tmp_path):
    """Where a database of each kind may be: those that an address chooses."""
    return tmp_path / "guardian.db" if request.param == "sqlite" else address_in(tmp_path)


async def recorded(address):
    """Has three people and one who did not sign in; then one of them is erased."""
    stores = await backend(address).open(NO_BOOK)
    await stores.events.write([event(NOW, user=name) for name in (*NAMES, "anonymous", "gone@example.com")])
    await stores.events.erase_user("gone@example.com")
    await stores.close()


async def test_a_database_is_there_once_something_is_recorded(address):
    assert not backend(address).exists()
    await recorded(address)
    assert backend(address).exists()


async def test_asking_for_names_makes_no_database_and_says_everybody_but_the_erased(address):
    assert backend(address).names() == []
    assert not backend(address).exists()
    await recorded(address)
    assert sorted(backend(address).names()) == NAMES


async def test_a_sound_database_has_no_damage(address):
    await recorded(address)
    assert await asyncio.to_thread(backend(address).find_damage, seconds=60) is None


async def test_a_copy_is_made_or_refused_in_a_sentence_and_leaves_nothing_half_done(address, tmp_path):
    await recorded(address)
    copy = tmp_path / "copies" / "copy.db"
    copy.parent.mkdir()
    try:
        size = await asyncio.to_thread(backend(address).copy_checked, copy, progress=lambda done: None)
    except StorageError as error:
        assert "no file that can be copied: run gcloud" in str(error)
        assert list(copy.parent.iterdir()) == []
    else:
        assert (size, sorted(backend(copy).names())) == (copy.stat().st_size, NAMES)


async def test_a_database_that_no_recorder_writes_has_no_sign_of_life(address):
    assert backend(address).last_sign(NOW, DAY) is None
    await recorded(address)
    assert backend(address).last_sign(NOW, DAY) is None


async def test_reports_see_what_all_stores_see(address):
    await recorded(address)
    sources = await backend(address).open_for_reports(NO_BOOK)
    assert (await sources.events.summary(NOW, NOW + DAY)).requests == 6
    assert await sources.alerts.incidents() == []
    for _ in range(2):
        await sources.close()


async def test_what_is_opened_again_holds_what_it_held(stores):
    await stores.events.write([event(NOW)])
    await stores.state.acquire_lease("daemon", "one", NOW, DAY)
    await stores.reopen()
    stores.state.check_file()
    assert (await stores.events.summary(NOW, NOW + DAY)).requests == 1
    assert await stores.state.lease_held("daemon", NOW, DAY)
    assert stores.history.first_event() is not None


async def test_what_is_read_of_one_state_is_what_is_read_apart(stores, open_stores):
    """And what was written before is seen, whoever wrote it; what comes meanwhile, at the latest after it."""
    window = NOW, NOW + DAY
    another = await open_stores()
    await stores.events.write([event(NOW)])
    await another.events.write([event(NOW + timedelta(minutes=1), user="bob")])
    apart = await stores.events.summary(*window), await stores.events.counts(*window)
    with of_one_state():
        assert await stores.events.summary(*window) == apart[0]
        with of_one_state():
            assert await stores.events.counts(*window) == apart[1]
        await another.events.write([event(NOW + timedelta(minutes=2), user="eve")])
    assert (await stores.events.summary(*window)).requests == 3


async def test_two_databases_that_are_read_of_one_state_keep_their_own(tmp_path, address):
    """As where one process serves two apps."""
    places = (address, tmp_path / "another.db")
    one, two = [await backend(each).open(NO_BOOK) for each in places]
    await one.events.write([event(NOW)])
    await two.events.write([event(NOW), event(NOW, user="bob")])
    with of_one_state():
        found = [(await each.events.summary(NOW, NOW + DAY)).requests for each in (one, two)]
        again = [(await each.events.counts(NOW, NOW + DAY)).requests for each in (one, two)]
    assert found == again == [1, 2]
    for each in (one, two):
        await each.close()
