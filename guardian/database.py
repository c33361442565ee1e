"""One SQLite file as Guardian's own state uses it: a thread of its own, whole transactions, one error."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

from guardian.repository import StorageError
from guardian.state import LeaseLost
from guardian.state_schema import STATE_MIGRATIONS
from tracker.address import why_not_opened
from tracker.schema import NewerDatabase, connect, migrate

T = TypeVar("T")


class StateDatabase:
    """Guardian's tables in one SQLite file; every method raises StorageError where the database cannot answer.

    Each method runs in a thread of the object's own: a cancelled caller never leaves a transaction half done.
    `synchronous=FULL`: what a method has committed survives a power cut.
    """

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db: sqlite3.Connection | None = db
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guardian-state")

    @classmethod
    async def open(cls, path: str | Path) -> Self:
        """Open the file, make or bring up to date the tables of Guardian's state.

        Raises StorageError for a file that is no database, cannot be opened, or was written by a newer version.
        """

        def prepare() -> sqlite3.Connection:
            db = connect(str(path), synchronous="FULL", timeout=10.0)
            try:
                migrate(db, STATE_MIGRATIONS, owner="guardian")
            except BaseException:
                db.close()
                raise
            return db

        try:
            return cls(await asyncio.to_thread(prepare), str(path))
        except NewerDatabase as error:
            raise StorageError(f"{path}: {error}") from error
        except sqlite3.Error as error:
            raise StorageError(cannot_open(path, error)) from error

    async def transact(self, work: Callable[[sqlite3.Connection], T], *, token: int | None = None) -> T:
        """Run `work` in one write transaction and give back its result; an exception of it undoes everything.

        Raises LeaseLost where `token` is not None and no longer that of a lease.
        """

        def run(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            try:
                _check(db, token)
                result = work(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result

        return await self._run(run)

    async def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query gives."""
        return await self._run(lambda db: db.execute(sql, values).fetchall())

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def guarded(db: sqlite3.Connection) -> T:
            try:
                return work(db)
            except sqlite3.Error as error:
                raise StorageError(f"the database {self._path} does not answer: {error}") from error

        if self._db is None:
            raise StorageError(f"the database {self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded, self._db)

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
    """That a database cannot be opened, in one sentence, with what keeps it from that and the cure where it is seen."""
    why = why_not_opened(os.path.abspath(path)) if isinstance(error, sqlite3.OperationalError) else None
    return f"the database {os.fspath(path)} cannot be opened: {error}" + (f", since {why}" if why else "")


def _check(db: sqlite3.Connection, token: int | None) -> None:
    if token is not None and not db.execute("SELECT 1 FROM guardian_lease WHERE token = ?", (token,)).fetchone():
        raise LeaseLost("another daemon leads now")
