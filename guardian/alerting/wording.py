"""The texts of alerts: a title that stays the same for the whole thread, and a sentence for each change."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from guardian.alerting.columns import Counts
from guardian.alerting.incidents import UNKNOWN, Incident
from guardian.alerting.kinds import kind_of
from guardian.core.language import Language
from guardian.core.time import moment

if TYPE_CHECKING:
    from guardian.settings.rules import Rule


def title(rule: Rule, subject: str, lang: Language) -> str:
    """The subject of the thread: it contains no values that change."""
    return kind_of(rule).title(rule, subject, lang)


def sentence(rule: Rule, incident: Incident, counts: Counts, lang: Language) -> str:
    """One sentence with the figures of the rule's window, for an incident that fires in this minute."""
    return kind_of(rule).sentence(rule, incident, counts, lang)


def at_worst(rule: Rule, incident: Incident, lang: Language) -> str:
    """One sentence with the worst value, for an incident that does not fire in this minute: it is over, its state is
    unknown, or the message was held back."""
    peak = incident.value if incident.peak is None else incident.peak
    return kind_of(rule).at_worst(rule, incident, peak or 0.0, lang)


def standing(incident: Incident, now_us: int, lang: Language, zone: ZoneInfo) -> str:
    """The incident's status: firing since when, acknowledged or silenced by whom, or over since when."""

    def at(us: int) -> str:
        return lang.zoned(moment(us), zone)

    if incident.end in UNKNOWN:
        return lang("not watched since %(time)s", time=at(incident.over_us or incident.since_us))
    if incident.status == "resolved":
        return lang("over since %(time)s", time=at(incident.over_us or incident.since_us))
    who = incident.acknowledged_by or "–"
    if incident.silenced(now_us):
        return lang("silenced until %(time)s by %(who)s", time=at(incident.silenced_until_us or now_us), who=who)
    if incident.status == "acknowledged":
        return lang("acknowledged by %(who)s", who=who)
    return lang("firing since %(time)s", time=at(incident.again_us or incident.first_us))
