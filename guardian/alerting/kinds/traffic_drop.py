"""`traffic_drop`: far fewer requests than usual."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from guardian.alerting.columns import Counts
from guardian.alerting.history import Snapshot
from guardian.alerting.kinds.kind import Kind, all_its_users, always, now, nowhere, worst
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
from guardian.alerting.verdicts import CLOCK_CHANGE, WEEK, Since, Verdict
from guardian.core.language import Language

if TYPE_CHECKING:
    from pydantic import AfterValidator

    from guardian.alerting.incidents import Incident
    from guardian.settings.quantities import Share


def _can_be_missed(below: float) -> float:
    if not below:
        raise ValueError("fewer than 0% is never reached: write a larger share, such as 30%")
    return below


class TrafficDrop(Traffic):
    """Fewer requests than `below` × the usual number, where at least `min_requests` are usual."""

    kind: Literal["traffic_drop"] = "traffic_drop"
    below: Annotated[Share, AfterValidator(_can_be_missed)] = 0.3


def _judge(rule: TrafficDrop, snapshot: Snapshot, since: Since) -> list[Verdict]:
    # Users who stay away cannot be counted, but the users of a week ago can.
    return judge_traffic(rule, snapshot, since, partial(_unusual, rule), back=snapshot.weeks_ago(1))


def _unusual(rule: TrafficDrop, requests: Any, usual: Any) -> Any:
    return (usual >= rule.min_requests) & (requests < usual * rule.below)


def _words(rule: TrafficDrop, lang: Language) -> str:
    return lang(
        "Fewer than %(share)s of the requests usual at this hour of the week (median of %(n)s weeks).",
        share=lang.percent(rule.below),
        n=rule.weeks,
    )


def _least_requests(n: int, lang: Language) -> str:
    return lang.plural("Where at least %(n)s request is usual.", "Where at least %(n)s requests are usual.", n)


def _least_users(n: int, lang: Language) -> str:
    return lang.plural("With at least %(n)s user a week before.", "With at least %(n)s users a week before.", n)


def _title(rule: TrafficDrop, subject: str, lang: Language) -> str:
    return lang("Unusually few requests to %(feature)s", feature=subject) if subject else lang("Unusually few requests")


def _onset(rule: TrafficDrop, incident: Incident, snapshot: Snapshot, start_us: int) -> Onset | None:
    return traffic_onset(rule, incident, snapshot, start_us, rule.below, -1)


def _recovery(rule: TrafficDrop, incident: Incident, snapshot: Snapshot, start_us: int) -> int | None:
    return traffic_recovery(rule, incident, snapshot, start_us, rule.below, -1)


def _gist(rule: TrafficDrop, incident: Incident, lang: Language) -> str:
    said = {"share": lang.percent(rule.below), "span": lang.lately(rule.window), "feature": incident.subject}
    if incident.subject:
        return lang("fewer than %(share)s of the usual requests to %(feature)s in %(span)s", **said)
    return lang("fewer than %(share)s of the usual requests in %(span)s", **said)


def _reading(rule: TrafficDrop, incident: Incident, counts: Counts | None, lang: Language) -> str:
    usual = incident.facts.get("usual")
    if not usual:
        return ""
    if counts is None:
        return worst(lang.percent((incident.peak or 0) / usual), lang)
    return now(lang.percent((incident.value or 0) / usual), lang)


TRAFFIC_DROP = Kind(
    TrafficDrop,
    _judge,
    _words,
    _title,
    traffic_sentence,
    traffic_at_worst,
    gist=_gist,
    calm=lambda rule, minutes: calm_traffic(rule, minutes, partial(_unusual, rule)),
    reading=_reading,
    least_requests=_least_requests,
    least_users=_least_users,
    compares=traffic_compares,
    singles_back=lambda rule: WEEK + CLOCK_CHANGE + rule.window if rule.min_users else 0,
    users=all_its_users,
    features=nowhere,
    fresh=always,
    onset=_onset,
    recovery=_recovery,
    bad=None,
    traffic=-1,
    worse=min,
    says_users=False,
)
"""See the module."""
