"""What changed since the period compared with, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from guardian.alerting.cause_words import cause_sentences
from guardian.alerting.explaining import Explanation
from guardian.core.language import Language
from guardian.core.report.model import Feature, FeatureBefore, Previous, Report
from guardian.mail.report.section import Section
from guardian.mail.report.wording import compared_day, error_phrase, short

UNMATCHED = "(unmatched)"
"""The feature of requests that match no route, which naturally fail."""


class Moved(NamedTuple):
    """One change: its `rank` (worst first), the sentence, and the `feature` or `status` that it is about (the other is
    ""). `of` says which requests changed."""

    rank: float
    text: str
    feature: str = ""
    status: str = ""
    of: Literal["failed", "more", "missing"] = "failed"


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`moved`, the sentences, and `moved_about`, of each the feature or status that it is about; `moved_from`, what
    they are compared with, "" where that is the period before."""
    day, found = compared_day(report, lang, zone), ranked(report, lang)
    return {
        "moved": [" ".join((each.text, *_why(each, report, lang))) for each in found],
        "moved_about": [{"feature": each.feature, "status": each.status} for each in found],
        "moved_from": _compared_with(report, day, lang, zone) if day else "",
    }


def _compared_with(report: Report, day: str, lang: Language, zone: ZoneInfo) -> str:
    at = report.baseline.period_start if report.baseline else None
    if at is None:
        return ""
    return lang("Compared with %(day)s, %(date)s:", day=day, date=lang.short_day(at, zone))


def moved(report: Report, lang: Language) -> list[str]:
    """What changed against the period before, in sentences, the gravest first; at most four."""
    return [each.text for each in ranked(report, lang)]


def ranked(report: Report, lang: Language) -> list[Moved]:
    """The same as `Moved` objects, which say what each is about."""
    before = report.baseline
    if before is None or not before.total_requests or not report.total_requests:
        return []
    found = [*_moved_errors(report, before, lang), *_moved_features(report, before, lang)]
    return sorted(found, key=lambda each: (-each.rank, each.text))[:4]


def _why(moved: Moved, report: Report, lang: Language) -> list[str]:
    """What is known about its cause, in sentences."""
    for each in report.causes:
        if (each.feature, each.status, each.of) == (moved.feature, moved.status, moved.of):
            told = Explanation(each.of, each.cause, each.way, each.days)
            return cause_sentences(told, lang)
    return []


def _moved_errors(report: Report, before: Previous, lang: Language) -> Iterable[Moved]:
    """Kinds of error that are new or more frequent, except those covered by a feature's sentence."""
    earlier = {feature.name: feature for feature in before.features}
    told = {
        code for feature in report.features if _fails(feature, earlier.get(feature.name))
        for code, count in feature.statuses.items() if count >= 0.8 * report.error_breakdown[code]
    }  # fmt: skip
    for code, count in report.error_breakdown.items():
        old = before.error_breakdown.get(code, 0)
        rise = (count / report.total_requests) / (max(old, 0.5) / before.total_requests)
        name = f"{code} {error_phrase(code, lang)}"
        if count < 5 or code in told:
            continue
        if old == 0:
            text = lang.plural("%(what)s is new: once.", "%(what)s is new: %(n)s times.", count, what=name)
            yield Moved(10 + count, text, status=code)
        elif rise >= 2:
            text = lang(
                "%(what)s came %(times)s× as often as before: %(now)s of the requests, not %(old)s.",
                what=name, times=lang.number(rise, 1), now=lang.percent(count / report.total_requests),
                old=lang.percent(old / before.total_requests),
            )  # fmt: skip
            yield Moved(rise, text, status=code)


def _fails(feature: Feature, old: FeatureBefore | None) -> bool:
    """Whether it is worth a sentence of its own: a quarter of its requests failed, or twice the share of before."""
    count, failed = feature.requests, feature.errors
    if feature.name == UNMATCHED or count < 10:
        return False
    rises = old is not None and old.requests >= 10 and failed / count >= 2 * old.errors / old.requests
    return failed >= 0.25 * count or (failed >= 5 and rises)


def _failing(feature: Feature, old: FeatureBefore | None, lang: Language) -> str:
    """The sentence that a feature fails: how often compared with before, for how many users, and with which status if
    it is always the same."""
    name, count, failed = short(feature.name), feature.requests, feature.errors
    details = [lang("%(bad)s of %(all)s requests", bad=lang.number(failed), all=lang.number(count))]
    if feature.failed_users:
        details.append(lang.plural("%(n)s user", "%(n)s users", feature.failed_users))
    code, most = max(feature.statuses.items(), key=lambda pair: pair[1], default=("", 0))
    if most == failed:
        details.append(lang("all %(code)s", code=code))
    elif most >= 0.9 * failed:
        details.append(lang("nearly all %(code)s", code=code))
    what = ", ".join(details)
    if old is None or old.requests < 10:
        return lang("%(feature)s fails often: %(what)s.", feature=name, what=what)
    if not old.errors:
        return lang("%(feature)s fails, and did not before: %(what)s.", feature=name, what=what)
    times = (failed / count) / (old.errors / old.requests)
    if times < 1.5:
        return lang("%(feature)s still fails often: %(what)s.", feature=name, what=what)
    return lang("%(feature)s fails %(times)s× as often as before: %(what)s.", feature=name,
                times=lang.number(times, 1 if times < 10 else 0), what=what)  # fmt: skip


def _moved_features(report: Report, before: Previous, lang: Language) -> Iterable[Moved]:
    old = {feature.name: feature.count for feature in before.top_features}
    earlier = {feature.name: feature for feature in before.features}
    for feature in report.features:
        name, count, failed = feature.name, feature.requests, feature.errors
        if _fails(feature, earlier.get(name)):
            yield Moved(10 + failed, _failing(feature, earlier.get(name), lang), feature=name)
        if old.get(name, 0) >= 20 and count >= 2 * old[name]:
            times = lang.number(count / old[name], 1)
            text = lang("%(feature)s was used %(times)s× as much as before.", feature=short(name), times=times)
            yield Moved(1, text, feature=name, of="more")
    now = {feature.name: feature.requests for feature in report.features}
    for name, count in old.items():
        if count >= 20 and now.get(name, 0) <= count / 3 and report.features:
            text = lang.plural(
                "%(feature)s was used less: %(n)s request, down from %(old)s.",
                "%(feature)s was used less: %(n)s requests, down from %(old)s.",
                now.get(name, 0), feature=short(name), old=lang.number(count),
            )  # fmt: skip
            yield Moved(1.5, text, feature=name, of="missing")


SECTION = Section("moved", {"moved": (), "moved_about": (), "moved_from": ""}, words)
