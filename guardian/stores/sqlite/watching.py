"""`WatchStore` on SQLite: the table guardian_watch, in which `claim_period` notes each report that was made."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period
from guardian.core.time import micros, moment
from guardian.stores.sqlite.database import StateDatabase
from guardian.stores.sqlite.schema import put_mails
from guardian.stores.watching import Watched, report_key


class SqliteWatchStore:
    """`WatchStore` in the database of the outbox."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def watched(self) -> list[Watched]:
        """See WatchStore."""
        return await self._state.transact(_watched)

    async def tell(
        self,
        schedule: str,
        periods: Sequence[Period],
        messages: Sequence[Outgoing],
        *,
        now: datetime,
        token: int | None,
    ) -> bool:
        """See WatchStore."""
        at = micros(now)

        def work(db: sqlite3.Connection) -> bool:
            count = 0
            for period in periods:
                count += db.execute(
                    "INSERT INTO guardian_watch (schedule, start_us, end_us, told_us) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT DO UPDATE SET told_us = excluded.told_us WHERE told_us IS NULL",
                    (schedule, micros(period.start), micros(period.end), at),
                ).rowcount
            if count:
                put_mails(db, messages, at)
            return count > 0

        return await self._state.transact(work, token=token)

    async def settle(self, report: Watched, *, token: int | None) -> None:
        """See WatchStore."""
        await self._state.transact(
            lambda db: db.execute(f"DELETE FROM guardian_watch {_ROW}", _key(report)), token=token
        )

    async def ping_failed(self, report: Watched, *, next_at: datetime, token: int | None) -> None:
        """See WatchStore."""
        sql = f"UPDATE guardian_watch SET tries = tries + 1, next_us = ? {_ROW}"
        await self._state.transact(lambda db: db.execute(sql, (micros(next_at), *_key(report))), token=token)


_ROW = "WHERE schedule = ? AND start_us = ? AND end_us = ?"


def _key(report: Watched) -> tuple[str, int, int]:
    return report.schedule, micros(report.period.start), micros(report.period.end)


def _watched(db: sqlite3.Connection) -> list[Watched]:
    found = []
    rows = db.execute(
        "SELECT schedule, start_us, end_us, claimed_us, mails, told_us, tries, next_us, edition "
        "FROM guardian_watch ORDER BY end_us"
    ).fetchall()
    for schedule, start, end, claimed, mails, told, tries, next_us, edition in rows:
        period = Period(moment(start), moment(end))
        prefix = report_key(schedule, period, edition) + "/"
        fates = db.execute(
            "SELECT status, recipient FROM guardian_outbox WHERE key >= ? AND key < ?", (prefix, prefix + "\U0010ffff")
        ).fetchall()
        sent, pending, dead = (sum(fate == name for fate, _ in fates) for name in ("sent", "pending", "dead"))
        stuck = frozenset(to for fate, to in fates if fate in ("pending", "dead"))
        claimed_at = None if claimed is None else moment(claimed)
        found.append(
            Watched(
                schedule,
                period,
                claimed_at,
                mails,
                told is not None,
                tries,
                moment(next_us),
                sent,
                pending,
                dead,
                stuck,
                edition,
            )
        )
    return found
