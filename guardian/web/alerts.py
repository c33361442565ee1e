"""The endpoints under /api/guardian/alerts: what fires, and what is done about it."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from guardian.alerting.actions import Action
from guardian.alerting.incidents import Incident
from guardian.application.judging.causes import cause_of, cause_values, whom_values
from guardian.application.judging.incident_actions import act, incident_values
from guardian.core.off_loop import off_loop
from guardian.web.endpoint import Asked, Call, Endpoint, Refusal


class Which(Asked):
    """Which incidents are listed."""

    open: bool = Field(False, description="true for those only that are not over, or false")
    limit: int = Field(100, ge=1, le=1000, description="a whole number from 1 to 1000")


class One(Asked):
    """One incident."""

    id: str = Field(min_length=1, max_length=64, description="the id of an incident")


class Silence(Asked):
    """How long nothing is to be heard of an incident."""

    until: Literal["1h", "8h", "morning"] = Field("1h", description='"1h", "8h" or "morning"')


class Alert(BaseModel):
    """An incident; times are ISO 8601 in UTC, null where there is none."""

    id: str
    title: str
    rule: str
    subject: str
    severity: Literal["info", "warning", "critical"]
    status: Literal["pending", "open", "acknowledged", "resolved"]
    end: Literal["resolved", "closed", "removed", "unwatched"] | None
    flapping: bool
    silenced: bool
    acknowledged_by: str | None
    value: float | None
    peak: float | None
    users: int
    since: str
    again_at: str | None
    until: str | None
    lasted_seconds: int | None
    opened_at: str | None
    last_good_at: str | None
    resolved_at: str | None
    silenced_until: str | None
    fixed_at: str | None
    told_at: str | None


class Cause(BaseModel):
    """What tells its requests from others: facts, and `lines` that say them in English."""

    lines: list[str]
    found: list[dict[str, Any]]
    even: list[str]
    error: dict[str, Any] | None
    days_before: int | None
    released: list[dict[str, str]]


class Hit(BaseModel):
    """One person who was hit: how often, when first and last, where last, and how it went for them since."""

    name: str
    times: int
    first_at: str
    last_at: str
    endpoint: str
    feature: str
    since: Literal["succeeded", "failed_again", "not_back"]


class Whom(BaseModel):
    """Whom it hit. Erased people count in `hit` and are not named, as the failures of anonymous requests.
    `until` is up to when requests were looked at."""

    people: list[Hit]
    hit: int
    succeeded: int
    failed_again: int
    not_back: int
    erased: int
    anonymous_failures: int
    until: str


class WithCause(Alert):
    """An incident, its cause, null where nothing can be said, and whom it hit, null where nobody was."""

    cause: Cause | None
    whom: Whom | None


class Alerts(BaseModel):
    """Incidents, the newest first."""

    alerts: list[Alert]


async def list_alerts(call: Call) -> dict[str, Any]:
    """The incidents that opened, the newest first."""
    found = await call.app.stores.alerts.incidents(open_only=call.asked.open, limit=call.asked.limit)
    return {"alerts": await off_loop(lambda: [incident_values(call.app, incident) for incident in found])}


async def show_alert(call: Call) -> dict[str, Any]:
    """One incident, with its cause and whom it hit, as far as the requests that are still there tell it."""
    incident = await _known(call)
    why = await cause_of(call.app, incident)
    return {**incident_values(call.app, incident), "cause": cause_values(why), "whom": whom_values(why.whom)}


async def acknowledge(call: Call) -> dict[str, Any]:
    """Acknowledge an incident: no more reminders, but you are told when it is over."""
    return await _done(call, "acknowledge")


async def silence(call: Call) -> dict[str, Any]:
    """Hear nothing about an incident for a while. If it is still firing then, you are told at once."""
    actions: dict[str, Action] = {"1h": "silence-1h", "8h": "silence-8h", "morning": "silence-morning"}
    return await _done(call, actions[call.body.until])


async def fixed(call: Call) -> dict[str, Any]:
    """Mark as fixed: the rule counts only requests from now on."""
    return await _done(call, "fixed")


async def resolve(call: Call) -> dict[str, Any]:
    """End an incident, whatever its rule says; it opens again when the rule fires on new requests."""
    return await _done(call, "resolve")


async def _done(call: Call, action: Action) -> dict[str, Any]:
    await _known(call)
    by = str(call.claims.get("email") or call.claims.get("sub") or "an admin")[:320]
    try:
        [incident] = await act(call.app, action, call.asked.id, by=by)
    except ValueError as error:
        raise Refusal(409, str(error)) from None
    return incident_values(call.app, incident)


async def _known(call: Call) -> Incident:
    incident = await call.app.stores.alerts.incident(call.asked.id)
    if incident is None:
        raise Refusal(404, f"there is no incident {call.asked.id!r}: GET /api/guardian/alerts lists them")
    return incident


_REFUSALS = {404: "There is no such incident.", 409: "It is over."}
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(method="GET", path="/api/guardian/alerts", run=list_alerts, answer=Alerts, asked=Which, large=True),
    Endpoint(
        method="GET",
        path="/api/guardian/alerts/{id}",
        run=show_alert,
        answer=WithCause,
        asked=One,
        refusals={404: "There is no such incident."},
    ),
    *(
        Endpoint(
            method="POST",
            path=f"/api/guardian/alerts/{{id}}/{name}",
            run=run,
            answer=Alert,
            asked=One,
            body=Silence if name == "silence" else None,
            refusals=_REFUSALS,
        )
        for name, run in (("acknowledge", acknowledge), ("silence", silence), ("fixed", fixed), ("resolve", resolve))
    ),
)
