"""The cause of an incident, computed from its stored requests whenever somebody asks, and never stored."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from guardian.alerting.cause_words import cause_lines
from guardian.alerting.explaining import MOST_LEAD, UNEXPLAINED, Explanation, explain
from guardian.alerting.incidents import SECOND, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.whom import NOBODY, Whom, whom
from guardian.application.root import Application
from guardian.core.language import language
from guardian.core.off_loop import off_loop
from guardian.core.report.additions import way_values
from guardian.core.storage import StorageError
from guardian.core.time import micros, moment
from guardian.settings.rules import Rule, watching
from guardian.stores.history import HistoryStore

log = logging.getLogger("guardian.alerting")

SINCE = {"back": "succeeded", "again": "failed_again", "away": "not_back"}
"""How a person fared since, in the API's words."""


def why_of(history: HistoryStore, rule: Rule, incident: Incident, now_us: int) -> Explanation:
    """The cause, as far as the stored requests show it. Unexplained if they cannot be read: a mail must not wait for
    that. Blocks for up to a tenth of a second: call it in a thread."""
    try:
        why = explain(rule, _as_now_called(history, rule, incident), now_us, history.sample)
        end_us = now_us if incident.over_us is None else incident.over_us
        return replace(why, released=tuple(history.releases(incident.first_us - MOST_LEAD * SECOND, end_us)))
    except StorageError as error:
        log.warning("The cause of an incident cannot be looked for, since %s", error)
    except Exception:  # a bug of ours must cost the cause, not the alert
        log.exception("The cause of incident %s could not be found", incident.id)
    return UNEXPLAINED


def why_each(
    history: HistoryStore, rules: Sequence[Rule], incidents: Sequence[Incident], now_us: int
) -> dict[str, Explanation]:
    """The same for each of these incidents, by its id, as the mail of its end says it, and of those that go on as of
    `now_us`."""
    named = {rule.name: rule for rule in rules}
    return {i.id: why_of(history, named[i.rule], i, min(i.resolved_us or now_us, now_us)) for i in incidents}


def ended_with(history: HistoryStore, rule: Rule, incident: Incident, now_us: int) -> Explanation:
    """The same for a mail, and of an incident that is over also whom it hit."""
    why = why_of(history, rule, incident, now_us)
    return why if incident.over_us is None else replace(why, whom=whom_of(history, rule, incident, now_us))


def whom_of(history: HistoryStore, rule: Rule, incident: Incident, now_us: int) -> Whom:
    """Whom it hit and how they fared since, according to the stored requests; nobody if they cannot be read."""
    try:
        return whom(rule, _as_now_called(history, rule, incident), now_us, history)
    except StorageError as error:
        log.warning("Whom an incident hit cannot be looked up, since %s", error)
    except Exception:  # as above
        log.exception("Whom incident %s hit could not be found", incident.id)
    return NOBODY


def _as_now_called(history: HistoryStore, rule: Rule, incident: Incident) -> Incident:
    """The incident of a person by the name that requests have now: an alias may have come since it began."""
    if not kind_of(rule).of_one_user:
        return incident
    return replace(incident, subject=history.book.current().person(incident.subject))


async def cause_of(app: Application, incident: Incident) -> Explanation:
    """The same for an incident that is or was, by its rule as it is now; nothing where the rule is gone."""
    rule = app.settings.rules.get(incident.rule)
    if rule is None:
        return UNEXPLAINED
    rule = watching(rule, app.settings.critical_features)
    history, now_us = app.stores.history, micros(app.clock())
    why = await off_loop(why_of, history, rule, incident, now_us)
    return replace(why, whom=await off_loop(whom_of, history, rule, incident, now_us))


def cause_values(why: Explanation) -> dict[str, Any] | None:
    """The same as JSON values, None where nothing is known: `lines` say it in English."""
    lines = cause_lines(why, language())
    if not lines and not why.released:
        return None
    return {
        "lines": lines,
        "found": [asdict(found) for found in why.cause.found],
        "even": list(why.cause.even),
        "error": way_values(why.way),
        "days_before": why.days or None,
        "released": [{"release": name, "at": moment(at_us).isoformat()} for name, at_us in why.released],
    }


def whom_values(found: Whom) -> dict[str, Any] | None:
    """Whom it hit as JSON values, None where nobody was; those to write to come first."""
    if not found.number and not found.anonymous:
        return None
    return {
        "people": [
            {
                "name": hit.name,
                "times": hit.times,
                "first_at": moment(hit.first_us).isoformat(),
                "last_at": moment(hit.last_us).isoformat(),
                "endpoint": hit.endpoint,
                "feature": hit.feature,
                "since": SINCE[hit.fate],
            }
            for hit in found.people
        ],
        "hit": found.number,
        "succeeded": len(found.fared("back")),
        "failed_again": len(found.fared("again")),
        "not_back": len(found.fared("away")),
        "erased": found.erased,
        "anonymous_failures": found.anonymous,
        "until": moment(found.until_us).isoformat(),
    }
