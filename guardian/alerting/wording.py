"""What alert mails say: a title that stays the same for the whole thread, one sentence a change, the rule in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from guardian.alerting.columns import NOTHING, Counts
from guardian.alerting.incidents import Incident
from guardian.core.language import Language
from guardian.core.time import moment
from guardian.settings.rules import (
    BurnRate,
    ErrorRate,
    FeatureDown,
    Latency,
    NewError,
    Rule,
    TrafficDrop,
    TrafficSpike,
    UserBurst,
)


def title(rule: Rule, subject: str, lang: Language) -> str:
    """The steady subject of the thread, without values that change."""
    return _TITLES[rule.kind](rule, subject, lang)


def sentence(rule: Rule, incident: Incident, counts: Counts, lang: Language) -> str:
    """What is measured in the very minute in which it fires, as one sentence with the figures of the rule's window."""
    return _SENTENCES[rule.kind](rule, incident, counts, lang)


def at_worst(rule: Rule, incident: Incident, lang: Language) -> str:
    """What was measured when it was worst, as one sentence: of an incident that does not fire in this minute, because
    it is over, nothing is known, or the mail was held back."""
    peak = incident.value if incident.peak is None else incident.peak
    return _AT_WORST[rule.kind](rule, incident, peak or 0.0, lang)


def standing(incident: Incident, now_us: int, lang: Language, zone: ZoneInfo) -> str:
    """How it stands: fires since when, taken on or silenced by whom, or over since when."""

    def at(us: int) -> str:
        return lang.moment(moment(us), zone)

    if incident.status == "resolved":
        return lang("over since %(time)s", time=at(incident.resolved_us or incident.since_us))
    who = incident.acknowledged_by or "–"
    if incident.silenced(now_us):
        return lang("silenced until %(time)s by %(who)s", time=at(incident.silenced_until_us or now_us), who=who)
    if incident.status == "acknowledged":
        return lang("taken on by %(who)s", who=who)
    return lang("fires since %(time)s", time=at(incident.again_us or incident.first_us))


def _title_error_rate(rule: ErrorRate, subject: str, lang: Language) -> str:
    share = lang.percent(rule.threshold)
    if subject:
        return lang("Error rate of %(feature)s above %(share)s", feature=subject, share=share)
    return lang("Error rate above %(share)s", share=share)


def _title_feature_down(rule: FeatureDown, subject: str, lang: Language) -> str:
    if subject == "probe":
        return lang("The probe %(rule)s fails", rule=rule.name)
    return lang("%(feature)s is down", feature=subject)


def _title_burn_rate(rule: BurnRate, subject: str, lang: Language) -> str:
    what = subject or lang("everything")
    share = lang.percent(rule.objective)
    return lang("The error budget of %(what)s burns too fast (objective %(share)s)", what=what, share=share)


def _title_traffic_drop(rule: TrafficDrop, subject: str, lang: Language) -> str:
    return lang("Unusually few requests to %(feature)s", feature=subject) if subject else lang("Unusually few requests")


def _title_traffic_spike(rule: TrafficSpike, subject: str, lang: Language) -> str:
    if subject:
        return lang("Unusually many requests to %(feature)s", feature=subject)
    return lang("Unusually many requests")


_TITLES: Mapping[str, Callable[[Any, str, Language], str]] = {
    "error_rate": _title_error_rate,
    "feature_down": _title_feature_down,
    "user_burst": lambda rule, subject, lang: lang("%(user)s keeps meeting errors", user=subject),
    "latency": lambda rule, subject, lang: lang("%(feature)s is slow", feature=subject),
    "traffic_drop": _title_traffic_drop,
    "traffic_spike": _title_traffic_spike,
    "new_error": lambda rule, subject, lang: lang("New error: %(error)s", error=subject),
    "tracker_silent": lambda rule, subject, lang: lang("The app has fallen silent"),
    "burn_rate": _title_burn_rate,
}


def _say_error_rate(rule: ErrorRate, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "%(share)s of the requests failed: %(bad)s of %(all)s in %(span)s.",
        share=lang.percent(incident.value or 0),
        bad=lang.number(counts.bad(rule.count)),
        all=lang.number(counts.requests),
        span=lang.lately(rule.window),
    )


def _say_feature_down(rule: FeatureDown, incident: Incident, counts: Counts, lang: Language) -> str:
    why = incident.facts.get("why")
    if why == "probe":
        return lang.plural(
            "%(url)s did not answer as it should.",
            "%(url)s did not answer as it should %(n)s times in a row.",
            rule.probe.failures if rule.probe else 0, url=incident.facts.get("url"),
        )  # fmt: skip
    if why == "silent":
        return lang("Nobody has used it for %(time)s; about %(usual)s requests are usual at this hour of the week.",
                    time=lang.duration(rule.silence), usual=lang.number(incident.facts.get("usual", 0)))  # fmt: skip
    return lang.plural(
        "The only request in %(span)s failed.",
        "All %(n)s requests in %(span)s failed.",
        counts.requests, span=lang.lately(rule.window),
    )  # fmt: skip


def _say_user_burst(rule: UserBurst, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang("They met %(n)s or more errors within %(time)s.", n=rule.errors, time=lang.duration(rule.window))


def _say_latency(rule: Latency, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "%(share)s of the requests took up to %(value)s; the limit is %(limit)s.",
        share=lang.percent(rule.quantile),
        value=lang.milliseconds(incident.value or 0),
        limit=lang.milliseconds(rule.threshold_ms),
    )


def _say_traffic(rule: TrafficDrop | TrafficSpike, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "%(now)s requests in %(span)s; %(usual)s are usual at this hour of the week.",
        now=lang.number(incident.value or 0),
        span=lang.lately(rule.window),
        usual=lang.number(incident.facts.get("usual", 0)),
    )


def _say_new_error(rule: NewError, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang.plural(
        "It came once, and had never been seen before.",
        "It came %(n)s times, and had never been seen before.",
        counts.requests,
    )


def _say_burn_rate(rule: BurnRate, incident: Incident, counts: Counts, lang: Language) -> str:
    return lang(
        "At the pace of %(span)s, the budget of 30 days is gone in %(left)s.",
        span=lang.lately(incident.facts.get("window", 3600)),
        left=lang.duration(30 * 86400 / max(incident.value or 1, 0.01)),
    )


_SENTENCES: Mapping[str, Callable[[Any, Incident, Counts, Language], str]] = {
    "error_rate": _say_error_rate,
    "feature_down": _say_feature_down,
    "user_burst": _say_user_burst,
    "latency": _say_latency,
    "traffic_drop": _say_traffic,
    "traffic_spike": _say_traffic,
    "new_error": _say_new_error,
    "tracker_silent": lambda rule, incident, counts, lang: lang(
        "Neither a request nor a sign of life for %(time)s: the app is down, or tracks into another database.",
        time=lang.duration(rule.window),
    ),
    "burn_rate": _say_burn_rate,
}


def _worst_feature_down(rule: FeatureDown, incident: Incident, peak: float, lang: Language) -> str:
    why = incident.facts.get("why")
    if why == "probe":
        return lang("%(url)s did not answer as it should.", url=incident.facts.get("url"))
    if why == "silent":
        usual = lang.number(incident.facts.get("usual", 0))
        return lang("Nobody used it, where about %(usual)s requests are usual.", usual=usual)
    return lang("At worst, every request failed.")


def _worst_latency(rule: Latency, incident: Incident, peak: float, lang: Language) -> str:
    return lang(
        "At worst, %(share)s of the requests took up to %(value)s; the limit is %(limit)s.",
        share=lang.percent(rule.quantile),
        value=lang.milliseconds(peak),
        limit=lang.milliseconds(rule.threshold_ms),
    )


def _worst_traffic(rule: TrafficDrop | TrafficSpike, incident: Incident, peak: float, lang: Language) -> str:
    return lang(
        "It was %(n)s requests in %(time)s, where %(usual)s are usual.",
        n=lang.number(peak), time=lang.duration(rule.window), usual=lang.number(incident.facts.get("usual", 0)),
    )  # fmt: skip


_AT_WORST: Mapping[str, Callable[[Any, Incident, float, Language], str]] = {
    "error_rate": lambda rule, incident, peak, lang: lang(
        "At worst, %(share)s of the requests failed in %(time)s.",
        share=lang.percent(peak),
        time=lang.duration(rule.window),
    ),
    "feature_down": _worst_feature_down,
    "user_burst": lambda rule, incident, peak, lang: _say_user_burst(rule, incident, NOTHING, lang),
    "latency": _worst_latency,
    "traffic_drop": _worst_traffic,
    "traffic_spike": _worst_traffic,
    "new_error": lambda rule, incident, peak, lang: lang("It had never been seen before."),
    "tracker_silent": lambda rule, incident, peak, lang: lang("Neither a request nor a sign of life came."),
    "burn_rate": lambda rule, incident, peak, lang: lang(
        "At worst, the budget of 30 days would have been gone in %(left)s.",
        left=lang.duration(30 * 86400 / max(peak, 0.01)),
    ),
}
