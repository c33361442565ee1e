"""The state store on SQLite, in the database of the events. This part has the ledger of periods and the saved
reports."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from guardian.core.clock import DOUBT_KEPT, SLACK, STEP
from guardian.core.off_loop import in_thread, off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.report.people import people_of, replaced
from guardian.core.time import micros, moment
from guardian.stores.erasure import erased, named, read_at
from guardian.stores.forgetting import message_without
from guardian.stores.packing import pack, unpack
from guardian.stores.sqlite.damage import readable
from guardian.stores.sqlite.erasing import SqliteErasing
from guardian.stores.sqlite.forgetting import (
    buried,
)
from guardian.stores.sqlite.lease import SqliteLease
from guardian.stores.sqlite.outbox import SqliteOutbox
from guardian.stores.sqlite.schema import put_mails
from guardian.stores.state import Edition, SavedReport


class SqliteStateStore(SqliteLease, SqliteErasing, SqliteOutbox):
    """`StateStore` in one SQLite file, with the lease and the outbox."""

    async def last_period_end(self, schedule: str, *, now: datetime | None = None) -> datetime | None:
        """See StateStore."""
        sql = "SELECT max(end_us) FROM guardian_period WHERE schedule = ?"
        values: tuple[Any, ...] = (schedule,)
        if now is not None:
            sql, values = f"{sql} AND NOT ({_EARLY})", (schedule, *_early(now))
        [end] = await self.read_as(lambda row: None if row[0] is None else moment(row[0]), sql, values)
        return end

    async def doubt_early(self, now: datetime, *, token: int | None = None) -> dict[str, int]:
        """See StateStore."""
        where = f"doubted = 0 AND ({_EARLY}) AND claimed_us <= ?"
        values = (*_early(now), micros(now + DOUBT_KEPT))
        if not await self.read(f"SELECT 1 FROM guardian_period WHERE {where} LIMIT 1", values):
            return {}

        def work(db: sqlite3.Connection) -> dict[str, int]:
            sql = f"SELECT schedule, count(*) FROM guardian_period WHERE {where} GROUP BY 1 ORDER BY 1"
            found = dict(db.execute(sql, values).fetchall())
            db.execute(f"UPDATE guardian_period SET doubted = 1 WHERE {where}", values)
            return found

        return await self.transact(work, token=token)

    async def edition(self, schedule: str, period_start: datetime, period_end: datetime, *, now: datetime) -> Edition:
        """See StateStore."""
        sql = (
            f"SELECT edition, claimed_us, {_AGAIN} FROM guardian_period WHERE (schedule, end_us, start_us) = (?, ?, ?)"
        )
        again = micros(now + SLACK)
        rows = await self.read(sql, (again, schedule, micros(period_end), micros(period_start)))
        if not rows:
            return Edition()
        [(number, claimed, doubtful)] = rows
        return Edition(number + 1, moment(claimed)) if doubtful else Edition(number)

    async def ledger_names(self) -> list[str]:
        """See StateStore."""
        return [name for (name,) in await self.read("SELECT DISTINCT schedule FROM guardian_period ORDER BY 1")]

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
        body = None if report is None else await off_loop(pack, report)
        made = read_at(report, now)

        def work(db: sqlite3.Connection) -> bool:
            nonlocal body, mails
            put = (
                "INSERT INTO guardian_period (schedule, end_us, start_us, claimed_us) VALUES (?, ?, ?, ?) ON CONFLICT "
                f"DO UPDATE SET claimed_us = excluded.claimed_us, edition = edition + 1, doubted = 0 WHERE {_AGAIN}"
            )
            again = micros(now + SLACK)
            if not db.execute(put, (*rows[0], again)).rowcount:
                return False
            db.executemany(put, [(*row, again) for row in rows[1:]])
            if report is not None and (gone := buried(db, people_of(report) | named(mails), micros(made))):
                # Somebody was erased while the report was being made.
                body = pack(replaced(report, erased(gone)))
                mails = [message_without(mail, gone) for mail in mails]
            watched = [(row[0], row[2], row[1]) for row in rows]
            db.executemany(
                "DELETE FROM guardian_watch WHERE schedule = ? AND start_us = ? AND end_us = ?",
                watched if body is None else watched[1:],
            )
            if body is not None:
                db.execute(
                    "INSERT INTO guardian_watch (schedule, start_us, end_us, claimed_us, mails, edition) "
                    "SELECT schedule, start_us, end_us, ?, ?, edition FROM guardian_period "
                    "WHERE (schedule, end_us, start_us) = (?, ?, ?) ON CONFLICT DO UPDATE "
                    "SET claimed_us = excluded.claimed_us, mails = excluded.mails, edition = excluded.edition",
                    (at, len(mails), *rows[0][:3]),
                )
                db.execute(
                    "INSERT INTO guardian_report (schedule, start_us, end_us, created_us, body) VALUES (?, ?, ?, ?, ?)",
                    (schedule, min(row[2] for row in rows), rows[0][1], at, body),
                )
            put_mails(db, mails, at)
            return True

        return await self.transact(work, token=token)

    async def reports(self, *, limit: int = 50) -> list[SavedReport]:
        """See StateStore."""
        sql = f"SELECT {_SAVED} FROM guardian_report ORDER BY id DESC LIMIT ?"
        return await self.read_as(_saved, sql, (limit,))

    async def report(self, report_id: int) -> SavedReport | None:
        """See StateStore."""
        sql = f"SELECT {_SAVED}, body FROM guardian_report WHERE id = ?"
        rows = await self.read(sql, (report_id,))

        def whole() -> SavedReport:
            with readable(self._path):
                return replace(_saved(rows[0]), report=unpack(rows[0][5]))

        return await in_thread(whole) if rows else None  # a large one takes long: the state's own thread goes on

    async def unsubscribe(self, schedule: str, recipient: str, *, wanted: bool, now: datetime) -> None:
        """See StateStore."""
        if wanted:
            sql = "DELETE FROM guardian_unsubscribed WHERE schedule = ? AND recipient = ?"
            await self.update(sql, (schedule, recipient))
        else:
            sql = "INSERT OR IGNORE INTO guardian_unsubscribed VALUES (?, ?, ?)"
            await self.update(sql, (schedule, recipient, micros(now)))

    async def unsubscribed(self, schedule: str) -> set[str]:
        """See StateStore."""
        rows = await self.read("SELECT recipient FROM guardian_unsubscribed WHERE schedule = ?", (schedule,))
        return {recipient for (recipient,) in rows}

    async def purge_state(self, before: datetime, *, incidents_before: datetime) -> int:
        """See StateStore."""
        at, ended = micros(before), micros(incidents_before)

        def work(db: sqlite3.Connection) -> int:
            mails = db.execute("DELETE FROM guardian_outbox WHERE status != 'pending' AND created_us < ?", (at,))
            db.execute("DELETE FROM guardian_watch WHERE max(ifnull(claimed_us, 0), ifnull(told_us, 0)) < ?", (at,))
            db.execute("DELETE FROM guardian_used_link WHERE used_us < ?", (ended,))
            reports = db.execute("DELETE FROM guardian_report WHERE created_us < ?", (at,))
            incidents = db.execute("DELETE FROM guardian_incident WHERE resolved_us < ?", (ended,))
            return mails.rowcount + reports.rowcount + incidents.rowcount

        return await self.transact(work)

    async def purge_unfinished(self, before: datetime) -> int:
        """See StateStore: SQLite itself rolls back what was not committed."""
        return 0

    async def count_old(self, before: datetime, *, incidents_before: datetime) -> int:
        """See StateStore."""
        [(count,)] = await self.read(
            "SELECT (SELECT count(*) FROM guardian_outbox WHERE status != 'pending' AND created_us < ?1) "
            "+ (SELECT count(*) FROM guardian_report WHERE created_us < ?1) "
            "+ (SELECT count(*) FROM guardian_incident WHERE resolved_us < ?2)",
            (micros(before), micros(incidents_before)),
        )
        return int(count)


_SAVED = "id, schedule, start_us, end_us, created_us"


def _saved(row: Sequence[Any]) -> SavedReport:
    """A saved report without its body, from a row of _SAVED."""
    return SavedReport(row[0], row[1], moment(row[2]), moment(row[3]), moment(row[4]))


_AGAIN = "(doubted OR claimed_us > ?)"
"""The SQL condition that the report of a ledger row has to be made again; its value is the latest time that is
believed."""
_EARLY = "doubted OR end_us > ? OR claimed_us > ?"
"""`core.clock.made_early` as SQL, including reports already marked; takes the values of `_early`."""


def _early(now: datetime) -> tuple[int, int]:
    return micros(now + STEP), micros(now + SLACK)
