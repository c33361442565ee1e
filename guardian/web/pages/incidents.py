"""Incidents, open and past; one of them with its rule, what failed, and what was told to whom."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from guardian.alerting.actions import ACTIONS
from guardian.alerting.cause_words import cause_lines, release_name
from guardian.alerting.explaining import Explanation
from guardian.alerting.incidents import UNKNOWN, Incident
from guardian.alerting.whom import Whom
from guardian.alerting.whom_words import to_write_to, whom_lines
from guardian.application.judging.causes import SINCE, cause_of
from guardian.application.judging.incident_actions import act as act_on
from guardian.core.language import marked
from guardian.core.outgoing import OutboxItem
from guardian.core.time import micros, moment
from guardian.mail.alert.letter import addresses, fate_word, mailto, no_address
from guardian.web.endpoint import Refusal
from guardian.web.pages.frame import framed
from guardian.web.pages.incident_words import (
    feature_of,
    incident_row,
    person_of,
    rule_facts,
    told_times,
    window_of,
)
from guardian.web.pages.page import Page, View
from guardian.web.pages.paging import paged
from guardian.web.pages.tables import Table

MOST = 500
"""How many of the newest incidents are listed."""
SHOWN = 25
LOOKED_AT = 2000
"""How many of the newest messages are searched for those of an incident."""
LISTED, UNFOLDED = 50, 8
"""So many open incidents are listed, and of those whom one hit, among each that fared alike, so many named; the files
have all. Up to so many in all stand there without a click."""
COPIED = 200
"""How many addresses are shown for copying."""
TOLD = 100
"""How many of the latest entries of the timeline are listed."""
BUTTONS = (
    ("acknowledge", marked("Acknowledge")),
    ("silence-1h", marked("Silence for 1 h")),
    ("silence-8h", marked("Silence for 8 h")),
    ("silence-morning", marked("Silence until morning")),
    ("fixed", marked("Mark as fixed")),
    ("resolve", marked("End it")),
)
"""What can be done about an incident, in words."""
GONE = marked("There is no such incident, or it is older than the retention.")


async def run(view: View) -> Mapping[str, Any] | Response:
    """The list: those that are open first, then the past ones, the newest first; `rule` leaves one rule's."""
    rule, found = view.query.get("rule", ""), await view.app.stores.alerts.incidents(limit=MOST)
    mine = [each for each in found if not rule or each.rule == rule]
    opened = [each for each in mine if each.status != "resolved"]
    past = paged([each for each in mine if each.status == "resolved"], view.query, SHOWN)
    return await framed(
        view,
        {
            "open": [incident_row(each, view) for each in opened[:LISTED]],
            "more": max(0, len(opened) - LISTED),
            "past": [incident_row(each, view) for each in past.rows],
            "pages": past,
            "rule": rule,
            "rules": sorted({each.rule for each in found}),
            "buttons": BUTTONS[:2],
        },
        tables=[_table(mine)],
    )


def _table(incidents: list[Incident]) -> Table:
    columns = ("id", "rule", "subject", "severity", "status", "end", "began", "over", "lasted_seconds", "users",
               "peak", "acknowledged_by")  # fmt: skip
    rows = (
        (i.id, i.rule, i.subject, i.severity, i.status, i.end, moment(i.first_us),
         None if i.over_us is None else moment(i.over_us), i.lasted_s, i.users, i.peak, i.acknowledged_by)
        for i in incidents
    )  # fmt: skip
    return Table("incidents", columns, rows)


async def run_one(view: View) -> Mapping[str, Any] | Response:
    """One incident. Raises Refusal for one that is not known."""
    incident = await view.app.stores.alerts.incident(view.path["id"])
    if incident is None:
        raise Refusal(404, view.lang(GONE))
    told = [item for item in await view.app.state.outbox(limit=LOOKED_AT) if _about(item, incident)]
    person, why = person_of(incident, view), await cause_of(view.app, incident)
    happened = timeline(incident, told, why, view)
    return await framed(
        view,
        {
            **incident_row(incident, view),
            **rule_facts(incident, view),
            "row": incident_row(incident, view),
            "feature": feature_of(incident, view) if not person else "",
            "person": person,
            "names": [name for name in incident.names if name != person],
            "earlier": incident.earlier,
            "cause": cause_lines(why, view.lang),
            "whom": _whom(why.whom, incident, view),
            "timeline": happened[-TOLD:],
            "earlier_times": max(0, len(happened) - TOLD),
            "buttons": BUTTONS if incident.over_us is None else (),
            "then": window_of(incident, view.now).query,
        },
        tables=[*([_people(why.whom)] if why.whom.people else []), _happened(happened)],
    )


def _whom(found: Whom, incident: Incident, view: View) -> dict[str, Any]:
    """Whom it hit: sentences, the people by how they fared, and what is needed to write to them."""
    lang, groups = view.lang, list[dict[str, Any]]()
    for fate in ("away", "again", "back"):
        if hits := found.fared(fate):
            names = [(hit.name, lang.number(hit.times)) for hit in hits[:LISTED]]
            more = lang.number(len(hits) - LISTED) if len(hits) > LISTED else ""
            word = fate_word(fate, lang, found.slow)
            groups.append(
                {
                    "word": word[:1].upper() + word[1:],
                    "number": lang.number(len(hits)),
                    "names": names,
                    "more": more,
                    "unfolded": len(found.people) <= UNFOLDED,
                }
            )
    good, others = addresses(to_write_to(found))
    over = None if incident.over_us is None or incident.end in UNKNOWN else moment(incident.over_us)
    draft = mailto(found, lang, view.zone, over) if over else ""
    return {
        "lines": whom_lines(found, lang, view.zone),
        "groups": groups,
        "addresses": ", ".join(good[:COPIED]),
        "more": lang.number(len(good) - COPIED) if len(good) > COPIED else "",
        "unreachable": no_address(others, lang),
        "draft": draft,
        "too_many": bool(good and over and not draft),
    }


def _people(found: Whom) -> Table:
    columns = ("name", "times", "first", "last", "endpoint", "feature", "since")
    rows = (
        (hit.name, hit.times, moment(hit.first_us), moment(hit.last_us), hit.endpoint, hit.feature, SINCE[hit.fate])
        for hit in found.people
    )
    return Table("people", columns, rows)


def _happened(timeline: list[dict[str, Any]]) -> Table:
    return Table("timeline", ("at", "what", "told"), ((moment(e["at"]), e["what"], e["to"]) for e in timeline))


def _about(item: OutboxItem, incident: Incident) -> bool:
    return item.message.key.startswith((f"incident/{incident.id}/", f"incident/{incident.thread}/"))


def timeline(incident: Incident, told: list[OutboxItem], why: Explanation, view: View) -> list[dict[str, Any]]:
    """What happened, what was released and what was told to whom, in order."""
    lang = view.lang
    fates = {
        "sent": lang("told"), "pending": lang("waiting to be sent"), "dead": lang("could not be sent"),
        "dropped": lang("dropped"),
    }  # fmt: skip
    found = told_times(incident, view)
    for release, at_us in why.released:
        found.append(
            {
                "at": at_us,
                "when": lang.moment(moment(at_us), view.zone),
                "what": lang("Release %(release)s answered for the first time", release=release_name(release)),
                "tone": "",
                "to": "",
                "href": "",
            }
        )
    for item in told:
        at = item.sent_at or item.created_at
        found.append(
            {
                "at": micros(at),
                "when": lang.moment(at, view.zone),
                "what": item.message.subject or item.message.kind,
                "tone": "bad" if item.status == "dead" else "",
                "to": f"{item.message.recipient} · {fates.get(item.status, item.status)}",
                "href": f"/mail/{item.id}",
            }
        )
    return sorted(found, key=lambda each: each["at"])


async def act(view: View, form: Mapping[str, str]) -> str:
    """Do what a button says to one incident; where to go then. Raises Refusal with one sentence."""
    what, name = form.get("action", ""), form.get("id", "")
    if what not in ACTIONS:
        raise Refusal(409, view.lang("This button is not known."))
    try:
        await act_on(view.app, what, name, by=view.address)
    except ValueError:
        found = await view.app.stores.alerts.incident(name)
        if found is None:
            raise Refusal(409, view.lang(GONE)) from None
        if what != "resolve":  # else pressed twice, or the incident ended meanwhile
            raise Refusal(409, view.lang("It is over: there is nothing to do.")) from None
    return f"/incidents/{name}"


PAGE = Page("/incidents", marked("Incidents"), run, "incidents.html", nav=True, key="5", act=act)
ONE = Page("/incidents/{id}", marked("Incident"), run_one, "incident.html", act=act)
