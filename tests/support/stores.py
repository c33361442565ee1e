"""The stores that the contract is tried on: a second one is a folder in `guardian/stores/` and a line here."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, settings

from guardian.stores.opening import backend
from guardian.stores.people.book import NO_BOOK
from tests.support.firestore import address_in
from tests.support.memory import Database


@cache
def _new():
    """A folder in which a database is made once, to be copied."""
    return tempfile.TemporaryDirectory()


async def make_new(path):
    """A new database of SQLite, where there is none yet: a copy of one that was made once, since making fifteen of them
    takes a third of a second."""
    if path.exists():
        return
    new = Path(_new().name) / "new.db"
    if not new.exists():
        await (await backend(new).open(NO_BOOK)).close()
    shutil.copy(new, path)


async def _sqlite(path, book):
    await make_new(path)
    return await backend(path).open(book)


STORES = {
    "sqlite": lambda folder: lambda book=NO_BOOK: _sqlite(folder / "guardian.db", book),
    "memory": lambda folder: Database(place=str(folder / "guardian.db")).open,
    "firestore": lambda folder: backend(address_in(folder)).open,
}
"""By name: what opens the database in a folder, again and again, as `Stores`; it takes the book of people."""


def law_on(store, *, examples):
    """On how many databases a law is tried: on Firestore a quarter, since its emulator takes seconds for one. What once
    failed there stands beside the law as an `@example`."""
    most = examples // 4 if store == "firestore" else examples
    return settings(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck))
