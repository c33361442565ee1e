"""The one place that chooses a store by the database's address. Nothing else outside a store's own package imports
it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tracker.firestore.address import is_firestore

if TYPE_CHECKING:
    from guardian.settings.people import AliasSettings
    from guardian.stores.backend import Backend
    from guardian.stores.people.book import AliasBook


def shown(database: Path | str) -> str:
    """The database as shown to people: the absolute path of its file, or its address."""
    return str(database.absolute()) if isinstance(database, Path) else database


def backend(database: Path | str) -> Backend:
    """The backend for an address: a file, or `firestore://PROJECT[/DATABASE]`. Opens nothing yet. Raises StorageError
    for a malformed Firestore address.
    """
    # Imported on demand: each loads its driver.
    if isinstance(database, str) and is_firestore(database):
        from guardian.stores.firestore.backend import FirestoreBackend

        return FirestoreBackend(database)
    from guardian.stores.sqlite.backend import SqliteBackend

    return SqliteBackend(Path(database))


def open_book(settings: AliasSettings, database: Path | str) -> AliasBook:
    """The names of people by these settings. `database` is the events' database, which may have a pseudonym key."""
    from guardian.stores.people.book import AliasBook
    from guardian.stores.people.sources import open_source

    source = open_source(settings, lambda: backend(database).names())
    return AliasBook(source, key=lambda: backend(database).pseudonym_key())


def begin_demo(database: str, *, real: bool) -> None:
    """Prepare a Firestore database for a demonstration. A real project needs `real`. Raises ValueError with the cure
    for any other database and for one with other data, and StorageError.
    """
    if not is_firestore(database):
        raise ValueError(
            f"--database {database} is no address of Firestore: write firestore://PROJECT, or leave it out"
        )
    from guardian.stores.firestore import demo

    demo.begin_demo(database, real=real)
