"""One SQLite file as Guardian's own state uses it: its own thread, whole transactions, and a single error type."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from guardian.core.off_loop import short_turns
from guardian.core.storage import StorageError
from guardian.stores.sqlite.damage import CURE, UNREADABLE, is_damage, said, unreadable
from guardian.stores.sqlite.schema import STATE_MIGRATIONS
from guardian.stores.state import LeaseLost
from tracker.address import why_not_opened
from tracker.sqlite.connection import connect, undo
from tracker.sqlite.database_file import FileChanged, OpenedFile
from tracker.sqlite.migrations import NewerDatabase, migrate

T = TypeVar("T")


class StateDatabase:
    """Guardian's tables in one SQLite file. Every method raises StorageError if the database cannot answer. Each runs
    in the object's own thread, so a cancelled caller never leaves a transaction half done. With `synchronous=FULL`,
    commits survive a power cut.
    """

    def __init__(self, db: sqlite3.Connection, file: OpenedFile) -> None:
        self._db: sqlite3.Connection | None = db
        self._file = file
        self._path = file.path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guardian-state")

    @classmethod
    async def open(cls, path: str | Path) -> Self:
        """Open the file, and create or migrate the tables of Guardian's state. Raises StorageError for a file that is
        no database, cannot be opened, or was written by a newer version.
        """
        file = OpenedFile(str(path))
        return cls(await asyncio.to_thread(_opened, file, create=True), file)

    def check_file(self) -> None:
        """See StateStore."""
        try:
            self._file.check()
        except FileChanged as error:
            raise StorageError(str(error)) from error

    async def reopen(self) -> None:
        """See StateStore. Work that waits for the thread meanwhile runs on the new file, or fails."""

        def run() -> None:
            if self._db is None:
                raise StorageError(f"the database {self._path} is closed")
            try:
                self._file.leave(self._db)
            except FileChanged as error:
                raise StorageError(str(error)) from error
            old, self._db = self._db, _opened(self._file, create=False)
            old.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, run)

    async def transact(self, work: Callable[[sqlite3.Connection], T], *, token: int | None = None) -> T:
        """Run `work` in one write transaction and return its result; if it raises, everything is rolled back. Raises
        LeaseLost if `token` is not None and no longer belongs to a lease.
        """

        def run(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                _check(db, token)
                result = work(db)
                self._file.check()
                db.execute("COMMIT")
            except BaseException:
                undo(db)
                raise
            return result

        return await self._run(run)

    async def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query returns."""
        return await self._run(lambda db: db.execute(sql, values).fetchall())

    async def read_as(self, kind: Callable[[Sequence[Any]], T], sql: str, values: Sequence[Any] = ()) -> list[T]:
        """The rows that a query returns, each converted by `kind`."""
        return await self._run(lambda db: [kind(row) for row in db.execute(sql, values)])

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def guarded() -> T:
            try:
                self._file.check()
                if self._db is None:
                    raise sqlite3.ProgrammingError("it is closed")
                with short_turns():
                    return work(self._db)
            except FileChanged as error:
                raise StorageError(str(error)) from error
            except UNREADABLE as error:
                raise unreadable(self._path, error) from error

        if self._db is None:
            raise StorageError(f"the database {self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    async def update(self, sql: str, values: Sequence[Any]) -> bool:
        """Whether a statement, in a transaction of its own, changed a row."""
        return await self.transact(lambda db: db.execute(sql, values).rowcount > 0)

    async def close(self) -> None:
        """See StateStore."""
        if self._db is not None:
            db, self._db = self._db, None
            await asyncio.get_running_loop().run_in_executor(self._thread, db.close)
            self._thread.shutdown()


def cannot_open(path: str | os.PathLike[str], error: sqlite3.Error) -> str:
    """A sentence saying that a database cannot be opened, with the reason and the cure if they can be seen."""
    why = why_not_opened(os.path.abspath(path)) if isinstance(error, sqlite3.OperationalError) else None
    cure = f"; {CURE}" if is_damage(error) else ""
    return f"the database {os.fspath(path)} cannot be opened: {said(error)}" + (f", since {why}" if why else cure)


def _opened(file: OpenedFile, *, create: bool) -> sqlite3.Connection:
    try:
        db = connect(file.path, synchronous="FULL", timeout=10.0, create=create)
        try:
            migrate(db, STATE_MIGRATIONS, owner="guardian")
        except BaseException:
            db.close()
            raise
    except NewerDatabase as error:
        raise StorageError(f"{file.path}: {error}") from error
    except sqlite3.Error as error:
        raise StorageError(cannot_open(file.path, error)) from error
    except UNREADABLE as error:
        raise unreadable(file.path, error) from error
    file.note()
    return db


def _check(db: sqlite3.Connection, token: int | None) -> None:
    if token is not None and not db.execute("SELECT 1 FROM guardian_lease WHERE token = ?", (token,)).fetchone():
        raise LeaseLost("another daemon leads now")
