"""The SQLite file of events as its readers use it: one read-only connection, and threads for long work."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

from guardian.core.off_loop import in_thread
from guardian.core.storage import StorageError
from guardian.stores.people.book import NO_BOOK, AliasBook
from guardian.stores.sqlite import imported, seal_layout, seal_marks
from guardian.stores.sqlite.connections import Connections, in_one_state
from guardian.stores.sqlite.damage import UNREADABLE, unreadable
from guardian.stores.sqlite.database import cannot_open
from guardian.stores.sqlite.names import KeptNames
from guardian.stores.sqlite.people import People, read_people
from tracker.sqlite.connection import connect
from tracker.sqlite.database_file import FileChanged, OpenedFile
from tracker.sqlite.migrations import NewerDatabase
from tracker.sqlite.migrations import prepare as prepare_tables

T = TypeVar("T")


class EventsFile:
    """One SQLite file with events. Every method raises StorageError where the database cannot answer.

    `book` has the aliases, since results speak of people while the tables hold ids.
    """

    def __init__(self, reader: aiosqlite.Connection, file: OpenedFile, book: AliasBook) -> None:
        self._reader: aiosqlite.Connection | None = reader
        self._file = file
        self._path = file.path
        self._book = book
        self._connections = Connections(file)

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *, book: AliasBook = NO_BOOK) -> Self:
        """Open the file and migrate its tables; a missing file is created.

        Raises StorageError for a file that is no database, cannot be opened, or was written by a newer version.
        """
        file = OpenedFile(os.fspath(path))
        return cls(await _opened(file, create=True), file, book)

    async def reopen(self) -> None:
        """See UsageRepository."""
        reader = await _opened(self._file, create=False)
        old, self._reader = self._reader, reader
        await asyncio.to_thread(self._connections.drop)
        if old is not None:
            await old.close()

    async def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        if self._reader is None:
            raise StorageError(f"the database {self._path} is closed")
        try:
            self._file.check()
            # In one call: separate steps would each wait for the thread and the loop again.
            return list(await self._reader.execute_fetchall(sql, values))
        except FileChanged as error:
            raise StorageError(str(error)) from error
        except UNREADABLE as error:
            raise unreadable(self._path, error) from error

    async def _with_people(self, work: Callable[[sqlite3.Connection, People], T], *, complete: bool = False) -> T:
        """Run work as `_with_connection` does, with the current people. With `complete`, raises StorageError if some
        ids of a person may be unknown.
        """

        def run() -> T:
            aliases = self._book.current()
            if complete and self._book.trouble:
                raise StorageError(f"not all ids of a person are known, since {self._book.trouble}; then try again")
            return self._used(lambda db, names: work(db, read_people(db, aliases, names)))

        return await self._in_thread(run)

    async def _of_one_state(self, work: Callable[[sqlite3.Connection, People], T]) -> T:
        """Run work as `_with_people` does, on one state of the database, so that seals, single events and names
        agree."""

        def run() -> T:
            aliases = self._book.current()  # may block, so outside the transaction
            return self._used(
                lambda db, names: in_one_state(db, lambda same: work(same, read_people(same, aliases, names)))
            )

        return await self._in_thread(run)

    async def _with_connection(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run long or writing work in a thread, with a connection of its own."""
        return await self._in_thread(lambda: self._used(lambda db, _: work(db)))

    async def _in_thread(self, run: Callable[[], T]) -> T:
        if self._reader is None:
            raise StorageError(f"the database {self._path} is closed")
        return await in_thread(run)

    def _used(self, work: Callable[[sqlite3.Connection, KeptNames], T]) -> T:
        try:
            with self._connections.use_with_names() as (db, names):
                return work(db, names)
        except FileChanged as error:
            raise StorageError(str(error)) from error
        except UNREADABLE as error:
            raise unreadable(self._path, error) from error

    async def close(self) -> None:
        """See UsageRepository."""
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await asyncio.to_thread(self._connections.drop)
            await reader.close()


async def _opened(file: OpenedFile, *, create: bool) -> aiosqlite.Connection:
    def prepare() -> None:
        with closing(connect(file.path, create=create)) as db:
            prepare_tables(db)
            seal_layout.prepare(db)
            seal_marks.prepare(db)
            imported.prepare(db)

    try:
        await asyncio.to_thread(prepare)
        reader = await aiosqlite.connect(_existing(file.path), uri=True, isolation_level=None)
        # Not mode=ro: if such a connection closes last, the write-ahead log stays beside the file.
        await reader.execute("PRAGMA query_only = ON")
        # A read opens the file, so its inode number is not reused from here on.
        async with reader.execute("SELECT count(*) FROM sqlite_schema"):
            file.note()
    except NewerDatabase as error:
        raise StorageError(f"{file.path}: {error}") from error
    except sqlite3.Error as error:
        raise StorageError(cannot_open(file.path, error)) from error
    except UNREADABLE as error:
        raise unreadable(file.path, error) from error
    return reader


def _existing(name: str) -> str:
    """The URI that opens a file without creating it (SQLite, "URI Filenames")."""
    return f"{Path(os.path.abspath(name)).as_uri()}?mode=rw"
