"""The state store on SQLite: lease, ledger of periods, saved reports and outbox, in the database of the events."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from guardian.forgetting import erase
from guardian.repository import StorageError
from guardian.state import LeaseLost, OutboxItem, Outgoing, SavedReport
from guardian.state_schema import ITEM_COLUMNS, STATE_MIGRATIONS, micros, moment, pack, put_mails, to_item, unpack
from tracker.schema import NewerDatabase, connect, migrate

T = TypeVar("T")

CLOCK_DOUBT = timedelta(days=1)
"""What is noted for later than this from now was noted by a clock that has been set back since, and does not count."""


class SqliteStateStore:
    """`StateStore` in one SQLite file; every method raises StorageError where the database cannot answer.

    Each method runs in a thread of the store's own: a cancelled caller never leaves a transaction half done.
    `synchronous=FULL`: what a method has committed survives a power cut.
    """

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db: sqlite3.Connection | None = db
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guardian-state")

    @classmethod
    async def open(cls, path: str | Path) -> SqliteStateStore:
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
            raise StorageError(f"the database {path} cannot be opened: {error}") from error

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

    async def _read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
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

    async def acquire_lease(self, name: str, holder: str, now: datetime, ttl: timedelta) -> int | None:
        """See StateStore. An end further off than two `ttl` comes from a clock that has been set back: it is over."""
        at, longest = micros(now), micros(now + 2 * ttl)

        def work(db: sqlite3.Connection) -> int | None:
            row = db.execute("SELECT holder, token, expires_us FROM guardian_lease WHERE name = ?", (name,)).fetchone()
            if row and row[0] not in ("", holder) and at < row[2] <= longest:
                return None
            token = row[1] if row and row[0] == holder else _next_token(db)
            db.execute("REPLACE INTO guardian_lease VALUES (?, ?, ?, ?)", (name, holder, token, micros(now + ttl)))
            return token

        return await self.transact(work)

    async def release_lease(self, name: str, holder: str) -> None:
        """See StateStore. The token is spent: it opens nothing any more."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE guardian_lease SET holder = '', expires_us = 0, token = ? WHERE name = ? AND holder = ?",
                (_next_token(db), name, holder),
            )

        await self.transact(work)

    async def last_period_end(self, schedule: str, *, now: datetime | None = None) -> datetime | None:
        """See StateStore."""
        latest = micros(datetime.max.replace(tzinfo=UTC) if now is None else now + CLOCK_DOUBT)
        sql = "SELECT max(end_us) FROM guardian_period WHERE schedule = ? AND claimed_us <= ?"
        [(end,)] = await self._read(sql, (schedule, latest))
        return None if end is None else moment(end)

    async def claim_period(
        self,
        schedule: str,
        period_start: datetime,
        period_end: datetime,
        *,
        report: Mapping[str, Any] | None,
        mails: Sequence[Outgoing],
        now: datetime,
        token: int | None = None,
        earlier: Sequence[tuple[datetime, datetime]] = (),
    ) -> bool:
        """See StateStore."""
        at = micros(now)
        rows = [(schedule, micros(end), micros(start), at) for start, end in [(period_start, period_end), *earlier]]
        body = None if report is None else pack(report)

        def work(db: sqlite3.Connection) -> bool:
            put = (
                "INSERT INTO guardian_period VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE "
                f"SET claimed_us = excluded.claimed_us WHERE claimed_us > {micros(now + CLOCK_DOUBT)}"
            )
            if not db.execute(put, rows[0]).rowcount:
                return False
            db.executemany(put, rows[1:])
            watched = [(row[0], row[2], row[1]) for row in rows]
            db.executemany(
                "DELETE FROM guardian_watch WHERE schedule = ? AND start_us = ? AND end_us = ?",
                watched if body is None else watched[1:],
            )
            if body is not None:
                db.execute(
                    "INSERT INTO guardian_watch (schedule, start_us, end_us, claimed_us, mails) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET claimed_us = excluded.claimed_us, mails = excluded.mails",
                    (*watched[0], at, len(mails)),
                )
                db.execute(
                    "INSERT INTO guardian_report (schedule, start_us, end_us, created_us, body) VALUES (?, ?, ?, ?, ?)",
                    (schedule, min(row[2] for row in rows), rows[0][1], at, body),
                )
            put_mails(db, mails, at)
            return True

        return await self.transact(work, token=token)

    async def enqueue(self, mails: Sequence[Outgoing], *, now: datetime, token: int | None = None) -> int:
        """See StateStore."""
        return await self.transact(lambda db: put_mails(db, mails, micros(now)), token=token)

    async def claim_due(self, now: datetime, *, holder: str, lease: timedelta, limit: int) -> list[OutboxItem]:
        """See StateStore. The oldest waiting item of a recipient comes first, even while it waits for its next try.

        A mail that was never tried is due whatever its time says, and a wait or lease of days is none: clocks are set.
        """
        at, doubt = micros(now), micros(now + CLOCK_DOUBT)

        def work(db: sqlite3.Connection) -> list[OutboxItem]:
            rows = db.execute(
                f"""
                SELECT {ITEM_COLUMNS} FROM guardian_outbox
                WHERE id IN (SELECT min(id) FROM guardian_outbox WHERE status = 'pending' GROUP BY channel, recipient)
                AND (attempts = 0 OR next_us <= ? OR next_us > ?)
                AND (lease_us IS NULL OR lease_us <= ? OR lease_us > ?) ORDER BY id LIMIT ?
                """,
                (at, doubt, at, doubt, limit),
            ).fetchall()
            db.executemany(
                "UPDATE guardian_outbox SET holder = ?, lease_us = ? WHERE id = ?",
                [(holder, micros(now + lease), row[0]) for row in rows],
            )
            return [to_item(row) for row in rows]

        return await self.transact(work)

    async def mark_sent(self, item: OutboxItem, *, holder: str, now: datetime, transport: str) -> None:
        """See StateStore."""
        await self._update(
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
        """See StateStore. Nothing changes where another holder has the item by now, or it no longer waits."""
        await self._update(
            "UPDATE guardian_outbox SET status = ?, next_us = ?, transport = ?, attempts = attempts + 1, "
            "last_error = ?, holder = NULL, lease_us = NULL WHERE id = ? AND status = 'pending' AND holder = ?",
            ("dead" if retry_at is None else "pending", micros(retry_at or now), transport, error, item.id, holder),
        )

    async def outbox(self, *, status: str | None = None, limit: int = 100) -> list[OutboxItem]:
        """See StateStore."""
        where, values = ("", ()) if status is None else ("WHERE status = ?", (status,))
        sql = f"SELECT {ITEM_COLUMNS} FROM guardian_outbox {where} ORDER BY id DESC LIMIT ?"
        return [to_item(row) for row in await self._read(sql, (*values, limit))]

    async def outbox_item(self, item_id: int) -> OutboxItem | None:
        """See StateStore."""
        rows = await self._read(f"SELECT {ITEM_COLUMNS} FROM guardian_outbox WHERE id = ?", (item_id,))
        return to_item(rows[0]) if rows else None

    async def retry(self, item_id: int, now: datetime) -> bool:
        """See StateStore."""
        return await self._update(
            "UPDATE guardian_outbox SET status = 'pending', next_us = ?, attempts = 0, holder = NULL, lease_us = NULL "
            "WHERE id = ? AND status != 'sent' AND (lease_us IS NULL OR lease_us <= ?)",
            (micros(now), item_id, micros(now)),
        )

    async def drop(self, item_id: int, now: datetime) -> bool:
        """See StateStore."""
        return await self._update(
            "UPDATE guardian_outbox SET status = 'dropped', holder = NULL, lease_us = NULL "
            "WHERE id = ? AND status IN ('pending', 'dead')",
            (item_id,),
        )

    async def outbox_counts(self) -> dict[str, int]:
        """See StateStore."""
        counts = dict.fromkeys(("pending", "sent", "dead", "dropped"), 0)
        rows = await self._read("SELECT status, count(*) FROM guardian_outbox GROUP BY status")
        return counts | {status: count for status, count in rows}

    async def reports(self, *, limit: int = 50) -> list[SavedReport]:
        """See StateStore."""
        rows = await self._read(
            "SELECT id, schedule, start_us, end_us, created_us FROM guardian_report ORDER BY id DESC LIMIT ?", (limit,)
        )
        return [SavedReport(row[0], row[1], *map(moment, row[2:5])) for row in rows]

    async def report(self, report_id: int) -> SavedReport | None:
        """See StateStore."""
        rows = await self._read(
            "SELECT id, schedule, start_us, end_us, created_us, body FROM guardian_report WHERE id = ?", (report_id,)
        )
        return SavedReport(rows[0][0], rows[0][1], *map(moment, rows[0][2:5]), unpack(rows[0][5])) if rows else None

    async def unsubscribe(self, schedule: str, recipient: str, *, wanted: bool, now: datetime) -> None:
        """See StateStore."""
        if wanted:
            sql, values = (
                "DELETE FROM guardian_unsubscribed WHERE schedule = ? AND recipient = ?",
                (schedule, recipient),
            )
        else:
            sql = "INSERT OR IGNORE INTO guardian_unsubscribed VALUES (?, ?, ?)"
            values = (schedule, recipient, micros(now))
        await self._update(sql, values)

    async def unsubscribed(self, schedule: str) -> set[str]:
        """See StateStore."""
        rows = await self._read("SELECT recipient FROM guardian_unsubscribed WHERE schedule = ?", (schedule,))
        return {recipient for (recipient,) in rows}

    async def purge_state(self, before: datetime) -> int:
        """See StateStore."""
        at = micros(before)

        def work(db: sqlite3.Connection) -> int:
            mails = db.execute("DELETE FROM guardian_outbox WHERE status != 'pending' AND created_us < ?", (at,))
            db.execute("DELETE FROM guardian_watch WHERE max(ifnull(claimed_us, 0), ifnull(told_us, 0)) < ?", (at,))
            return mails.rowcount + db.execute("DELETE FROM guardian_report WHERE created_us < ?", (at,)).rowcount

        return await self.transact(work)

    async def forget(self, email: str) -> int:
        """See StateStore. What was erased is overwritten in the file."""
        count = await self.transact(lambda db: erase(db, email))
        await self._read("PRAGMA wal_checkpoint(TRUNCATE)")
        return count

    async def _update(self, sql: str, values: Sequence[Any]) -> bool:
        return await self.transact(lambda db: db.execute(sql, values).rowcount > 0)

    async def close(self) -> None:
        """See StateStore."""
        if self._db is not None:
            db, self._db = self._db, None
            await asyncio.get_running_loop().run_in_executor(self._thread, db.close)
            self._thread.shutdown()


def _check(db: sqlite3.Connection, token: int | None) -> None:
    if token is not None and not db.execute("SELECT 1 FROM guardian_lease WHERE token = ?", (token,)).fetchone():
        raise LeaseLost("another daemon leads now")


def _next_token(db: sqlite3.Connection) -> int:
    return db.execute("SELECT coalesce(max(token), 0) + 1 FROM guardian_lease").fetchone()[0]
