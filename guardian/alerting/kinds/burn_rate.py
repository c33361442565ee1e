"""`burn_rate`: the error budget of an objective that burns too fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from guardian.alerting.columns import Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, now, onset_by_share, recovery_by_share, worst
from guardian.alerting.minutes import Calm, Minutes, Said
from guardian.alerting.turning import Onset
from guardian.alerting.verdicts import DAY, Since, Verdict, enough_users, least, subjects
from guardian.core.language import Language
from guardian.settings.kinds import KindSettings, Severity

if TYPE_CHECKING:
    from pydantic import AfterValidator

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Share

BURN_WINDOWS = ((3600, 300, 14.4), (6 * 3600, 1800, 6.0), (3 * DAY, 6 * 3600, 1.0))
"""(long window, short window, burn rate): Google, The Site Reliability Workbook, chapter 5, table 5-8."""
LONGEST = BURN_WINDOWS[-1][0]


def _has_a_budget(objective: float) -> float:
    if objective >= 1:
        raise ValueError("100% leaves no error budget to burn: write a smaller share, such as 99.9%")
    if not objective:
        raise ValueError("0% is always met: write a larger share, such as 99.9%")
    return objective


class BurnRate(KindSettings):
    """The error budget of `objective` burns too fast, in a long and a short window at once.

    The three pairs (1 h and 5 min at 14.4, 6 h and 30 min at 6, 3 d and 6 h at 1) are those of Google's SRE workbook,
    chapter 5, "Multiwindow, multi-burn-rate alerts", for a budget of 30 days.
    """

    kind: Literal["burn_rate"] = "burn_rate"
    objective: Annotated[Share, AfterValidator(_has_a_budget)] = 0.999
    feature: str | None = None
    count: Literal["all", "server"] = "server"
    severity: Severity = "critical"

    def needs_back(self) -> tuple[int, str]:
        """See RuleBase."""
        return max(long for long, _, _ in BURN_WINDOWS), "objective"


def _judge(rule: BurnRate, snapshot: Snapshot, since: Since) -> list[Verdict]:
    verdicts = []
    for subject in subjects(rule.feature, snapshot):
        start = since.get(subject, 0)
        worst: tuple[float, Counts, int, float] | None = None
        enough = False
        for long, short, factor in BURN_WINDOWS:
            counts = snapshot.counts(long, subject or None, since_us=start)
            recent = snapshot.counts(short, subject or None, since_us=start)
            well = not counts.bad(rule.count) and snapshot.begins_inside(long, start)
            if counts.requests < least(rule, well=well) or not (well or recent.requests):
                continue
            enough = True
            burns = [c.bad(rule.count) / max(c.requests, 1) / (1 - rule.objective) for c in (counts, recent)]
            met = {"since_us": start, "failed": True, "count": rule.count}
            if min(burns) > factor and not worst and enough_users(rule, snapshot, long, subject, **met):
                worst = (burns[0], counts, long, factor)
        if worst:
            facts = {"window": worst[2], "factor": worst[3]}
            verdicts.append(Verdict(rule.name, subject, "firing", worst[0], worst[1], facts))
        else:
            verdicts.append(Verdict(rule.name, subject, "ok" if enough else "no_data"))
    return verdicts


def _calm(rule: BurnRate, minutes: Minutes) -> Calm:
    said = []
    for subject in subjects(rule.feature, minutes):
        values, enough = np.full(len(minutes), np.nan), np.zeros(len(minutes), dtype=bool)
        for long, short, factor in BURN_WINDOWS:
            both = [minutes.counts(seconds, subject or None) for seconds in (long, short)]
            judged = (both[0].requests >= least(rule)) & (both[1].requests > 0)
            burns = [c.bad(rule.count) / np.maximum(c.requests, 1) / (1 - rule.objective) for c in both]
            enough |= judged
            burning = judged & (np.minimum(*burns) > factor)
            values = np.where(burning & np.isnan(values), burns[0], values)
        said.append(Said(subject, ~np.isnan(values), enough, None if rule.min_users else values))
    return Calm.of(minutes, said)


def _words(rule: BurnRate, lang: Language) -> str:
    return lang(
        "The error budget of a %(share)s objective has burned 14.4 times too fast for 1 h, 6 times for 6 h, or too "
        "fast for 3 d, and still does.",
        share=lang.percent(rule.objective),
    )


def _title(rule: BurnRate, subject: str, lang: Language) -> str:
    share = lang.percent(rule.objective)
    if subject:
        return lang("The error budget of %(what)s is burning too fast (objective %(share)s)", what=subject, share=share)
    return lang("The error budget is burning too fast (objective %(share)s)", share=share)


def _sentence(rule: BurnRate, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "At the pace of %(span)s, the 30-day budget will be gone in %(left)s.",
        span=lang.lately(incident.facts.get("window", 3600)),
        left=lang.duration(30 * 86400 / max(incident.value or 1, 0.01)),
    )


def _at_worst(rule: BurnRate, incident: Incident, peak: float, lang: Language) -> str:
    return lang(
        "At worst, the 30-day budget would have been gone in %(left)s.",
        left=lang.duration(30 * 86400 / max(peak, 0.01)),
    )


def _share(rule: BurnRate, incident: Incident) -> float:
    """The share of failed requests at which the budget burns as fast as it may."""
    return min((1 - rule.objective) * float(incident.facts.get("factor", 1)), 0.99)


def _onset(rule: BurnRate, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    return onset_by_share(rule, incident, snapshot, start_us, _share(rule, incident))


def _recovery(rule: BurnRate, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    return recovery_by_share(rule, incident, snapshot, start_us, _share(rule, incident))


def _gist(rule: BurnRate, incident: Incident, lang: Language) -> str:
    said = {
        "share": lang.percent(rule.objective),
        "times": lang.number(incident.facts.get("factor", BURN_WINDOWS[0][2]), 1),
        "span": lang.lately(incident.facts.get("window", BURN_WINDOWS[0][0])),
        "feature": incident.subject,
    }
    if incident.subject:
        return lang(
            "error budget of %(feature)s (objective %(share)s) burning more than %(times)s times too fast in %(span)s",
            **said,
        )
    return lang("error budget (objective %(share)s) burning more than %(times)s times too fast in %(span)s", **said)


def _reading(rule: BurnRate, incident: Incident, counts: Counts | None, lang: Language) -> str:
    value = incident.peak if counts is None else incident.value
    said = lang("%(times)s times", times=lang.number(value or 0, 2))
    return worst(said, lang) if counts is None else now(said, lang)


BURN_RATE = Kind(
    BurnRate,
    _judge,
    _words,
    _title,
    _sentence,
    _at_worst,
    gist=_gist,
    calm=_calm,
    reading=_reading,
    span=lambda rule, incident: incident.facts.get("window", BURN_WINDOWS[0][0]),
    counts_back=lambda rule: LONGEST,
    looks_back=lambda rule: LONGEST,
    onset=_onset,
    recovery=_recovery,
    singles_back=lambda rule: LONGEST if rule.min_users else 0,
)
"""See the module."""
