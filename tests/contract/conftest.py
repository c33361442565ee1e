"""Each test of the contract that asks for a store runs on each of them; those that look into the file, on SQLite, and
those marked with `only_on(...)` on those."""

from functools import cache

import pytest

from guardian.stores.people.book import NO_BOOK
from tests.support.stores import STORES


def pytest_generate_tests(metafunc):
    if "store" in metafunc.fixturenames:
        looks_inside = {"sql", "sqlite_file"} & set(metafunc.fixturenames)
        only = metafunc.definition.get_closest_marker("only_on")
        wanted = only.args if only else ["sqlite"] if looks_inside else STORES
        metafunc.parametrize("store", [_named(each) for each in wanted])


def _named(store):
    return pytest.param(store, marks=pytest.mark.needs_firestore) if store == "firestore" else store


@pytest.fixture
async def open_stores(store, tmp_path):
    """Opens the same database again and again: as many connections as one likes."""
    opened, opener = [], STORES[store](tmp_path)

    async def another(book=NO_BOOK):
        opened.append(await opener(book))
        return opened[-1]

    yield another
    for each in opened:
        await each.close()


@pytest.fixture
async def stores(open_stores):
    return await open_stores()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """By store, what opens the one database that tests of a file share, and what has filled it."""
    return cache(lambda store: (STORES[store](tmp_path_factory.mktemp(store)), set()))


@pytest.fixture
async def filled(store, shared):
    """Opens a database that many tests only read: `await filled(fill)` gives the stores of one that holds what
    `await fill(stores)` writes, and nothing else is ever written to it."""
    opener, fills = shared(store)
    opened = await opener(NO_BOOK)

    async def holding(fill):
        if fill not in fills:
            assert not fills, "one file shares one database"
            await fill(opened)
            fills.add(fill)
        return opened

    yield holding
    await opened.close()


@pytest.fixture
def sqlite_file(tmp_path):
    """The file of a SQLite database, for tests that look into it."""
    return tmp_path / "guardian.db"
