"""`traffic_spike`: far more requests than usual."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from guardian.alerting.columns import Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, all_its_users, now, nowhere, worst
from guardian.alerting.kinds.traffic import (
    Traffic,
    calm_traffic,
    judge_traffic,
    traffic_at_worst,
    traffic_compares,
    traffic_onset,
    traffic_recovery,
    traffic_sentence,
)
from guardian.alerting.turning import Onset
from guardian.alerting.verdicts import Since, Verdict
from guardian.core.language import Language

if TYPE_CHECKING:
    from pydantic import Field

    from guardian.alerting.incidents import Incident


class TrafficSpike(Traffic):
    """More requests than `above` × the usual number, and at least `min_requests`."""

    kind: Literal["traffic_spike"] = "traffic_spike"
    above: Annotated[float, Field(gt=1)] = 3.0


def _judge(rule: TrafficSpike, snapshot: Snapshot, since: Since) -> list[Verdict]:
    return judge_traffic(rule, snapshot, since, partial(_unusual, rule), back=0)


def _unusual(rule: TrafficSpike, requests: Any, usual: Any) -> Any:
    return (requests >= rule.min_requests) & (requests > usual * rule.above)


def _words(rule: TrafficSpike, lang: Language) -> str:
    return lang(
        "More than %(times)s times the requests usual at this hour of the week (median of %(n)s weeks).",
        times=lang.number(rule.above, 1),
        n=rule.weeks,
    )


def _title(rule: TrafficSpike, subject: str, lang: Language) -> str:
    if subject:
        return lang("Unusually many requests to %(feature)s", feature=subject)
    return lang("Unusually many requests")


def _onset(rule: TrafficSpike, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    return traffic_onset(rule, incident, snapshot, start_us, rule.above, 1)


def _recovery(rule: TrafficSpike, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    return traffic_recovery(rule, incident, snapshot, start_us, rule.above, 1)


def _gist(rule: TrafficSpike, incident: Incident, lang: Language) -> str:
    said = {"times": lang.number(rule.above, 1), "span": lang.lately(rule.window), "feature": incident.subject}
    if incident.subject:
        return lang("more than %(times)s times the usual requests to %(feature)s in %(span)s", **said)
    return lang("more than %(times)s times the usual requests in %(span)s", **said)


def _reading(rule: TrafficSpike, incident: Incident, counts: Counts | None, lang: Language) -> str:
    usual, value = incident.facts.get("usual"), incident.peak if counts is None else incident.value
    if not usual:
        return ""
    said = lang("%(times)s times", times=lang.number((value or 0) / usual, 1))
    return worst(said, lang) if counts is None else now(said, lang)


TRAFFIC_SPIKE = Kind(
    TrafficSpike,
    _judge,
    _words,
    _title,
    traffic_sentence,
    traffic_at_worst,
    gist=_gist,
    calm=lambda rule, minutes: calm_traffic(rule, minutes, partial(_unusual, rule)),
    reading=_reading,
    compares=traffic_compares,
    users=all_its_users,
    features=nowhere,
    onset=_onset,
    recovery=_recovery,
    bad=None,
    traffic=1,
    says_users=False,
)
"""See the module."""
