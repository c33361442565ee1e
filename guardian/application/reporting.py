"""Reports that go out: what is due by the schedules, or now because somebody asked."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from guardian.application.delivering import deliver_now
from guardian.application.report_mails import compose_reports, says_nothing
from guardian.application.root import Application, NamedSchedule
from guardian.application.saving import report_with_file
from guardian.application.settling import SETTLE, settled, until_settled
from guardian.core.mail_address import check_address
from guardian.core.notes import Note, as_json
from guardian.core.off_loop import let_go, no_collection, off_loop
from guardian.core.schedule import Period, parse_schedule
from guardian.core.storage import WindowGone
from guardian.stores.state import LeaseLost
from guardian.stores.watching import report_key

log = logging.getLogger("guardian.reporting")

_TIMES = ("period_start", "period_end", "generated_at")
BUNDLE_ABOVE = 3
"""More missed reports than this go out as one that covers them all."""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The window of a report that was mailed on demand, and the fate of each recipient's copy: "sent", "pending" (tried
    again) or "dead".

    `errors` says why, for each recipient whose copy is not sent.
    """

    covers: Period
    fates: dict[str, str]
    errors: dict[str, str]


@dataclass(frozen=True, slots=True)
class ScheduledResult:
    """What became of one period.

    `claimed` is False where it had been reported before; nothing was sent then. `recipients` are those whose mail was
    put into the outbox now; for a bundle `covers` includes the older periods.
    """

    schedule: str
    covers: Period
    claimed: bool
    recipients: tuple[str, ...] = ()


async def send_report_now(
    app: Application,
    *,
    hours: int | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    recipients: Sequence[str] | None = None,
    once: str | None = None,
) -> SendResult:
    """Report on the window, save `usage_report.json`, and mail it at once; what cannot be sent now waits in the outbox.

    `recipients` None means the admins. Of calls with the same `once` the first one sends; None is like no other.

    Raises ValueError for a bad window or address, or where nobody would get it, StorageError where the database does
    not answer.
    """
    to = tuple(dict.fromkeys(app.settings.admins if recipients is None else map(check_address, recipients)))
    if not to:
        raise ValueError("nobody would get the report: set admins in the configuration, or name a recipient")
    with no_collection():
        held = [await report_with_file(app, hours, start_time=start, end_time=end)]
        mails = await compose_reports(app, held[0], f"report/on-demand/{once or uuid.uuid4().hex}", to, None)
        first, last, made = (datetime.fromisoformat(held[0][key]) for key in _TIMES)
        await off_loop(let_go, held)  # see no_collection
    await app.state.enqueue(mails, now=app.clock(), since=made)
    own = {mail.key for mail in mails}
    while True:
        counts = await deliver_now(app, "mail")
        items = [item for item in await app.state.outbox(limit=len(own) + 100) if item.message.key in own]
        if not counts.tried or all(item.status != "pending" for item in items):
            break
    fates = {item.message.recipient: item.status for item in items}
    errors = {i.message.recipient: i.last_error or "waits" for i in items if i.status != "sent"}
    return SendResult(Period(first, last), fates, errors)


async def send_due_reports(app: Application, *, now: datetime, token: int | None = None) -> list[ScheduledResult]:
    """Put every report that is due into the outbox, with its ledger entry, in one transaction each.

    A schedule seen for the first time only begins its ledger. After downtime each missed period is reported once,
    oldest first; more than BUNDLE_ABOVE of them in one report that covers the whole span. A schedule that fails
    does not stop the others: its error is raised when they are done. Raises LeaseLost at once.
    """
    await _doubt_early(app, now, token)
    results, errors = [], []
    for named in app.schedules:
        try:
            results += await _send_due(app, named, now, token)
        except LeaseLost:
            raise
        except Exception as error:  # one scheduled step
            errors.append(error)
    if errors:
        raise errors[0]
    return results


async def _doubt_early(app: Application, now: datetime, token: int | None) -> None:
    """Note which reports a clock that was ahead made before their time, and say so."""
    for name, number in (await app.state.doubt_early(now, token=token)).items():
        log.warning("The clock was ahead: %d reports of %r came too early, and come again in their time", number, name)


async def _send_due(app: Application, named: NamedSchedule, now: datetime, token: int | None) -> list[ScheduledResult]:
    done = await app.state.last_period_end(named.name, now=now)
    if done is None:
        begin = await _begin(app, named, now)
        await app.state.claim_period(named.name, begin, begin, report=None, mails=(), now=now, token=token)
        return []
    due = named.schedule.due_after(done, now - SETTLE)
    if due:  # the last events of a period may still be in the host's processes
        due = named.schedule.due_after(done, await asyncio.to_thread(settled, app.stores.history, now))
    return await _send_periods(app, named, due, now, token)


async def _send_periods(
    app: Application, named: NamedSchedule, due: Sequence[Period], now: datetime, token: int | None
) -> list[ScheduledResult]:
    """Report on each period, oldest first; on more than BUNDLE_ABOVE of them in one report that covers all."""
    with no_collection():
        if len(due) > BUNDLE_ABOVE:
            log.info("%d reports of %r were missed: one covers them all", len(due), named.name)
            return [await _send_period(app, named, due[-1], due[:-1], now, token)]
        return [await _send_period(app, named, period, (), now, token) for period in due]


async def _begin(app: Application, named: NamedSchedule, now: datetime) -> datetime:
    """Where the ledger of a schedule that is seen for the first time begins: at what was due last.

    Or where the ledger stands of one that the settings no longer have and whose text meant the same periods, so that an
    edited time neither doubles a report nor leaves one out.
    """
    last, ends = named.schedule.last_due(now), []
    if named.settings.name is None:
        for name in set(await app.state.ledger_names()) - {each.name for each in app.schedules}:
            try:
                gone = parse_schedule(name, named.schedule.zone.key)
            except ValueError:  # a name that somebody gave
                continue
            end = await app.state.last_period_end(name, now=now)
            if end is not None and end >= last.start and gone.same_periods(named.schedule, now):
                ends.append(end)
    return max(ends, default=last.end)


async def send_scheduled_report(app: Application, *, now: datetime, schedule: str | None = None) -> ScheduledResult:
    """Report on the newest complete period, for a scheduler outside; the same period twice is sent once.

    Periods that it missed since the last report are caught up first, as the daemon does; the result is of the newest.
    `schedule` is a name or a text of the settings; None means the first one. Raises ValueError where there is none.
    """
    named = _named(app, schedule)
    await _doubt_early(app, now, None)
    period = named.schedule.last_complete(now)
    # Bells ring on the second: the last events of the period may still be in the host's buffer.
    await until_settled(app.stores.history, period.end, now)
    done = await app.state.last_period_end(named.name, now=now)
    missed = [each for each in named.schedule.due_after(done, now) if each.end < period.end]
    *_, result = await _send_periods(app, named, [*missed, period], now, None)
    while result.claimed and (await deliver_now(app, "mail")).tried:
        pass
    return result


def _named(app: Application, wanted: str | None) -> NamedSchedule:
    for named in app.schedules:
        if wanted in (None, named.name, str(named.schedule)):
            return named
    known = ", ".join(repr(named.name) for named in app.schedules)
    if not known:
        raise ValueError("no schedule is configured: add one to schedules, such as 'daily at 08:00'")
    raise ValueError(f"there is no schedule {wanted!r}: the configuration has {known}")


async def _send_period(
    app: Application,
    named: NamedSchedule,
    period: Period,
    earlier: Sequence[Period],
    now: datetime,
    token: int | None,
) -> ScheduledResult:
    """Report on `earlier` and `period` together, and claim them all; the mails have the key of `period`.

    What retention has deleted meanwhile, oldest first, is claimed without a report, and said in the log.
    """
    wanted, left_out = [*earlier, period], []
    while wanted:
        covers = Period(wanted[0].start, period.end)
        try:
            held = [await _generate(app, named, covers)]
            break
        except WindowGone as gone_by:  # can never be made any more, and must not block later ones
            oldest, why = wanted.pop(0), gone_by
            if await app.state.claim_period(named.name, *oldest, report=None, mails=(), now=now, token=token):
                left_out.append(oldest)
    if left_out:
        span = " to ".join(edge.isoformat(timespec="minutes") for edge in (left_out[0].start, left_out[-1].end))
        log.error("Report %r for %s is left out: %s", named.name, span, why)
    if not wanted:
        return ScheduledResult(named.name, covers, period in left_out)
    gone = await app.state.unsubscribed(named.name)
    recipients = tuple(to for to in dict.fromkeys(named.recipients) if to not in gone)
    if named.settings.skip_empty and await says_nothing(app, held[0]):
        recipients = ()
    edition = await app.state.edition(named.name, *period, now=now)
    if edition.replaces is not None:
        held[0]["notes"] = [as_json(_replacing(edition.replaces, named.schedule.zone)), *held[0]["notes"]]
    key = report_key(named.name, period, edition.number)
    mails = await compose_reports(app, held[0], key, recipients, named.schedule.upcoming(now), named=named)
    claimed = await app.state.claim_period(
        named.name, period.start, period.end, report=held[0], mails=mails, now=now, token=token, earlier=wanted[:-1]
    )
    await off_loop(let_go, held)  # see no_collection
    return ScheduledResult(named.name, covers, claimed, recipients if claimed else ())


def _replacing(at: datetime, zone: ZoneInfo) -> Note:
    """That a report takes the place of the one which was made at that time, by the clock of then."""
    return Note("replaces", 1, f"{at.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}")


async def _generate(app: Application, named: NamedSchedule, covers: Period) -> dict[str, Any]:
    """The report of a schedule; one that counts the whole app becomes `usage_report.json` too."""
    zone, features = named.schedule.zone, named.settings.features
    if features:
        return await app.usage.generate_report(
            start_time=covers.start, end_time=covers.end, zone=zone, features=features
        )
    return await report_with_file(app, start_time=covers.start, end_time=covers.end, zone=zone)
