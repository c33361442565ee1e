"""`Backend` for a SQLite file: opening its stores, and inspecting it from outside."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from guardian.core.time import micros
from guardian.core.unlinked import is_unlinked
from guardian.stores.backend import ReportSources, Stores
from guardian.stores.sqlite.database import StateDatabase
from guardian.stores.sqlite.events import SqliteRepository
from guardian.stores.sqlite.history import SqliteHistory
from guardian.stores.sqlite.incidents import SqliteIncidents
from tracker.event import ANONYMOUS
from tracker.sqlite.connection import connect

# What reports do not need is imported where it is opened, so that commands that only read start faster.
if TYPE_CHECKING:
    from guardian.stores.people.book import AliasBook
    from guardian.stores.sqlite.copying import Progress
    from guardian.stores.sqlite.importing import SqliteImports
    from guardian.stores.sqlite.moving import SqliteMoving

_MAGIC = b"SQLite format 3\0"  # SQLite, "Database File Format"

S = TypeVar("S", bound=StateDatabase)


class SqliteBackend:
    """`Backend` for the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def open(self, book: AliasBook) -> Stores:
        """See Backend."""
        from guardian.stores.sqlite.alerts import SqliteAlertStore
        from guardian.stores.sqlite.sign_ins import SqliteSignInStore
        from guardian.stores.sqlite.state import SqliteStateStore
        from guardian.stores.sqlite.watching import SqliteWatchStore

        events, history, state = await self._opened(book, SqliteStateStore)
        return Stores(
            events, history, state, SqliteAlertStore(state), SqliteWatchStore(state), SqliteSignInStore(state)
        )

    async def open_for_reports(self, book: AliasBook) -> ReportSources:
        """See Backend."""
        events, history, state = await self._opened(book, StateDatabase)
        return ReportSources(events, history, SqliteIncidents(state), (state, events, history))

    async def _opened(self, book: AliasBook, kind: type[S]) -> tuple[SqliteRepository, SqliteHistory, S]:
        events = await SqliteRepository.open(self._path, book=book)
        try:
            state = await kind.open(self._path)
        except BaseException:
            await events.close()
            raise
        return events, SqliteHistory(self._path, book, keep=True), state

    async def open_events(self, book: AliasBook) -> SqliteRepository:
        """See Backend."""
        return await SqliteRepository.open(self._path, book=book)

    def history(self, book: AliasBook) -> SqliteHistory:
        """See Backend."""
        return SqliteHistory(self._path, book)

    def imports(self) -> SqliteImports:
        """See Backend."""
        from guardian.stores.sqlite.importing import SqliteImports

        return SqliteImports(self._path)

    def moving(self) -> SqliteMoving:
        """See Backend."""
        from guardian.stores.sqlite.moving import SqliteMoving

        return SqliteMoving(self._path)

    def exists(self) -> bool:
        """See Backend."""
        return os.path.exists(self._path)  # Path.exists raises if a folder may not be entered

    def find_damage(self, *, seconds: float) -> str | None:
        """See Backend."""
        from guardian.stores.sqlite.copying import find_damage

        return find_damage(self._path, seconds=seconds)

    def copy_checked(self, copy: Path, *, progress: Progress) -> int:
        """See Backend."""
        from guardian.stores.sqlite.copying import copy_checked

        return copy_checked(self._path, copy, progress=progress)

    def names(self) -> list[str]:
        """See Backend."""
        if not self.exists():
            return []
        with closing(connect(str(self._path), timeout=10.0)) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'guardian_user'").fetchone():
                return []
            rows = db.execute("SELECT email FROM guardian_user WHERE email != ?", (ANONYMOUS,))
            return [name for (name,) in rows if not is_unlinked(name)]

    def pseudonym_key(self) -> bytes | None:
        """See Backend: the key is in a file beside the database."""
        from tracker.pseudonyms import read_key

        return read_key(self._path)

    def renew_pseudonym_key(self) -> bool:
        """See Backend."""
        from tracker.pseudonyms import renew_key

        return renew_key(self._path)

    def last_sign(self, now: datetime, within: timedelta) -> int | None:
        """See Backend. The file is opened for reading only.

        A living writer has the write-ahead log and its index beside the file. Without them there is no writer, and
        opening the file would create them.
        """
        if not self._path.is_file() or not all(os.path.exists(f"{self._path}{part}") for part in ("-wal", "-shm")):
            return None
        with self._path.open("rb") as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                return None
        now_us, lately = micros(now), within // timedelta(microseconds=1)
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", uri=True, timeout=0.2)) as db:
                recorder = "SELECT max(seen_us) FROM guardian_recorder WHERE seen_us BETWEEN ? AND ?"
                (seen,) = db.execute(recorder, (now_us - lately, now_us + lately)).fetchone()
                own = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'guardian_lease'").fetchone()
                if own and db.execute("SELECT 1 FROM guardian_lease WHERE expires_us > ?", (now_us,)).fetchone():
                    return None
        except sqlite3.Error:
            return None
        return seen if isinstance(seen, int) else None
