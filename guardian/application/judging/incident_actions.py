"""Actions on incidents, from a mail's page, the API or the command line."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from guardian.alerting.actions import Action, edit_for
from guardian.alerting.incidents import Incident
from guardian.alerting.wording import title
from guardian.application.root import Application
from guardian.core.language import language
from guardian.core.time import iso, micros, moment


async def act(app: Application, action: Action, incident_id: str | None, *, by: str) -> list[Incident]:
    """Apply the action to one incident, or with None to all that are not over (such as "fixed" after a deploy).

    Returns those that changed. Raises ValueError with one sentence for an incident that is unknown or over. Raises
    StorageError.
    """
    store, zone, now = app.stores.alerts, ZoneInfo(app.settings.timezone), app.clock()
    edit = edit_for(action, by=by, now=now, zone=zone)
    if incident_id is None:
        return await store.change_all(edit)
    incident = await store.change(incident_id, edit)
    if incident is not None:
        return [incident]
    known = await store.incident(incident_id)
    if known is None:
        raise ValueError(f"there is no incident {incident_id!r}: 'guardian alerts list' shows those there are")
    raise ValueError(f"the incident {incident_id!r} is over: there is nothing to do")


def incident_values(app: Application, incident: Incident) -> dict[str, Any]:
    """An incident as JSON values; times are ISO 8601 in UTC, None where there is none."""
    rule = app.settings.rules.get(incident.rule)
    times = {
        "since": incident.first_us,
        "again_at": incident.again_us,
        "until": incident.over_us,
        "opened_at": incident.opened_us,
        "last_good_at": incident.last_good_us,
        "resolved_at": incident.resolved_us,
        "silenced_until": incident.silenced_until_us,
        "fixed_at": incident.fixed_us,
        "told_at": incident.told_us,
    }
    return {
        "id": incident.id,
        "title": title(rule, incident.subject, language()) if rule else incident.rule,
        "rule": incident.rule,
        "subject": incident.subject,
        "severity": incident.severity,
        "status": incident.status,
        "end": incident.end,
        "flapping": incident.flapping,
        "silenced": incident.status != "resolved" and incident.silenced(micros(app.clock())),
        "acknowledged_by": incident.acknowledged_by,
        "value": incident.value,
        "peak": incident.peak,
        "users": incident.users,
        "lasted_seconds": incident.lasted_s,
        **{name: iso(None if us is None else moment(us)) for name, us in times.items()},
    }
