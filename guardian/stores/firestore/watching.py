"""`WatchStore` on Firestore: a document for each report that `claim_period` recorded, and for each outage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period
from guardian.core.time import micros, moment
from guardian.stores.firestore.database import StateDatabase, name_of
from guardian.stores.firestore.draft import Draft, Fields
from guardian.stores.firestore.mails import LIGHT, OUTBOX, put_mails
from guardian.stores.firestore.queries import Query
from guardian.stores.watching import TELLING, Outage, Undelivered, Watched, report_key

WATCH, OUTAGE = "guardian_watch", "guardian_outage"
_Pair = tuple[str, str]


def unwatched(schedule: str, start_us: int, end_us: int) -> Fields:
    """The document of a report about which nothing is known yet."""
    fields: Fields = {"schedule": schedule, "start_us": start_us, "end_us": end_us, "claimed_us": None}
    return {**fields, "mails": 0, "told_us": None, "tries": 0, "next_us": 0, "edition": 1}


class FirestoreWatchStore:
    """`WatchStore` in the database of the outbox."""

    def __init__(self, state: StateDatabase) -> None:
        self._state = state

    async def watched(self) -> list[Watched]:
        """See WatchStore."""

        async def work(draft: Draft) -> list[Watched]:
            found = [fields for _, fields in await draft.find(Query(WATCH))]
            found.sort(key=lambda each: (each["end_us"], each["start_us"], each["schedule"]))
            return [await _watched(draft, each) for each in found]

        return await self._state.read(work)

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
        rows = [(schedule, micros(period.start), micros(period.end)) for period in periods]

        async def work(draft: Draft) -> bool:
            known = await draft.get_all(WATCH, [name_of(*row) for row in rows])
            new = [row for row in rows if known.get(name_of(*row), {}).get("told_us") is None]
            for row in new:
                fields = known.get(name_of(*row)) or unwatched(*row)
                draft.put(WATCH, name_of(*row), {**fields, "told_us": micros(now)})
            if new:
                await put_mails(draft, messages, micros(now))
            return bool(new)

        return await self._state.transact(work, token=token)

    async def settle(self, report: Watched, *, token: int | None) -> None:
        """See WatchStore."""

        async def work(draft: Draft) -> None:
            if await draft.get(WATCH, _name(report)) is not None:
                draft.delete(WATCH, _name(report))

        await self._state.transact(work, token=token)

    async def ping_failed(self, report: Watched, *, next_at: datetime, token: int | None) -> None:
        """See WatchStore."""

        async def work(draft: Draft) -> None:
            known = await draft.get(WATCH, _name(report))
            if known is not None:
                draft.put(WATCH, _name(report), {"tries": known["tries"] + 1, "next_us": micros(next_at)})

        await self._state.transact(work, token=token)

    async def undelivered(self, *, before: datetime, tries: int) -> list[Undelivered]:
        """See WatchStore."""

        async def work(draft: Draft) -> list[Undelivered]:
            return await _undelivered(draft, micros(before), tries)

        return await self._state.read(work)

    async def note_outages(
        self,
        noted: Sequence[tuple[Undelivered, Outage | None]],
        messages: Sequence[Outgoing],
        *,
        now: datetime,
        token: int | None,
    ) -> None:
        """See WatchStore."""

        async def work(draft: Draft) -> None:
            names = [name_of(each.channel, each.recipient) for each, _ in noted]
            known = await draft.get_all(OUTAGE, names)
            for name, (each, outage) in zip(names, noted, strict=True):
                upto = max(each.newest_dead, known.get(name, {}).get("dead_id", 0))
                if outage is None and not upto:
                    draft.delete(OUTAGE, name)
                    continue
                fields: Fields = {"channel": each.channel, "recipient": each.recipient, "dead_id": upto}
                told: list[Fields] = [{"channel": c, "recipient": r} for c, r in outage.audience] if outage else []
                name_us = (outage.name, micros(outage.since)) if outage else (None, None)
                draft.put(OUTAGE, name, {**fields, "name": name_us[0], "since_us": name_us[1], "audience": told})
            await put_mails(draft, messages, micros(now))

        await self._state.transact(work, token=token)

    async def oldest_unsent(self) -> datetime | None:
        """See WatchStore."""
        query = Query(OUTBOX, (("status", "==", "pending"),), (("created_us", False),), 1, ("created_us",))
        found = await self._state.find(query)
        return moment(found[0]["created_us"]) if found else None


def _name(report: Watched) -> str:
    return name_of(report.schedule, micros(report.period.start), micros(report.period.end))


async def _watched(draft: Draft, fields: Fields) -> Watched:
    period = Period(moment(fields["start_us"]), moment(fields["end_us"]))
    prefix = report_key(fields["schedule"], period, fields["edition"])
    mine = (("key", ">=", f"{prefix}/"), ("key", "<", f"{prefix}0"))  # "0" sorts right after "/"
    mails = [each for _, each in await draft.find(Query(OUTBOX, mine, fields=("status", "recipient", "key")))]
    fates = [each["status"] for each in mails]
    return Watched(
        schedule=fields["schedule"],
        period=period,
        claimed_at=None if fields["claimed_us"] is None else moment(fields["claimed_us"]),
        mails=fields["mails"],
        told=fields["told_us"] is not None,
        tries=fields["tries"],
        next_at=moment(fields["next_us"]),
        sent=fates.count("sent"),
        pending=fates.count("pending"),
        dead=fates.count("dead"),
        stuck=frozenset(each["recipient"] for each in mails if each["status"] in ("pending", "dead")),
        edition=fields["edition"],
    )


async def _undelivered(draft: Draft, before_us: int, tries: int) -> list[Undelivered]:
    by_pair: dict[_Pair, list[Fields]] = {}
    for _, each in await draft.find(Query(OUTBOX, (("status", "in", ["pending", "dead"]),), fields=LIGHT)):
        if not each["key"].startswith(TELLING):
            by_pair.setdefault((each["channel"], each["recipient"]), []).append(each)
    noted = {(each["channel"], each["recipient"]): each for _, each in await draft.find(Query(OUTAGE))}
    found = []
    for pair in sorted({*by_pair, *noted}):
        one = await _one_undelivered(draft, pair, by_pair.get(pair, ()), noted.get(pair, {}), before_us, tries)
        found += [] if one is None else [one]
    return found


async def _one_undelivered(
    draft: Draft, pair: _Pair, mine: Iterable[Fields], noted: Fields, before_us: int, tries: int
) -> Undelivered | None:
    pending = [each for each in mine if each["status"] == "pending"]
    late = [each for each in pending if each["attempts"] >= tries or each["created_us"] <= before_us]
    lost = [each for each in mine if each["status"] == "dead"]
    outage = _outage(noted)
    if not late and not lost and outage is None:
        return None
    sent = await _last_sent(draft, ("channel", "==", pair[0]), ("recipient", "==", pair[1]))
    new = {each["id"]: each for each in lost if each["id"] > noted.get("dead_id", 0)}
    stands = {each["id"]: each for each in lost if sent is None or each["next_us"] > sent}
    told = [*late, *{**new, **stands}.values()]
    if not told and outage is None:
        return None
    tried = [each for each in (pending if late else lost) if each["last_error"] is not None]
    tried.sort(key=lambda each: (-each["attempts"], -each["id"]))
    anybody = await _last_sent(draft, ("channel", "==", pair[0]))
    since = min((each["created_us"] for each in told), default=None)
    return Undelivered(
        channel=pair[0],
        recipient=pair[1],
        waiting=len(late),
        dead=len(stands),
        new_dead=len(new),
        newest_dead=max({**new, **stands}, default=0),
        since=None if since is None else moment(since),
        critical=any(each["severity"] == "critical" for each in told),
        error=tried[0]["last_error"] if tried else "",
        last_sent=None if sent is None else moment(sent),
        channel_sent=None if anybody is None else moment(anybody),
        outage=outage,
    )


async def _last_sent(draft: Draft, *to: tuple[str, str, Any]) -> int | None:
    where = (("status", "==", "sent"), *to)
    found = await draft.find(Query(OUTBOX, where, (("sent_us", True),), 1, ("sent_us",)))
    return int(found[0][1]["sent_us"]) if found else None


def _outage(noted: Fields) -> Outage | None:
    if noted.get("name") is None:
        return None
    audience = tuple((each["channel"], each["recipient"]) for each in noted["audience"])
    return Outage(noted["name"], moment(noted["since_us"]), audience)
