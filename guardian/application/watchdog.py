"""The watchdog: says elsewhere that a report which was due has not gone out, or that messages are not delivered (see
`outages`), and pings an address when a report has gone out.

Everything follows from the ledger, the outbox and guardian_watch, so a restart between any two steps changes nothing;
a ping is sent first and noted after, so a crash in between sends it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

import httpx2

from guardian.application.outages import tell_outages
from guardian.application.root import Application, NamedSchedule, StepHealth
from guardian.core.clock import LONGEST_PING_WAIT, is_over
from guardian.core.language import Language, language, marked
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.schedule import Period, Schedule
from guardian.core.secret_url import SecretUrl
from guardian.mail.channels.client import quiet
from guardian.mail.channels.message import ChannelMessage
from guardian.stores.watching import Watched, WatchStore, report_key

log = logging.getLogger("guardian.watchdog")

GRACE = timedelta(minutes=5)
"""A report that the watchdog sees wait, unmade or made, gets so long to go out before it is called late: after a start,
a machine's sleep or a step of its clock reports are caught up at once, and nothing is wrong with that."""


class Reason(NamedTuple):
    """Why a report has not gone out: part of a sentence, to be translated, and the numbers that fill it."""

    text: str
    values: Mapping[str, int] = MappingProxyType({})

    def said(self, lang: Language) -> str:
        """The reason in the reader's language."""
        return lang(self.text) % {name: lang.number(value) for name, value in self.values.items()}


PING_SECONDS = 10.0
PING_TRIES = 5
"""A ping that failed so often is given up; the waits between are 1, 2, 4 and 8 minutes."""


async def watch_step(app: Application, now: datetime, token: int | None) -> None:
    """Tell of every outage and of every report that is late, once; settle and ping what has gone out.

    Raises StorageError or LeaseLost.
    """
    store = app.stores.watch
    made = app.health.get("reports")  # before the ledger is read: a report that is made meanwhile is there then
    if app.watched_at is None or not timedelta(0) <= now - app.watched_at <= GRACE:
        app.watching_since = now  # the first look, or the first after the machine slept or its clock was set
    app.watched_at = now
    undelivered = await tell_outages(app, now, token)
    known = await store.watched()
    unmade: dict[str, list[Period]] = {}
    for named in app.schedules:
        done = await app.state.last_period_end(named.name, now=now)
        unmade[named.name] = named.schedule.due_after(done, now)
    oldest = [(name, periods[0], None) for name, periods in unmade.items() if periods]
    waited = app.waits.look([*oldest, *(_made(report) for report in known if report.pending)], now)
    for named in app.schedules:
        reports = [report for report in known if report.schedule == named.name]
        if periods := unmade[named.name]:
            overdue = _overdue_periods(app, named, periods, reports, now)
            in_vain = waited[named.name, periods[0], None] >= GRACE
            if overdue and (in_vain or _was_tried(made, named.schedule.fire(overdue[0]) + _patience(app))):
                await _tell(app, await _unmade(app, named, overdue, now), now, token)
        for report in reports:
            had_time = not report.pending or waited[_made(report)] >= GRACE
            if had_time and _is_stuck(app, named, report, undelivered, now):
                await _tell(app, _stuck(named, report), now, token)
    await _settle(app, known, store, now, token)


def _made(report: Watched) -> tuple[str, Period, datetime | None]:
    return report.schedule, report.period, report.claimed_at


@dataclass(frozen=True, slots=True)
class _Late:
    """Reports of a schedule that have not gone out: `why`, whose mails are `stuck`, and the `edition` of the last."""

    named: NamedSchedule
    periods: Sequence[Period]
    why: Reason
    stuck: frozenset[str]
    edition: int


def _patience(app: Application) -> timedelta:
    return timedelta(minutes=app.settings.watchdog.overdue_minutes)


def _overdue_periods(
    app: Application, named: NamedSchedule, unmade: Sequence[Period], reports: Sequence[Watched], now: datetime
) -> list[Period]:
    """Those that should have gone out by now, and of which nobody was told."""
    told = {report.period for report in reports if report.told}
    return [p for p in unmade if named.schedule.fire(p) <= now - _patience(app) and p not in told]


def _was_tried(made: StepHealth | None, since: datetime) -> bool:
    """Whether the step that makes reports, of which `made` is the last run, has begun since then."""
    return made is not None and (made.began_at or made.ended_at) >= since


async def _unmade(app: Application, named: NamedSchedule, periods: Sequence[Period], now: datetime) -> _Late:
    why = Reason(marked("the report could not be made (see the log)"))
    edition = await app.state.edition(named.name, *periods[-1], now=now)
    return _Late(named, periods, why, frozenset(), edition.number)


def _is_stuck(app: Application, named: NamedSchedule, report: Watched, undelivered: Set[str], now: datetime) -> bool:
    """Whether a report is late whose mails wait or were given up. False once that was told, of it or of its
    recipients."""
    if report.claimed_at is None or not report.pending + report.dead or report.told:
        return False
    return now - named.schedule.fire(report.period) >= _patience(app) and not report.stuck <= undelivered


def _stuck(named: NamedSchedule, report: Watched) -> _Late:
    why = Reason(
        marked("of %(mails)s mails, %(waiting)s are waiting and %(dead)s cannot be delivered"),
        {"mails": report.mails, "waiting": report.pending, "dead": report.dead},
    )
    return _Late(named, [report.period], why, report.stuck, report.edition)


async def _tell(app: Application, late: _Late, now: datetime, token: int | None) -> None:
    messages = await off_loop(_compose, app, late)
    named, periods = late.named, late.periods
    if await app.stores.watch.tell(named.name, periods, messages, now=now, token=token):
        start, end = (edge.isoformat(timespec="minutes") for edge in (periods[0].start, periods[-1].end))
        due = named.schedule.fire(periods[0]).isoformat(timespec="minutes")
        log.error(
            "Report %r for %s to %s was due at %s and has not gone out: %s",
            *(named.name, start, end, due, late.why.said(language())),
        )


def _compose(app: Application, late: _Late) -> list[Outgoing]:
    """The messages to the channels, or without one to the admins whose own mail is not stuck."""
    named, periods, settings = late.named, late.periods, app.settings
    key = report_key(named.name, periods[-1], late.edition).replace("report/", "watchdog/", 1)
    channels = settings.channels if settings.watchdog.channels is None else settings.watchdog.channels
    if channels:
        title, text = words(named.name, named.schedule, periods, late.why, app.email.language)
        body = ChannelMessage(title, text, "warning", settings.links_url, thread=key).packed()
        return [Outgoing(f"{key}/{name}", name, body, "alert", name, "warning", title) for name in channels]
    admins = [to for to in dict.fromkeys(settings.admins) if to not in late.stuck]
    return [
        app.email.compose_warning(
            to, *words(named.name, named.schedule, periods, late.why, app.email.language_of(to)), key=f"{key}/{to}"
        )
        for to in admins
    ]


def words(name: str, schedule: Schedule, periods: Sequence[Period], why: Reason, lang: Language) -> tuple[str, str]:
    """What is said of these periods of a schedule, with the reason: (title, text)."""
    zone = schedule.zone
    title = lang("The report “%(name)s” has not gone out", name=name)
    text = lang(
        "It covers %(span)s and was due on %(at)s (%(zone)s). Why: %(why)s. 'guardian outbox list' shows mails that "
        "are waiting or cannot be delivered, the log and 'guardian check' what else is wrong.",
        span=lang.span(periods[0].start, periods[-1].end, zone), at=lang.moment(schedule.fire(periods[0]), zone),
        zone=zone.key, why=why.said(lang),
    )  # fmt: skip
    return title, text


async def _settle(
    app: Application, reports: Sequence[Watched], store: WatchStore, now: datetime, token: int | None
) -> None:
    """Ping for what has gone out to everybody, and forget it; forget what will never go out."""
    urls = {named.name: named.settings.ping_url or app.settings.watchdog.ping_url for named in app.schedules}
    over = [r for r in reports if r.claimed_at is not None and not r.pending + r.dead]
    due = [r for r in over if r.sent == r.mails and urls.get(r.schedule) and _may_ping(r, now)]
    answers: list[str | None] = []
    if due:
        # Reading the machine's certificates takes 70 ms.
        async with await off_loop(httpx2.AsyncClient, follow_redirects=False) as client:
            answers = await asyncio.gather(*(_ping(client, url) for r in due if (url := urls[r.schedule]) is not None))
    for report, answer in zip(due, answers, strict=True):
        if answer is None:
            await store.settle(report, token=token)
        elif report.tries + 1 >= PING_TRIES:
            log.error("The ping for report %r is given up after %d tries: %s", report.schedule, PING_TRIES, answer)
            await store.settle(report, token=token)
        else:
            log.warning("The ping for report %r failed and is tried again: %s", report.schedule, answer)
            wait = timedelta(minutes=2**report.tries)
            await store.ping_failed(report, next_at=now + wait, token=token)
    for report in over:
        if report.sent != report.mails or not urls.get(report.schedule):
            await store.settle(report, token=token)


def _may_ping(report: Watched, now: datetime) -> bool:
    return is_over(report.next_at, now, LONGEST_PING_WAIT)


async def _ping(client: httpx2.AsyncClient, url: SecretUrl) -> str | None:
    """None for an answer of class 2xx, else what was wrong, without the address: it is a secret of its kind."""
    try:
        with quiet():
            async with (
                asyncio.timeout(PING_SECONDS),
                client.stream("GET", url.reveal(), timeout=PING_SECONDS) as answer,
            ):
                return None if answer.is_success else f"the answer was {answer.status_code}"
    except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError, OSError) as error:
        return f"no answer ({type(error).__name__})"
