"""What a report says of the period's incidents, and of rules that nobody acts on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from guardian.alerting.incidents import UNKNOWN, Incident, was_open
from guardian.alerting.kinds import kind_of
from guardian.alerting.review import NOISY, Better, noisiest, review
from guardian.alerting.wording import title
from guardian.core.language import Language, marked
from guardian.core.time import moment
from guardian.mail.report.section import Section
from guardian.settings.rules import Rule

MOST = 8


class IncidentLine(NamedTuple):
    """A sentence, and the id of the incident or the name of the rule that it is about; "" for none."""

    text: str
    incident: str = ""
    rule: str = ""


def incident_lines(
    incidents: Sequence[Incident],
    rules: Mapping[str, Rule],
    start: datetime,
    end: datetime,
    *,
    lang: Language,
    zone: ZoneInfo,
    better: Better | None = None,
) -> list[IncidentLine]:
    """A sentence an incident that was open within [start, end), the open ones first; and, for a week or more, one on
    the noisiest rule, with a `better` threshold for it, and on those that nobody ever acted on."""
    during = [i for i in incidents if was_open(i, start, end)]
    during.sort(key=lambda i: (i.status == "resolved", -(i.opened_us or 0)))
    lines = [IncidentLine(_line(each, rules.get(each.rule), lang, zone), incident=each.id) for each in during[:MOST]]
    if len(during) > MOST:
        lines.append(IncidentLine(lang("and %(n)s more", n=len(during) - MOST)))
    if is_long(start, end):
        lines += _noise(during, better, start, lang)
    return lines


def is_long(start: datetime, end: datetime) -> bool:
    """Whether the period is a week (one with an hour less counts) or more: rules are judged by no less."""
    return end - start >= timedelta(days=6)


def _line(incident: Incident, rule: Rule | None, lang: Language, zone: ZoneInfo) -> str:
    name = title(rule, incident.subject, lang) if rule else incident.rule
    began = lang.moment(moment(incident.first_us), zone)
    if incident.lasted_s is None:
        text = lang("%(what)s: open since %(time)s", what=name, time=began)
    elif incident.end in UNKNOWN:
        until = lang.moment(moment(incident.over_us or incident.first_us), zone)
        text = lang("%(what)s: since %(time)s, no longer watched since %(until)s", what=name, time=began, until=until)
    else:
        lasted = lang.duration(incident.lasted_s)
        text = lang("%(what)s: %(time)s, over after %(lasted)s", what=name, time=began, lasted=lasted)
    return text + (
        ", " + lang("acknowledged by %(who)s", who=incident.acknowledged_by) if incident.acknowledged_by else ""
    )


def _noise(incidents: Sequence[Incident], better: Better | None, start: datetime, lang: Language) -> list[IncidentLine]:
    lines = []
    noise = noisiest(incidents, start)
    if noise and noise.acted_on:
        text = lang(
            "Rule %(rule)s is the noisiest: it fired %(n)s times, and somebody acted on %(acted)s of them.",
            rule=noise.rule, n=noise.incidents, acted=noise.acted_on,
        )  # fmt: skip
        if better and better.rule.name == noise.rule and (tuned := kind_of(better.rule).threshold):
            value = tuned.said(better.threshold, lang)
            text += " " + lang.plural(
                "A threshold of %(value)s would have kept those and spared you %(n)s other.",
                "A threshold of %(value)s would have kept those and spared you %(n)s others.",
                better.spared, value=value,
            )  # fmt: skip
        lines.append(IncidentLine(text, rule=noise.rule))
    return lines + [
        IncidentLine(
            lang("Rule %(rule)s fired %(n)s times, and nobody acted on it.", rule=each.rule, n=each.incidents),
            rule=each.rule,
        )
        for each in review(incidents, start)
        if each.incidents >= NOISY and not each.acted_on
    ]


SECTION = Section("incidents", {"incidents": ()}, nothing=marked("no rule fired"))
