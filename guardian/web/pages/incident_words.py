"""An incident as pages show it: its title, how it stands, its times, and what can be done. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from guardian.alerting.incidents import UNKNOWN, Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.rule_words import rule_in_words, rule_line
from guardian.alerting.wording import at_worst, standing, title
from guardian.core.grade import grade
from guardian.core.language import Language
from guardian.core.mentions import plain
from guardian.core.time import micros, moment
from guardian.settings.rules import watching
from guardian.web.pages.page import View
from guardian.web.pages.ranges import LONGEST, Range

ASIDE = timedelta(hours=1)
"""How much time before and after an incident its links include."""


def incident_row(incident: Incident, view: View) -> dict[str, Any]:
    """One incident in a list: the same title, standing and times as its mails."""
    lang, zone, now_us = view.lang, view.zone, micros(view.now)
    rule = view.app.settings.rules.get(incident.rule)
    over = incident.over_us
    lasted = incident.lasted_s
    if lasted is None:
        lasted = max(0, (now_us - incident.first_us - incident.calm_us) // 1_000_000)
    return {
        "id": incident.id,
        "title": title(rule, incident.subject, lang) if rule else plain(incident.thread_subject or incident.rule),
        "rule": incident.rule,
        "subject": incident.subject,
        "severity": incident.severity,
        "style": "unknown" if over is not None else grade(incident.severity).look.style,
        "status": status_word(incident, now_us, lang),
        "standing": standing(incident, now_us, lang, zone),
        "began": lang.moment(moment(incident.first_us), zone),
        "over": "" if over is None else lang.moment(moment(over), zone),
        "open": over is None,
        "lasted": lang.duration(lasted),
        "users": lang.plural("%(n)s user", "%(n)s users", incident.users) if incident.users else "",
        "worst": at_worst(rule, incident, lang) if rule and incident.peak is not None else "",
        "acknowledged_by": incident.acknowledged_by or "",
    }


def status_word(incident: Incident, now_us: int, lang: Language) -> str:
    """The incident's status in a word or two."""
    if incident.end in UNKNOWN:
        return lang("No longer watched")
    if incident.status == "resolved":
        return lang("Over")
    if incident.silenced(now_us):
        return lang("Silenced")
    return lang("Acknowledged") if incident.status == "acknowledged" else lang("Open")


def rule_facts(incident: Incident, view: View) -> dict[str, Any]:
    """The rule that an incident is of, in words and in a line with threshold and value; "" of one that is gone."""
    settings, lang = view.app.settings, view.lang
    rule = settings.rules.get(incident.rule)
    if rule is None:
        return {
            "rule_words": "",
            "rule_line": lang("The rule %(rule)s is no longer in the settings.", rule=incident.rule),
        }
    return {
        "rule_words": rule_in_words(watching(rule, settings.critical_features), lang),
        "rule_line": rule_line(rule, incident, None, lang),
    }


def feature_of(incident: Incident, view: View) -> str:
    """The feature that an incident is about; "" for none."""
    rule = view.app.settings.rules.get(incident.rule)
    return "" if rule is None else kind_of(rule).feature(incident) or ""


def person_of(incident: Incident, view: View) -> str:
    """The person that an incident is about; "" for none."""
    rule = view.app.settings.rules.get(incident.rule)
    known = incident.of_user if incident.of_user is not None else rule is not None and kind_of(rule).of_one_user
    return incident.subject if known else ""


def window_of(incident: Incident, now: datetime) -> Range:
    """The time of an incident with an hour to each side, up to `now`: what its links show. Of one that lasts longer
    than a page can show, the end."""
    over = now if incident.over_us is None else moment(incident.over_us)
    end = min(now, over + ASIDE)
    return Range("own", max(moment(incident.first_us) - ASIDE, end - LONGEST), end)


def told_times(incident: Incident, view: View) -> list[dict[str, Any]]:
    """What happened to an incident itself, in order: each with `at` (µs), `when`, `what` and its `tone`."""
    lang = view.lang
    began = lang("The first bad request") if incident.onset_us is not None else lang("The rule fired first")
    ended = {
        "resolved": lang("It recovered"),
        "closed": lang("Somebody ended it"),
        "removed": lang("Its rule was taken out of the settings"),
        "unwatched": lang("Its rule no longer watches it"),
    }
    found = [
        (incident.last_good_us, lang("The last good request"), "good"),
        (incident.first_us, began, "bad"),
        (incident.opened_us, lang("The rule had held for long enough, so it opened"), "bad"),
        (incident.again_us, lang("It started again"), "bad"),
        (incident.fixed_us, lang("Marked as fixed by %(who)s", who=incident.acknowledged_by or "–"), "good"),
        (incident.over_us, ended.get(incident.end or "resolved", ""), "good"),
    ]
    return [
        {"at": at, "when": lang.moment(moment(at), view.zone), "what": what, "tone": tone, "to": "", "href": ""}
        for at, what, tone in found
        if at is not None
    ]
