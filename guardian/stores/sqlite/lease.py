"""The leader's lease in SQLite: who holds it, until when, and the fencing token."""

from __future__ import annotations

import sqlite3
from datetime import datetime, timedelta

from guardian.core.clock import is_over
from guardian.core.time import micros, moment
from guardian.stores.sqlite.database import StateDatabase


class SqliteLease(StateDatabase):
    """The part of `StateStore` that says which process leads."""

    async def acquire_lease(self, name: str, holder: str, now: datetime, ttl: timedelta) -> int | None:
        """See StateStore. A lease that ends more than two `ttl` from now was taken by a clock that ran ahead, and
        counts as expired."""

        def work(db: sqlite3.Connection) -> int | None:
            row = db.execute("SELECT holder, token, expires_us FROM guardian_lease WHERE name = ?", (name,)).fetchone()
            if row and row[0] not in ("", holder) and not is_over(moment(row[2]), now, 2 * ttl):
                return None
            token = row[1] if row and row[0] == holder else _next_token(db)
            db.execute("REPLACE INTO guardian_lease VALUES (?, ?, ?, ?)", (name, holder, token, micros(now + ttl)))
            return token

        return await self.transact(work)

    async def release_lease(self, name: str, holder: str) -> None:
        """See StateStore. The token becomes invalid."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE guardian_lease SET holder = '', expires_us = 0, token = ? WHERE name = ? AND holder = ?",
                (_next_token(db), name, holder),
            )

        await self.transact(work)

    async def lease_held(self, name: str, now: datetime, ttl: timedelta) -> bool:
        """See StateStore."""
        sql = "SELECT 1 FROM guardian_lease WHERE name = ? AND holder != '' AND expires_us > ? AND expires_us <= ?"
        return bool(await self.read(sql, (name, micros(now), micros(now + 2 * ttl))))


def _next_token(db: sqlite3.Connection) -> int:
    token: int = db.execute("SELECT coalesce(max(token), 0) + 1 FROM guardian_lease").fetchone()[0]
    return token
