"""`WatchStore` on SQLite: the table guardian_watch, in which `claim_period` records each report that was made."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime

from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period
from guardian.core.time import micros, moment
from guardian.stores.sqlite.database import StateDatabase
from guardian.stores.sqlite.schema import put_mails
from guardian.stores.watching import TELLING, Outage, Undelivered, Watched, report_key


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

    async def undelivered(self, *, before: datetime, tries: int) -> list[Undelivered]:
        """See WatchStore."""
        return await self._state.transact(lambda db: _undelivered(db, micros(before), tries))

    async def note_outages(
        self,
        noted: Sequence[tuple[Undelivered, Outage | None]],
        messages: Sequence[Outgoing],
        *,
        now: datetime,
        token: int | None,
    ) -> None:
        """See WatchStore."""
        rows = [
            (
                each.channel, each.recipient, each.newest_dead,
                *((outage.name, micros(outage.since), json.dumps(outage.audience)) if outage else (None, None, None)),
            )
            for each, outage in noted
        ]  # fmt: skip

        def work(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT INTO guardian_outage (channel, recipient, dead_id, name, since_us, audience) "
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET name = excluded.name, "
                "dead_id = max(dead_id, excluded.dead_id), since_us = excluded.since_us, audience = excluded.audience",
                rows,
            )
            db.execute("DELETE FROM guardian_outage WHERE name IS NULL AND dead_id = 0")
            put_mails(db, messages, micros(now))

        await self._state.transact(work, token=token)

    async def oldest_unsent(self) -> datetime | None:
        """See WatchStore."""
        [(at,)] = await self._state.read("SELECT min(created_us) FROM guardian_outbox WHERE status = 'pending'")
        return None if at is None else moment(at)


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


_NO_TELLING = f"substr(key, 1, {len(TELLING)}) != '{TELLING}'"
_WAITING = f"""
    SELECT channel, recipient, count(*), min(created_us), max(severity = 'critical') FROM guardian_outbox
    WHERE status = 'pending' AND (attempts >= ? OR created_us <= ?) AND {_NO_TELLING} GROUP BY channel, recipient
"""
_DEAD = f"""
    SELECT channel, recipient, sum(stands), sum(new), max(id), min(created_us), max(severity = 'critical') FROM (
        SELECT d.id, d.channel, d.recipient, d.created_us, d.severity, d.id > ifnull(o.dead_id, 0) AS new,
               d.next_us > ifnull((SELECT max(sent_us) FROM guardian_outbox s WHERE s.status = 'sent'
                                   AND s.channel = d.channel AND s.recipient = d.recipient), 0) AS stands
        FROM guardian_outbox d LEFT JOIN guardian_outage o ON o.channel = d.channel AND o.recipient = d.recipient
        WHERE d.status = 'dead' AND {_NO_TELLING}
    ) WHERE new OR stands GROUP BY channel, recipient
"""
_LAST_ERROR = """
    SELECT last_error FROM guardian_outbox WHERE channel = ? AND recipient = ? AND status = ?
    AND last_error IS NOT NULL ORDER BY attempts DESC, id DESC LIMIT 1
"""
_SENT = "SELECT max(sent_us) FROM guardian_outbox WHERE status = 'sent' AND channel = ?"


def _undelivered(db: sqlite3.Connection, before_us: int, tries: int) -> list[Undelivered]:
    waiting = {row[:2]: row[2:] for row in db.execute(_WAITING, (tries, before_us))}
    dead = {row[:2]: row[2:] for row in db.execute(_DEAD)}
    rows = db.execute("SELECT channel, recipient, name, since_us, audience FROM guardian_outage WHERE name IS NOT NULL")
    outages = {
        row[:2]: Outage(row[2], moment(row[3]), tuple((each[0], each[1]) for each in json.loads(row[4])))
        for row in rows
    }
    found = []
    for pair in sorted({*waiting, *dead, *outages}):
        many, first, grave = waiting.get(pair, (0, None, 0))
        stands, new, newest, begin, sad = dead.get(pair, (0, 0, 0, None, 0))
        status = "pending" if many else "dead"
        error = db.execute(_LAST_ERROR, (*pair, status)).fetchone()
        [sent] = db.execute(f"{_SENT} AND recipient = ?", pair).fetchone()
        [anybody] = db.execute(_SENT, pair[:1]).fetchone()
        since = min((each for each in (first, begin) if each is not None), default=None)
        found.append(
            Undelivered(
                channel=pair[0],
                recipient=pair[1],
                waiting=many,
                dead=stands,
                new_dead=new,
                newest_dead=newest,
                since=None if since is None else moment(since),
                critical=bool(grave or sad),
                error=error[0] if error else "",
                last_sent=None if sent is None else moment(sent),
                channel_sent=None if anybody is None else moment(anybody),
                outage=outages.get(pair),
            )
        )
    return found
