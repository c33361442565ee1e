"""Erasing people from the state in SQLite: in small pieces, and until no copy is left in the write-ahead log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from guardian.core.time import micros
from guardian.stores.erasure import Forgotten, spellings
from guardian.stores.sqlite.database import StateDatabase
from guardian.stores.sqlite.forgetting import (
    Changes,
    buried,
    bury,
    erase_alerts,
    leaving,
    look_at_mails,
    look_at_reports,
    write_mails,
    write_reports,
)
from guardian.stores.sqlite.log import empty_log


class SqliteErasing(StateDatabase):
    """The part of `StateStore` that erases people."""

    async def forget(
        self,
        *names: str,
        rules: Collection[str] = (),
        recipients: Collection[str] = (),
        buried_at: datetime | None = None,
    ) -> Forgotten:
        """See StateStore. What was erased is overwritten in the file."""
        people, gone = spellings(names), leaving(spellings(names), recipients)

        def work(db: sqlite3.Connection) -> Forgotten:
            if buried_at is not None:
                bury(db, people, micros(buried_at))
            return erase_alerts(db, people, rules, gone)

        found = await self.transact(work)
        found += await self._forget(partial(look_at_mails, people=people, gone=gone), write_mails)
        found += await self._forget(partial(look_at_reports, people=people), write_reports)
        await self.settle_erasures()
        return found

    async def _forget(
        self,
        look: Callable[..., Changes],
        write: Callable[..., bool],
    ) -> Forgotten:
        """Find and write the changes piece by piece, so that nobody waits for the lock while rows are examined, nor
        long while they are written."""
        found, after = Forgotten(), 0
        while True:
            changes = await self._run(partial(look, after=after))
            if (changes.gone or changes.changed) and not await self.transact(partial(write, changes=changes)):
                continue
            found += changes.forgotten
            if changes.last is None:
                return found
            after = changes.last

    async def settle_erasures(self) -> bool:
        """See StateStore."""

        def work(db: sqlite3.Connection) -> bool:
            if empty_log(db):
                if db.execute("SELECT 1 FROM guardian_unsettled").fetchone():
                    db.execute("DELETE FROM guardian_unsettled")
                return True
            return False

        return await self._run(work)

    async def unsettled_erasures(self) -> int:
        """See StateStore."""
        [(count,)] = await self.read("SELECT count(*) FROM guardian_unsettled")
        return int(count)

    async def erased_since(self, names: Collection[str], since: datetime) -> set[str]:
        """See StateStore."""
        return await self.transact(lambda db: buried(db, spellings(names), micros(since)))

    async def erasures(self) -> tuple[int, ...]:
        """See StateStore."""
        [found] = await self.read("SELECT count(*), coalesce(max(erased_us), 0) FROM guardian_tombstones")
        return tuple(found)
