"""Why an incident is: its requests are read from the store when somebody asks, and nothing of it is kept."""

from __future__ import annotations

import logging
from dataclasses import asdict, replace
from typing import Any

from guardian.alerting.cause_words import cause_lines
from guardian.alerting.explaining import MOST_LEAD, UNEXPLAINED, Explanation, explain
from guardian.alerting.incidents import SECOND, Incident
from guardian.application.root import Application
from guardian.core.language import language
from guardian.core.off_loop import off_loop
from guardian.core.storage import StorageError
from guardian.core.time import micros, moment
from guardian.settings.rules import Rule, watching
from guardian.stores.history import HistoryStore

log = logging.getLogger("guardian.alerting")


def why_of(history: HistoryStore, rule: Rule, incident: Incident, now_us: int) -> Explanation:
    """What the requests that are still there tell of the cause; nothing where they cannot be read, for a mail must not
    wait for that. It blocks for up to a tenth of a second: call it in a thread."""
    try:
        why = explain(rule, incident, now_us, history.sample)
        end_us = now_us if incident.over_us is None else incident.over_us
        return replace(why, released=tuple(history.releases(incident.first_us - MOST_LEAD * SECOND, end_us)))
    except StorageError as error:
        log.warning("The cause of an incident cannot be looked for, since %s", error)
    except Exception:  # a fault of ours costs the cause, not the alert
        log.exception("The cause of incident %s could not be found", incident.id)
    return UNEXPLAINED


async def cause_of(app: Application, incident: Incident) -> Explanation:
    """The same for an incident that is or was, by its rule as it is now; nothing where the rule is gone."""
    rule = app.settings.rules.get(incident.rule)
    if rule is None:
        return UNEXPLAINED
    rule = watching(rule, app.settings.critical_features)
    return await off_loop(why_of, app.stores.history, rule, incident, micros(app.clock()))


def cause_values(why: Explanation) -> dict[str, Any] | None:
    """The same as JSON values, None where nothing is known: `lines` say it in English."""
    lines = cause_lines(why, language())
    if not lines and not why.released:
        return None
    way = why.way
    error = None
    if way is not None and isinstance(way.value, tuple):
        kind, place = way.value
        error = {
            "kind": kind,
            "place": place,
            "failed": way.bad,
            "of": way.of,
            "before": way.before,
            "requests_before": way.before_requests,
        }
    return {
        "lines": lines,
        "found": [asdict(found) for found in why.cause.found],
        "even": list(why.cause.even),
        "error": error,
        "days_before": why.days or None,
        "released": [{"release": name, "at": moment(at_us).isoformat()} for name, at_us in why.released],
    }
