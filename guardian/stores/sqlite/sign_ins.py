"""`SignInStore` on SQLite, in the database of the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from guardian.core.time import micros, moment
from guardian.stores.sign_ins import TRIES, AskedLink, Session
from guardian.stores.sqlite.database import StateDatabase

_LINK = "link, address, expires_us, browser, code, forwarded"
_GOOD = f"expires_us > ? AND tries < {TRIES}"


class SqliteSignInStore:
    """`SignInStore` in the file of `StateDatabase`."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def keep_link(self, asked: AskedLink, now: datetime) -> None:
        """See SignInStore."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM guardian_asked WHERE expires_us <= ?", (micros(now),))
            values = (asked.link, asked.address.lower(), micros(asked.expires))
            db.execute(
                f"INSERT INTO guardian_asked ({_LINK}) VALUES (?, ?, ?, ?, ?, ?)",
                (*values, asked.browser, asked.code, asked.forwarded),
            )

        await self._state.transact(work)

    async def link(self, link: bytes, now: datetime) -> AskedLink | None:
        """See SignInStore."""
        sql = f"SELECT {_LINK} FROM guardian_asked WHERE link = ? AND {_GOOD}"
        rows = await self._state.read_as(_asked, sql, (link, micros(now)))
        return rows[0] if rows else None

    async def open_link(self, link: bytes, browser: bytes | None, session: Session, now: datetime) -> str | None:
        """See SignInStore."""
        sql = (
            f"SELECT link, address FROM guardian_asked WHERE link = ? AND (browser IS NULL OR browser = ?) AND {_GOOD}"
        )
        return await self._state.transact(lambda db: _begin(db, sql, (link, browser, micros(now)), session))

    async def open_code(self, code: bytes, browser: bytes, session: Session, now: datetime) -> str | None:
        """See SignInStore."""

        def work(db: sqlite3.Connection) -> str | None:
            sql = f"SELECT link, address FROM guardian_asked WHERE code = ? AND browser = ? AND {_GOOD}"
            address = _begin(db, sql, (code, browser, micros(now)), session)
            if address is None:
                db.execute("UPDATE guardian_asked SET tries = tries + 1 WHERE browser = ?", (browser,))
            return address

        return await self._state.transact(work)

    async def forward_link(self, link: bytes, now: datetime) -> str | None:
        """See SignInStore."""

        def work(db: sqlite3.Connection) -> str | None:
            sql = (
                "UPDATE guardian_asked SET forwarded = 1 WHERE link = ? AND browser IS NOT NULL AND forwarded = 0 "
                f"AND {_GOOD} RETURNING address"
            )
            row = db.execute(sql, (link, micros(now))).fetchone()
            return None if row is None else str(row[0])

        return await self._state.transact(work)

    async def session(self, cookie: bytes) -> Session | None:
        """See SignInStore."""
        sql = "SELECT cookie, address, began_us, seen_us FROM guardian_signed_in WHERE cookie = ?"
        rows = await self._state.read(sql, (cookie,))
        return Session(rows[0][0], rows[0][1], moment(rows[0][2]), moment(rows[0][3])) if rows else None

    async def see(self, cookie: bytes, now: datetime) -> None:
        """See SignInStore."""
        await self._state.update("UPDATE guardian_signed_in SET seen_us = ? WHERE cookie = ?", (micros(now), cookie))

    async def end_session(self, cookie: bytes) -> None:
        """See SignInStore."""
        await self._state.update("DELETE FROM guardian_signed_in WHERE cookie = ?", (cookie,))

    async def end_sessions(self, address: str) -> int:
        """See SignInStore."""

        def work(db: sqlite3.Connection) -> int:
            db.execute("DELETE FROM guardian_asked WHERE address = ?", (address.lower(),))
            return db.execute("DELETE FROM guardian_signed_in WHERE address = ?", (address.lower(),)).rowcount

        return await self._state.transact(work)

    async def purge_sessions(self, *, seen_before: datetime, began_before: datetime) -> None:
        """See SignInStore."""
        sql = "DELETE FROM guardian_signed_in WHERE seen_us < ? OR began_us < ?"
        await self._state.update(sql, (micros(seen_before), micros(began_before)))


def _asked(row: Sequence[Any]) -> AskedLink:
    return AskedLink(row[0], row[1], moment(row[2]), row[3], row[4], bool(row[5]))


def _begin(db: sqlite3.Connection, sql: str, values: Sequence[Any], session: Session) -> str | None:
    """Use up the link that the query finds, and begin a session for its address."""
    row = db.execute(sql, values).fetchone()
    if row is None:
        return None
    db.execute("DELETE FROM guardian_asked WHERE link = ?", (row[0],))
    db.execute(
        "INSERT INTO guardian_signed_in VALUES (?, ?, ?, ?)",
        (session.cookie, row[1], micros(session.began), micros(session.seen)),
    )
    return str(row[1])
