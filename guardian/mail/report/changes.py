"""Key figures beside those of the period before, and what moved between the two, in sentences. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from guardian.core.language import Language
from guardian.mail.message import one_line
from tracker.error_text import reason_phrase

MAX_NAME = 120
UNMATCHED = "(unmatched)"
"""The feature of requests that no route matches: they fail by their nature."""


def figures(report: Mapping[str, Any], lang: Language) -> list[dict[str, str]]:
    """The key figures: `label`, `value`, `change` (empty without a period before), `tone` (worse, better or empty).

    None of them where nobody came, neither now nor before: there is nothing to say.
    """
    before = report.get("previous") or {}
    if not report["total_requests"] and not before.get("total_requests"):
        return []
    requests, errors = report["total_requests"], report["total_errors"]
    rate = errors / requests if requests else None
    old_requests = before.get("total_requests", 0)
    old_rate = before.get("total_errors", 0) / old_requests if old_requests else None
    latency = (report.get("latency_ms") or {}).get("p95")
    change = tone = ""
    if rate is not None and old_rate is not None:
        change, tone = _change(rate, old_rate, lang.percent, lang), _tone(rate - old_rate, 0.01)
    failed = "–" if rate is None else lang.percent(rate)
    found = [
        _figure(lang("Active users"), report["active_users"], before.get("active_users"), lang),
        _figure(lang("Requests"), requests, before.get("total_requests"), lang),
        {"label": lang("Failed"), "value": failed, "change": change, "tone": tone},
    ]
    if latency is not None:
        value = lang.milliseconds(latency)
        found.append({"label": lang("95 % within"), "value": value, "change": "", "tone": ""})
    return found


def _figure(label: str, now: int, before: int | None, lang: Language) -> dict[str, str]:
    change = "" if before is None else _change(now, before, lang.number, lang)
    return {"label": label, "value": lang.number(now), "change": change, "tone": ""}


def _change(now: float, before: float, say: Callable[[float], str], lang: Language) -> str:
    """The change as it can be seen: two values that are shown alike are as before."""
    shown = say(before)
    if say(now) == shown:
        return lang("as before")
    return lang("↑ from %(before)s", before=shown) if now > before else lang("↓ from %(before)s", before=shown)


def _tone(difference: float, least: float) -> str:
    return "worse" if difference > least else "better" if difference < -least else ""


def moved(report: Mapping[str, Any], lang: Language) -> list[str]:
    """What changed against the period before, in sentences, the gravest first; at most four."""
    before = report.get("previous")
    if not before or not before.get("total_requests") or not report["total_requests"]:
        return []
    found = list(_moved_errors(report, before, lang))
    found += _moved_features(report, before, lang)
    return [text for _, text in sorted(found, key=lambda pair: (-pair[0], pair[1]))[:4]]


def _moved_errors(report: Mapping[str, Any], before: Mapping[str, Any], lang: Language) -> Iterable[tuple[float, str]]:
    """Kinds of error that are new or came more often, but for those that one feature's sentence tells."""
    earlier = {feature["name"]: feature for feature in before.get("features", ())}
    told = {
        code for feature in report.get("features", ()) if _fails(feature, earlier.get(feature["name"]))
        for code, count in feature["statuses"].items() if count >= 0.8 * report["error_breakdown"][code]
    }  # fmt: skip
    old_errors = before.get("error_breakdown", {})
    for code, count in report["error_breakdown"].items():
        old = old_errors.get(code, 0)
        rise = (count / report["total_requests"]) / (max(old, 0.5) / before["total_requests"])
        name = f"{code} {error_phrase(code, lang)}"
        if count < 5 or code in told:
            continue
        if old == 0:
            yield 10 + count, lang.plural("%(what)s is new: once.", "%(what)s is new: %(n)s times.", count, what=name)
        elif rise >= 2:
            yield rise, lang(
                "%(what)s came %(times)s× as often as before: %(now)s of the requests, not %(old)s.",
                what=name, times=lang.number(rise, 1), now=lang.percent(count / report["total_requests"]),
                old=lang.percent(old / before["total_requests"]),
            )  # fmt: skip


def _fails(feature: Mapping[str, Any], old: Mapping[str, Any] | None) -> bool:
    """Whether it is worth a sentence of its own: a quarter of its requests failed, or twice the share of before."""
    count, failed = feature["requests"], feature["errors"]
    if feature["name"] == UNMATCHED or count < 10:
        return False
    rises = old is not None and old["requests"] >= 10 and failed / count >= 2 * old["errors"] / old["requests"]
    return failed >= 0.25 * count or (failed >= 5 and rises)


def _failing(feature: Mapping[str, Any], old: Mapping[str, Any] | None, lang: Language) -> str:
    """That it fails: how often against before, for how many users, with which status where it is always the same."""
    name, count, failed = short(feature["name"]), feature["requests"], feature["errors"]
    details = [lang("%(bad)s of %(all)s requests", bad=lang.number(failed), all=lang.number(count))]
    if feature["failed_users"]:
        details.append(lang.plural("%(n)s user", "%(n)s users", feature["failed_users"]))
    code, most = max(feature["statuses"].items(), key=lambda pair: pair[1])
    if most == failed:
        details.append(lang("all %(code)s", code=code))
    elif most >= 0.9 * failed:
        details.append(lang("nearly all %(code)s", code=code))
    what = ", ".join(details)
    if old is None or old["requests"] < 10:
        return lang("%(feature)s fails often: %(what)s.", feature=name, what=what)
    if not old["errors"]:
        return lang("%(feature)s fails, and did not before: %(what)s.", feature=name, what=what)
    times = (failed / count) / (old["errors"] / old["requests"])
    if times < 1.5:
        return lang("%(feature)s still fails often: %(what)s.", feature=name, what=what)
    return lang("%(feature)s fails %(times)s× as often as before: %(what)s.", feature=name,
                times=lang.number(times, 1 if times < 10 else 0), what=what)  # fmt: skip


def _moved_features(
    report: Mapping[str, Any], before: Mapping[str, Any], lang: Language
) -> Iterable[tuple[float, str]]:
    old = {feature["name"]: feature["count"] for feature in before.get("top_features", ())}
    earlier = {feature["name"]: feature for feature in before.get("features", ())}
    for feature in report.get("features", ()):
        name, count, failed = feature["name"], feature["requests"], feature["errors"]
        if _fails(feature, earlier.get(name)):
            yield 10 + failed, _failing(feature, earlier.get(name), lang)
        if old.get(name, 0) >= 20 and count >= 2 * old[name]:
            times = lang.number(count / old[name], 1)
            yield 1, lang("%(feature)s was used %(times)s× as much as before.", feature=short(name), times=times)
    now = {feature["name"]: feature["requests"] for feature in report.get("features", ())}
    for name, count in old.items():
        if count >= 20 and now.get(name, 0) <= count / 3 and report.get("features"):
            text = lang.plural(
                "%(feature)s was used less: %(n)s request against %(old)s.",
                "%(feature)s was used less: %(n)s requests against %(old)s.",
                now.get(name, 0), feature=short(name), old=lang.number(count),
            )  # fmt: skip
            yield 1.5, text


def error_phrase(code: str, lang: Language) -> str:
    """What a status of `error_breakdown` is called: in RFC 9110's words, or that the app noted it as failed."""
    return reason_phrase(int(code)) if int(code) >= 400 else lang("noted as failed")


def short(text: str) -> str:
    """A name on one line, of at most 120 characters: a client or an author may have made it as long as they liked."""
    line = one_line(text[: 4 * MAX_NAME])
    return line if len(line) <= MAX_NAME else line[: MAX_NAME - 1] + "…"
