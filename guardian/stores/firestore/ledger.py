"""The ledger of periods and the saved reports in Firestore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from guardian.core.clock import DOUBT_KEPT, STEP, made_early, was_ahead
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.report.people import people_of, replaced
from guardian.core.time import micros, moment
from guardian.stores.erasure import erased, named, read_at
from guardian.stores.firestore.database import StateDatabase, name_of, next_number
from guardian.stores.firestore.draft import Draft, Fields
from guardian.stores.firestore.mails import put_mails
from guardian.stores.firestore.queries import Query
from guardian.stores.firestore.stones import buried
from guardian.stores.firestore.watching import WATCH, unwatched
from guardian.stores.forgetting import message_without
from guardian.stores.packing import pack, unpack
from guardian.stores.state import Edition, SavedReport

PERIOD, SCHEDULE, REPORT = "guardian_period", "guardian_schedule", "guardian_report"
SAVED = ("id", "schedule", "start_us", "end_us", "created_us")
_PAGE = 10
"""How many periods are read at once if the newest one does not show how far a schedule has come."""
_Period = tuple[str, int, int]


class FirestoreLedger(StateDatabase):
    """The part of `StateStore` that knows which reports were made."""

    async def last_period_end(self, schedule: str, *, now: datetime | None = None) -> datetime | None:
        """See StateStore."""
        below: tuple[tuple[str, str, Any], ...] = ()
        many = 1
        while True:
            where = (("schedule", "==", schedule), *below)
            found = await self.find(Query(PERIOD, where, (("end_us", True),), many))
            for each in found:
                if now is None or not (each["doubted"] or _early(each, now)):
                    return moment(each["end_us"])
            if len(found) < many:
                return None
            below, many = (("end_us", "<", found[-1]["end_us"]),), _PAGE

    async def doubt_early(self, now: datetime, *, token: int | None = None) -> dict[str, int]:
        """See StateStore."""
        # No period is entered before it ends: where the end lies ahead, the entry does.
        late = Query(PERIOD, (("claimed_us", ">", micros(now + STEP)),))

        async def work(draft: Draft) -> dict[str, int]:
            found = dict(await draft.find(late))
            count: dict[str, int] = {}
            for name, each in sorted(found.items(), key=lambda pair: str(pair[1]["schedule"])):
                known = each["doubted"] or each["claimed_us"] > micros(now + DOUBT_KEPT)
                if not known and _early(each, now):
                    draft.put(PERIOD, name, {"doubted": True})
                    count[each["schedule"]] = count.get(each["schedule"], 0) + 1
            return count

        return await self.transact(work, token=token)

    async def edition(self, schedule: str, period_start: datetime, period_end: datetime, *, now: datetime) -> Edition:
        """See StateStore."""
        name = name_of(schedule, micros(period_start), micros(period_end))
        found = await self.read(lambda draft: draft.get(PERIOD, name))
        if found is None:
            return Edition()
        again = _again(found, now)
        return Edition(found["edition"] + 1, moment(found["claimed_us"])) if again else Edition(found["edition"])

    async def ledger_names(self) -> list[str]:
        """See StateStore."""
        return sorted(str(each["name"]) for each in await self.find(Query(SCHEDULE)))

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
        periods = [(schedule, micros(s), micros(e)) for s, e in [(period_start, period_end), *earlier]]
        packed, people = (None, set[str]()) if report is None else await off_loop(_kept, report, mails)
        made = micros(read_at(report, now))

        async def work(draft: Draft) -> bool:
            body, messages = packed, mails
            editions = await _entered(draft, periods, now)
            if not editions:
                return False
            if report is not None:
                if gone := await buried(draft, people, made):
                    # Somebody was erased while the report was being made.
                    body = pack(replaced(report, erased(gone)))
                    messages = [message_without(mail, gone) for mail in mails]
                await _saved_report(draft, schedule, periods, body or b"", micros(now))
            await _watched(draft, periods, None if report is None else len(messages), editions, micros(now))
            await put_mails(draft, messages, micros(now))
            return True

        return await self.transact(work, token=token)

    async def reports(self, *, limit: int = 50) -> list[SavedReport]:
        """See StateStore."""
        return [_saved(each) for each in await self.find(Query(REPORT, (), (("id", True),), limit, SAVED))]

    async def report(self, report_id: int) -> SavedReport | None:
        """See StateStore."""

        async def work(draft: Draft) -> SavedReport | None:
            fields = await draft.get(REPORT, str(report_id))
            return None if fields is None else _saved(fields, await off_loop(unpack, await draft.body(fields)))

        return await self.read(work)


def _kept(report: Mapping[str, Any], mails: Sequence[Outgoing]) -> tuple[bytes, set[str]]:
    """The report as it is stored, and whom it and the mails name."""
    return pack(report), people_of(report) | named(mails)


async def _entered(draft: Draft, periods: Sequence[_Period], now: datetime) -> int:
    """Enter the periods that are new or have to be made again. Returns the edition of the first period; 0 if it is
    already there, and then nothing is done."""
    names = [name_of(*period) for period in periods]
    known = await draft.get_all(PERIOD, names)
    if names[0] in known and not _again(known[names[0]], now):
        return 0
    for name, (schedule, start, end) in zip(names, periods, strict=True):
        before = known.get(name)
        if before is None or _again(before, now):
            edition = 1 if before is None else before["edition"] + 1
            fields = {"schedule": schedule, "start_us": start, "end_us": end, "claimed_us": micros(now)}
            draft.put(PERIOD, name, {**fields, "edition": edition, "doubted": False})
    first, schedule = (await draft.get_all(PERIOD, names[:1]))[names[0]], periods[0][0]
    if await draft.get(SCHEDULE, name_of(schedule)) is None:
        draft.put(SCHEDULE, name_of(schedule), {"name": schedule})
    return int(first["edition"])


async def _saved_report(draft: Draft, schedule: str, periods: Sequence[_Period], body: bytes, at_us: int) -> None:
    number = await next_number(draft, "reports", 1)
    await draft.get(REPORT, str(number))
    start, end = min(period[1] for period in periods), periods[0][2]
    fields = {"id": number, "schedule": schedule, "start_us": start, "end_us": end, "created_us": at_us}
    draft.put(REPORT, str(number), {**fields, **await draft.keep(body)})


async def _watched(draft: Draft, periods: Sequence[_Period], mails: int | None, edition: int, at_us: int) -> None:
    """Start watching the report of the first period, if one was made, and stop watching the others."""
    names = [name_of(*period) for period in periods]
    known = await draft.get_all(WATCH, names)
    for name in names if mails is None else names[1:]:
        if name in known:
            draft.delete(WATCH, name)
    if mails is not None:
        fields = known.get(names[0]) or unwatched(*periods[0])
        draft.put(WATCH, names[0], {**fields, "claimed_us": at_us, "mails": mails, "edition": edition})


def _again(period: Fields, now: datetime) -> bool:
    """Whether the report of a period is to be made again."""
    return bool(period["doubted"]) or was_ahead(moment(period["claimed_us"]), now)


def _early(period: Fields, now: datetime) -> bool:
    return made_early(moment(period["end_us"]), moment(period["claimed_us"]), now)


def _saved(fields: Fields, report: Mapping[str, Any] | None = None) -> SavedReport:
    start, end, created = (moment(fields[each]) for each in ("start_us", "end_us", "created_us"))
    return SavedReport(fields["id"], fields["schedule"], start, end, created, report or {})
