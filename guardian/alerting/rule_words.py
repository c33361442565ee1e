"""A rule in sentences that say exactly when it fires."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from guardian.core.language import Language
from guardian.settings.rules import ErrorRate, FeatureDown, Rule


def rule_in_words(rule: Rule, lang: Language) -> str:
    """The rule in sentences that say exactly when it fires."""
    words = " ".join([_RULES[rule.kind](rule, lang), *_minimums(rule, lang)])
    if rule.for_:
        words += " " + lang("It must hold for %(time)s.", time=lang.duration(rule.for_))
    return words


def _errors(count: str, lang: Language) -> str:
    return lang("server errors") if count == "server" else lang("errors")


def _rule_error_rate(rule: ErrorRate, lang: Language) -> str:
    words = {
        "share": lang.percent(rule.threshold),
        "errors": _errors(rule.count, lang),
        "time": lang.duration(rule.window),
        "half": lang.percent(rule.threshold / 2),
    }
    if rule.feature:
        return lang(
            "More than %(share)s %(errors)s of %(feature)s in %(time)s, and more than %(half)s beyond chance.",
            feature=rule.feature, **words,
        )  # fmt: skip
    return lang("More than %(share)s %(errors)s in %(time)s, and more than %(half)s beyond chance.", **words)


def _rule_feature_down(rule: FeatureDown, lang: Language) -> str:
    features, time = ", ".join(rule.features) or "–", lang.duration(rule.window)
    if rule.count == "server":
        words = lang("Every request of %(features)s met a server error in %(time)s.", features=features, time=time)
    else:
        words = lang("Every request of %(features)s failed in %(time)s.", features=features, time=time)
    if rule.silence:
        words += " " + lang(
            "Or none came for %(time)s, where each earlier week had %(n)s or more.",
            time=lang.duration(rule.silence),
            n=lang.number(rule.silence_requests),
        )
    if rule.probe:
        words += " " + lang.plural(
            "Or %(url)s failed.", "Or %(url)s failed %(n)s times in a row.", rule.probe.failures, url=rule.probe.url
        )
    return words


def _minimums(rule: Rule, lang: Language) -> list[str]:
    """What `min_requests` and `min_users` ask for, a sentence each; nothing for those that ask for nothing."""
    found = []
    if rule.min_requests > (1 if rule.kind == "new_error" else 0):
        found.append(_LEAST_REQUESTS.get(rule.kind, _least_requests)(rule.min_requests, lang))
    if rule.min_users:
        found.append(_LEAST_USERS.get(rule.kind, _least_users)(rule.min_users, lang))
    return found


def _least_requests(n: int, lang: Language) -> str:
    return lang.plural("With at least %(n)s request.", "With at least %(n)s requests.", n)


def _least_users(n: int, lang: Language) -> str:
    return lang.plural("With at least %(n)s user concerned.", "With at least %(n)s users concerned.", n)


_LEAST_REQUESTS: Mapping[str, Callable[[int, Language], str]] = {
    "traffic_drop": lambda n, lang: lang.plural(
        "Where at least %(n)s request is usual.", "Where at least %(n)s requests are usual.", n
    ),
    "tracker_silent": lambda n, lang: lang.plural(
        "After a day with at least %(n)s request.", "After a day with at least %(n)s requests.", n
    ),
    "new_error": lambda n, lang: lang.plural(
        "Once it came at least %(n)s time.", "Once it came at least %(n)s times.", n
    ),
    "user_burst": lambda n, lang: lang.plural(
        "With at least %(n)s request of theirs.", "With at least %(n)s requests of theirs.", n
    ),
}
_LEAST_USERS: Mapping[str, Callable[[int, Language], str]] = {
    "traffic_drop": lambda n, lang: lang.plural(
        "With at least %(n)s user a week before.", "With at least %(n)s users a week before.", n
    ),
    "tracker_silent": lambda n, lang: lang.plural(
        "After a day with at least %(n)s user.", "After a day with at least %(n)s users.", n
    ),
}


_RULES: Mapping[str, Callable[[Any, Language], str]] = {
    "error_rate": _rule_error_rate,
    "feature_down": _rule_feature_down,
    "user_burst": lambda rule, lang: lang(
        "One user meets %(n)s or more errors within %(time)s.", n=rule.errors, time=lang.duration(rule.window)
    ),
    "latency": lambda rule, lang: lang(
        "It takes more than %(limit)s to answer %(share)s of the good requests of %(feature)s in %(time)s.",
        share=lang.percent(rule.quantile),
        feature=rule.feature,
        limit=lang.milliseconds(rule.threshold_ms),
        time=lang.duration(rule.window),
    ),
    "traffic_drop": lambda rule, lang: lang(
        "Fewer than %(share)s of the requests usual at this hour of the week (median of %(n)s weeks).",
        share=lang.percent(rule.below),
        n=rule.weeks,
    ),
    "traffic_spike": lambda rule, lang: lang(
        "More than %(times)s times the requests usual at this hour of the week (median of %(n)s weeks).",
        times=lang.number(rule.above, 1),
        n=rule.weeks,
    ),
    "new_error": lambda rule, lang: lang("A kind of error at a place in the code that was never seen before."),
    "tracker_silent": lambda rule, lang: lang(
        "Neither a request nor a sign of life of the app for %(time)s.", time=lang.duration(rule.window)
    ),
    "burn_rate": lambda rule, lang: lang(
        "The error budget of an objective of %(share)s burns 14.4 times too fast for 1 h, 6 times for 6 h, or too fast "
        "for 3 d, and still does.",
        share=lang.percent(rule.objective),
    ),
}
