"""The endpoints under /api/guardian: reports by mail, saved reports, and the status."""

from __future__ import annotations

import uuid
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from pydantic import Field

from guardian.application.reporting import send_report_now, send_scheduled_report
from guardian.application.root import Application
from guardian.application.status import application_status
from guardian.application.tick import tick
from guardian.stores.state import SavedReport
from guardian.web.answers import ReportList, SavedReportAnswer, ScheduledReport, SentReport, TickAnswer
from guardian.web.endpoint import Asked, Call, Endpoint, Refusal
from guardian.web.state_answers import Status
from guardian.web.usage import Window

SENDING = "send-report"
SENDING_TTL = timedelta(minutes=10)
"""The length of the lease for sending: how long a process that died while sending blocks others. It is released
afterwards."""


class To(Asked):
    """Who gets the report."""

    recipients: list[str] | None = Field(
        None, min_length=1, max_length=100, description="a list of addresses that the settings name, or leave it out"
    )


class Which(Asked):
    """One of the schedules of the settings."""

    schedule: str | None = Field(
        None, max_length=200, description="the name or the text of a schedule of the settings, or leave it out"
    )


class Within(Asked):
    """How long it may take."""

    seconds: float = Field(50, ge=1, le=600, description="seconds from 1 to 600")


class Newest(Asked):
    """How many."""

    limit: int = Field(50, ge=1, le=500, description="a whole number from 1 to 500")


class ReportId(Asked):
    """One saved report."""

    id: int = Field(ge=1, le=2**63 - 1, description="the number of a report, as /api/guardian/reports lists them")


async def send_report(call: Call) -> dict[str, Any]:
    """Mail the report on the last hours, now, to the admins or to some of those whom the settings name.

    One at a time, in all processes together: a second call while one runs is refused with 409. A mail that cannot be
    sent now waits in the outbox and is tried again.
    """
    app = call.app
    recipients = _known(app, call.body.recipients)
    caller = uuid.uuid4().hex
    if await app.state.acquire_lease(SENDING, caller, app.clock(), SENDING_TTL) is None:
        raise Refusal(409, "a report is being sent just now: wait until that is done", {"Retry-After": "10"})
    try:
        result = await send_report_now(app, hours=call.asked.hours, recipients=recipients)
    finally:
        await app.state.release_lease(SENDING, caller)
    start, end = (edge.isoformat() for edge in result.covers)
    return {"period_start": start, "period_end": end, "recipients": result.fates, "errors": result.errors}


def _known(app: Application, wanted: list[str] | None) -> list[str]:
    """The recipients, admins where None. Raises Refusal for an address that is not in the settings: no open relay."""
    settings = app.settings
    if wanted is None:
        if not settings.admins:
            raise Refusal(422, "admins is empty: set it in the configuration, or name recipients")
        return list(settings.admins)
    known = {*settings.admins, *(to for named in app.schedules for to in named.recipients)}
    for address in wanted:
        if address not in known:
            raise Refusal(422, f'recipients has "{address[:80]}": give addresses that admins or schedules has')
    return wanted


async def tick_now(call: Call) -> dict[str, Any]:
    """Do one round of what the daemon does: seal, judge the rules, make the reports that are due, send, clean up.

    For a scheduler outside, each minute, where no process runs all the time. Twice at once does no harm, and a round
    that was missed is caught up. What does not end within `seconds` is left to the next round.
    """
    return asdict(await tick(call.app, call.asked.seconds))


async def scheduled_report(call: Call) -> dict[str, Any]:
    """Mail the report on the newest complete period of a schedule, the first one where none is named.

    For a scheduler outside. The same period twice is sent once, whoever sends it: `sent` says whether it was now.
    """
    try:
        result = await send_scheduled_report(call.app, now=call.app.clock(), schedule=call.asked.schedule)
    except ValueError as error:  # no such schedule, or none at all
        raise Refusal(422, str(error)) from None
    message = "this period was reported before: nothing is sent"
    if result.claimed:
        message = {0: "nobody gets this report", 1: "1 mail is on its way"}.get(
            len(result.recipients), f"{len(result.recipients)} mails are on their way"
        )
    return {
        "schedule": result.schedule,
        "period_start": result.covers.start.isoformat(),
        "period_end": result.covers.end.isoformat(),
        "sent": result.claimed,
        "recipients": len(result.recipients),
        "message": message,
    }


async def status(call: Call) -> dict[str, Any]:
    """The state of schedules, outbox, transports, steps, recorders and storage."""
    return await application_status(call.app)


async def list_reports(call: Call) -> dict[str, Any]:
    """The newest saved reports, without their bodies."""
    return {"reports": [_head(saved) for saved in await call.app.state.reports(limit=call.asked.limit)]}


async def read_report(call: Call) -> dict[str, Any]:
    """One saved report."""
    saved = await call.app.state.report(call.asked.id)
    if saved is None:
        raise Refusal(404, f"id is {call.asked.id}: there is no such report, /api/guardian/reports lists them")
    return {**_head(saved), "report": dict(saved.report)}


def _head(saved: SavedReport) -> dict[str, Any]:
    edges = ("period_start", "period_end", "created_at")
    return {"id": saved.id, "schedule": saved.schedule, **{edge: getattr(saved, edge).isoformat() for edge in edges}}


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        method="POST", path="/api/guardian/send-report", run=send_report, asked=Window, body=To, answer=SentReport,
        refusals={409: "A report is being sent just now"},
    ),
    Endpoint(
        method="POST", path="/api/guardian/scheduled-report", run=scheduled_report, asked=Which, access="scheduler",
        answer=ScheduledReport,
    ),
    Endpoint(
        method="POST", path="/api/guardian/tick", run=tick_now, asked=Within, access="scheduler", answer=TickAnswer
    ),
    Endpoint(method="GET", path="/api/guardian/status", run=status, answer=Status),
    Endpoint(method="GET", path="/api/guardian/reports", run=list_reports, asked=Newest, answer=ReportList),
    Endpoint(
        method="GET", path="/api/guardian/reports/{id}", run=read_report, asked=ReportId, answer=SavedReportAnswer,
        large=True, refusals={404: "There is no such report"},
    ),
)  # fmt: skip
