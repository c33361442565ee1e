"""The outbox in SQLite: messages waiting for delivery, their attempts, and their outcome."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from guardian.core.clock import LONGEST_WAIT
from guardian.core.outgoing import OutboxItem, Outgoing
from guardian.core.time import micros
from guardian.stores.erasure import named
from guardian.stores.forgetting import message_without
from guardian.stores.sqlite.database import StateDatabase
from guardian.stores.sqlite.forgetting import buried
from guardian.stores.sqlite.schema import ITEM_COLUMNS, put_mails, to_item
from guardian.stores.state import FAITHFUL_TRIES, PATIENCE


class SqliteOutbox(StateDatabase):
    """The part of `StateStore` that keeps mails and messages."""

    async def enqueue(
        self, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None, since: datetime | None = None
    ) -> int:
        """See StateStore."""

        def work(db: sqlite3.Connection) -> int:
            gone = set() if since is None else buried(db, named(mails), micros(since))
            return put_mails(db, [message_without(mail, gone) for mail in mails] if gone else mails, micros(now))

        return await self.transact(work, token=token)

    async def claim_due(
        self,
        now: datetime,
        *,
        holder: str,
        lease: timedelta,
        limit: int,
        channel: str | None = None,
        besides: Collection[str] = (),
        resting: Collection[str] = (),
    ) -> list[OutboxItem]:
        """See StateStore. A recipient's oldest waiting item comes first, even while it waits for its next attempt. One
        put off `PATIENCE` times, for more than half an hour, no longer holds up the next: the server may refuse only
        that mail. A mail never tried is due whatever its time, and waits or leases of days are ignored, since clocks
        get set.
        """
        at, doubt = micros(now), micros(now + LONGEST_WAIT)
        which, values = _which(channel, besides)
        rest = ",".join("?" * len(resting))

        def work(db: sqlite3.Connection) -> list[OutboxItem]:
            rows = db.execute(
                f"""
                SELECT {ITEM_COLUMNS} FROM guardian_outbox
                WHERE id IN (
                    SELECT min(id) FROM guardian_outbox WHERE status = 'pending' {which}
                    GROUP BY channel, recipient, kind = 'report', attempts >= {PATIENCE}
                )
                AND (attempts = 0 OR next_us <= ? OR next_us > ?)
                AND (lease_us IS NULL OR lease_us <= ? OR lease_us > ?)
                AND (transport IS NULL OR attempts >= {FAITHFUL_TRIES} OR transport NOT IN ({rest}))
                ORDER BY kind = 'report', severity != 'critical', severity != 'warning', id LIMIT ?
                """,
                (*values, at, doubt, at, doubt, *resting, limit),
            ).fetchall()
            db.executemany(
                "UPDATE guardian_outbox SET holder = ?, lease_us = ? WHERE id = ?",
                [(holder, micros(now + lease), row[0]) for row in rows],
            )
            return [to_item(row) for row in rows]

        return await self.transact(work)

    async def mark_sent(self, item: OutboxItem, *, holder: str, now: datetime, transport: str) -> None:
        """See StateStore."""
        await self.update(
            "UPDATE guardian_outbox SET status = 'sent', sent_us = ?, transport = ?, attempts = attempts + 1, "
            "last_error = NULL, holder = NULL, lease_us = NULL WHERE id = ? AND status != 'sent'",
            (micros(now), transport, item.id),
        )

    async def mark_failed(
        self,
        item: OutboxItem,
        *,
        holder: str,
        now: datetime,
        error: str,
        retry_at: datetime | None,
        transport: str | None,
    ) -> None:
        """See StateStore. Changes nothing if another holder has the item by now, or it no longer waits."""
        await self.update(
            "UPDATE guardian_outbox SET status = ?, next_us = ?, transport = ?, attempts = attempts + 1, "
            "last_error = ?, holder = NULL, lease_us = NULL WHERE id = ? AND status = 'pending' AND holder = ?",
            ("dead" if retry_at is None else "pending", micros(retry_at or now), transport, error, item.id, holder),
        )

    async def outbox(self, *, status: str | None = None, limit: int = 100) -> list[OutboxItem]:
        """See StateStore."""
        where, values = ("", ()) if status is None else ("WHERE status = ?", (status,))
        sql = f"SELECT {ITEM_COLUMNS} FROM guardian_outbox {where} ORDER BY id DESC LIMIT ?"
        return await self.read_as(to_item, sql, (*values, limit))

    async def outbox_item(self, item_id: int) -> OutboxItem | None:
        """See StateStore."""
        items = await self.read_as(to_item, f"SELECT {ITEM_COLUMNS} FROM guardian_outbox WHERE id = ?", (item_id,))
        return items[0] if items else None

    async def retry(self, item_id: int, now: datetime) -> bool:
        """See StateStore."""
        return await self.update(
            "UPDATE guardian_outbox SET status = 'pending', next_us = ?, attempts = 0, holder = NULL, lease_us = NULL "
            "WHERE id = ? AND status != 'sent' AND length(body) > 0 AND (lease_us IS NULL OR lease_us <= ?)",
            (micros(now), item_id, micros(now)),
        )

    async def drop(self, item_id: int, now: datetime) -> bool:
        """See StateStore."""
        return await self.update(
            "UPDATE guardian_outbox SET status = 'dropped', holder = NULL, lease_us = NULL "
            "WHERE id = ? AND status IN ('pending', 'dead')",
            (item_id,),
        )

    async def outbox_counts(self) -> dict[str, int]:
        """See StateStore."""
        counts = dict.fromkeys(("pending", "sent", "dead", "dropped"), 0)
        rows = await self.read("SELECT status, count(*) FROM guardian_outbox GROUP BY status")
        return counts | {status: count for status, count in rows}


def _which(channel: str | None, besides: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """The SQL condition, with its values, for rows of a channel and of none of those in `besides`."""
    only = "" if channel is None else "AND channel = ?"
    none_of = f"AND channel NOT IN ({','.join('?' * len(besides))})" if besides else ""
    return f"{only} {none_of}", (*(() if channel is None else (channel,)), *besides)
