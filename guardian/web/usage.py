"""The endpoints under /api/usage: reports on the spot, health, retention, and the rights of one person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from guardian.application.erasing import erase_person
from guardian.application.noticing import LATELY
from guardian.application.root import Application
from guardian.application.upkeep import clean_up
from guardian.core.clock import was_ahead
from guardian.core.note_words import KINDS
from guardian.core.notes import gone_silent
from guardian.core.storage import RecorderHealth, RecorderNote, StorageError
from guardian.web.answers import (
    CleanedUp,
    Erased,
    GeneratedReport,
    Health,
    ProcessTotals,
    RecorderTotals,
    Report,
    UserExport,
)
from guardian.web.endpoint import Asked, Call, Endpoint, Refusal
from tracker.names import clean_name

HEARTBEAT_SECONDS = 120
"""A host app whose recorder was silent for longer is said to be degraded."""

DROPPED_SHARE = 0.001
"""A recorder that drops a larger part of its events is said to be degraded."""

LOST_FOR = timedelta(hours=1)
"""For so long a process that went silent with events queued is said to have lost them."""


def _as_recorded(name: str) -> str:
    return clean_name(name) or name


class Window(Asked):
    """The last `hours` hours."""

    hours: int = Field(2, ge=1, le=720, description="a whole number of hours from 1 to 720")


class Person(Asked):
    """One person, by their address or by an id that the tracker recorded."""

    email: Annotated[str, StringConstraints(strip_whitespace=True), AfterValidator(_as_recorded)] = Field(
        min_length=1, max_length=320, description="the person's mail address, or an id of theirs"
    )


async def usage_summary(call: Call) -> dict[str, Any]:
    """The report on the last hours."""
    return await call.app.usage.generate_report(call.asked.hours)


async def generate_report(call: Call) -> dict[str, Any]:
    """The report on the last hours, saved as usage_report.json in the reports directory."""
    report, path = await call.app.usage.generate_and_save_report(call.asked.hours)
    return {"saved_as": path.name, "report": report}


async def usage_health(call: Call) -> BaseModel:
    """Whether events arrive and Guardian's steps work. Names nobody and nothing."""
    if call.app.trouble is not None:
        return LOST
    try:
        call.app.state.check_file()
    except StorageError:
        return LOST
    now = call.app.clock()
    recorders = await call.app.repository.recorders(now)
    newest = await call.app.repository.newest_event(now)  # anybody may ask, often: nothing here may count all rows
    ahead = await call.app.repository.events_ahead(now)
    said = await call.app.repository.recorder_notes(now - LATELY)
    return judge_health(call.app, recorders, newest, now, said, ahead)


LOST = Health(
    status="degraded",
    reasons=["the database file is gone or was replaced by another one: see Guardian's log"],
    recorder=RecorderTotals(processes=0, accepted=0, stored=0, dropped=0, queued=0),
    processes=[],
    notes={},
    last_event_age_seconds=None,
    last_heartbeat_age_seconds=None,
)


def judge_health(
    app: Application,
    recorders: list[RecorderHealth],
    newest: datetime | None,
    now: datetime,
    said: list[RecorderNote],
    events_ahead: int = 0,
) -> Health:
    """Health from what the recorders and steps last said; `newest` is the time of the newest event.

    `events_ahead` is how many have a time that is still to come. These are no sign of life, nor are such heartbeats.
    """
    present = [each for each in recorders if not was_ahead(each.seen_at, now)]
    seen = max((each.seen_at for each in present), default=None)
    heartbeat = _age(seen, now)
    reasons = [f"the step {name} failed" for name, health in sorted(app.health.items()) if health.error is not None]
    if heartbeat is not None and heartbeat > HEARTBEAT_SECONDS:
        reasons.append(f"the host app's recorder has been silent for {heartbeat} s")
    if ahead := events_ahead + len(recorders) - len(present):
        reasons.append(f"{ahead:,} events and heartbeats are of the future: set the clock of the app's machine")
    live = [each for each in present if (now - each.seen_at).total_seconds() <= HEARTBEAT_SECONDS]
    if sum(each.dropped for each in live) > DROPPED_SHARE * sum(each.accepted for each in live):
        reasons.append("the host app's recorder drops events: see its log, and 'guardian check'")
    lost = sum(each.queued for each in gone_silent(recorders, now) if now - each.seen_at <= LOST_FOR)
    if lost:
        reasons.append(f"the host app's recorder went silent with {lost} events queued: stop the app by SIGTERM")
    kinds: dict[str, int] = {}
    for each in said:
        if each.kind in KINDS:  # public: no text of the database is
            kinds[each.kind] = kinds.get(each.kind, 0) + each.count
    accepted, stored, dropped = (
        sum(getattr(each, count) for each in recorders) for count in ("accepted", "stored", "dropped")
    )
    return Health(
        status="degraded" if reasons else "ok",
        reasons=reasons,
        recorder=RecorderTotals(
            processes=len(live),
            accepted=accepted,
            stored=stored,
            dropped=dropped,
            queued=accepted - stored - dropped,
        ),
        processes=[
            ProcessTotals(
                accepted=each.accepted,
                stored=each.stored,
                dropped=each.dropped,
                queued=each.queued,
                last_heartbeat_age_seconds=int(max(timedelta(), now - each.seen_at).total_seconds()),
            )
            for each in present
            if now - each.seen_at <= LATELY
        ],
        notes=dict(sorted(kinds.items())),
        last_event_age_seconds=_age(newest, now),
        last_heartbeat_age_seconds=heartbeat,
    )


def _age(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else max(0, int((now - moment).total_seconds()))


async def cleanup(call: Call) -> dict[str, Any]:
    """Delete now what is older than the retention of the settings, as happens by itself once a day."""
    done = await clean_up(call.app, call.app.clock())
    return {
        "events_deleted": done.events,
        "rows_deleted": done.rows,
        "events_before": done.events_before.isoformat(),
        "summaries_before": done.summaries_before.isoformat(),
        "mails_before": done.mails_before.isoformat(),
    }


async def export_user(call: Call) -> dict[str, Any]:
    """Everything stored about one person."""
    found = await call.app.repository.export_user(call.asked.email)
    if found is None:
        raise _unknown(call.asked.email)
    return found


async def erase_user(call: Call) -> dict[str, Any]:
    """Erase one person: from events, sessions and errors, from mails that name them and from saved reports.

    The answer is a receipt: what was removed where, and what remains by design.

    Totals stay true. The address cannot be found again; new requests of the same person are recorded anew.
    """
    erased = await erase_person(call.app, call.asked.email)
    if erased is None:
        raise _unknown(call.asked.email)
    return erased.as_json()


def _unknown(email: str) -> Refusal:
    return Refusal(404, f'email is "{email[:80]}": nobody of this name was seen, check the spelling')


_NOBODY = {404: "Nobody of this name was seen"}

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(method="GET", path="/api/usage/summary", run=usage_summary, asked=Window, answer=Report,
             large=True),
    Endpoint(
        method="POST", path="/api/usage/generate-report", run=generate_report, asked=Window, answer=GeneratedReport,
        large=True
    ),
    Endpoint(method="GET", path="/api/usage/health", run=usage_health, answer=Health, access="public"),
    Endpoint(method="POST", path="/api/usage/cleanup", run=cleanup, answer=CleanedUp),
    # A name may have slashes, such as the subject of a token: hence `path`.
    Endpoint(
        method="GET", path="/api/usage/users/{email:path}/export", run=export_user, asked=Person, answer=UserExport,
        large=True, refusals=_NOBODY,
    ),
    Endpoint(
        method="DELETE", path="/api/usage/users/{email:path}", run=erase_user, asked=Person, answer=Erased,
        refusals=_NOBODY,
    ),
)  # fmt: skip
