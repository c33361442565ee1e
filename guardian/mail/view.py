"""What the report mail shows: sentences and figures made from the report's JSON, in the reader's language. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from guardian.companions import Companion, Malformed
from guardian.language import Language
from guardian.report import all_failed
from tracker.error_text import reason_phrase

TOP_USERS, TOP_HELP, TOP_FEATURES, TOP_ERRORS = 10, 5, 8, 8
HELP_ERRORS = 3
"""Who needs help is shown with so many of the newest errors."""
MAX_NAME = 120
_GRAVITY = {"OK": 0, "UNKNOWN": 1, "WARNING": 2, "CRITICAL": 3}


def report_view(
    report: Mapping[str, Any] | None,
    companions: Sequence[Companion | Malformed],
    *,
    lang: Language,
    zone: ZoneInfo,
    next_report: tuple[datetime, Any] | None = None,
) -> dict[str, Any]:
    """Everything that the templates print. `report` None means a mail of companion reports only."""
    good = [each for each in companions if isinstance(each, Companion)]
    broken = [each for each in companions if isinstance(each, Malformed)]
    usage = report_part(report, lang, zone) if report is not None else None
    grave = max([usage["grave"] if usage else "OK", *(each.grave for each in good)], key=lambda g: _GRAVITY[g])
    worst = next((each for each in good if each.grave == grave), None)
    if usage and (usage["grave"] == grave or worst is None):
        headline = usage["headline"]
    elif worst is not None and grave != "OK":
        headline = lang("%(name)s reports %(status)s.", name=worst.title, status=worst.status)
    else:
        headline = lang("All is well.")
    view: dict[str, Any] = {
        **(usage or dict.fromkeys(_USAGE_KEYS, ())),
        "grave": grave,
        "headline": headline,
        "companions": good,
        "malformed": broken,
        "chart": None,
        "quiet": (),
        "incidents": (),
        "unsubscribe": None,
        "next_report": None,
    }
    if usage is None:
        view.update(period="", day="", privacy="")
    if next_report is not None:
        at, covers = next_report
        view["next_report"] = lang(
            "The next report goes out on %(at)s and covers %(span)s.",
            at=lang.moment(at, zone),
            span=lang.span(covers[0], covers[1], zone),
        )
    mark = {"OK": "", "WARNING": "⚠ ", "CRITICAL": "● ", "UNKNOWN": ""}[grave]
    view["subject"] = f"{mark}{headline.rstrip('.')} – Guardian"
    view["preheader"] = " · ".join(f"{f['label']} {f['value']}" for f in view["figures"][:3]) or headline
    return view


_USAGE_KEYS = ("figures", "moved", "errors", "help", "features", "users", "more_users")


def report_part(report: Mapping[str, Any], lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """The part that comes from the usage report; only its fixed keys are needed."""
    start, end = _time(report["period_start"]), _time(report["period_end"])
    status = report.get("status") or ("WARNING" if report["total_errors"] else "OK")
    return {
        "grave": status,
        "headline": headline(report, status, lang),
        "period": lang.span(start, end, zone),
        "day": lang.day(end, zone),
        "figures": _figures(report, lang),
        "moved": moved(report, lang),
        "errors": _errors(report, lang),
        "help": _help(report, lang, zone),
        "features": _features(report, lang),
        "users": [_user(user, lang) for user in _by_requests(report["users"])[:TOP_USERS]],
        "more_users": _more(len(report["users"]) - TOP_USERS, lang),
        "privacy": _privacy(report.get("privacy"), lang, zone),
    }


def headline(report: Mapping[str, Any], status: str, lang: Language) -> str:
    """The state of things in one sentence."""
    requests, errors = report["total_requests"], report["total_errors"]
    if not requests:
        return lang("Nobody used the app.")
    users = lang.plural("%(n)s person used the app", "%(n)s people used the app", report["active_users"])
    down = [f for f in report.get("features", ()) if report.get("status_reason") == all_failed(f)]
    if status == "CRITICAL" and down:
        return lang("%(feature)s failed for everyone.", feature=_short(down[0]["name"]))
    if not errors:
        return lang("%(users)s, and nothing failed.", users=users)
    share = lang.percent(errors / requests)
    if status == "OK":
        return lang("%(users)s; %(share)s of the requests failed.", users=users, share=share)
    return lang("%(share)s of the requests failed.", share=share)


def _figures(report: Mapping[str, Any], lang: Language) -> list[dict[str, str]]:
    before = report.get("previous") or {}
    requests, errors = report["total_requests"], report["total_errors"]
    rate = errors / requests if requests else 0.0
    old_requests = before.get("total_requests", 0)
    old_rate = before.get("total_errors", 0) / old_requests if old_requests else None
    latency = (report.get("latency_ms") or {}).get("p95")
    figures = [
        _figure(lang("Active users"), report["active_users"], before.get("active_users"), lang),
        _figure(lang("Requests"), requests, before.get("total_requests"), lang),
        {
            "label": lang("Failed"),
            "value": lang.percent(rate),
            "change": "" if old_rate is None else lang("before: %(share)s", share=lang.percent(old_rate)),
            "tone": "" if old_rate is None else _tone(rate - old_rate, 0.01),
        },
    ]
    if latency is not None:
        value = lang.milliseconds(latency)
        figures.append({"label": lang("95 % within"), "value": value, "change": "", "tone": ""})
    return figures


def _figure(label: str, now: int, before: int | None, lang: Language) -> dict[str, str]:
    change = "" if before is None else lang("before: %(n)s", n=lang.number(before))
    return {"label": label, "value": lang.number(now), "change": change, "tone": ""}


def _tone(difference: float, least: float) -> str:
    return "worse" if difference > least else "better" if difference < -least else ""


def moved(report: Mapping[str, Any], lang: Language) -> list[str]:
    """What changed against the period before, in sentences, the gravest first; at most four."""
    before = report.get("previous")
    if not before or not before.get("total_requests") or not report["total_requests"]:
        return []
    found: list[tuple[float, str]] = []
    old_errors = before.get("error_breakdown", {})
    for code, count in report["error_breakdown"].items():
        old = old_errors.get(code, 0)
        rise = (count / report["total_requests"]) / (max(old, 0.5) / before["total_requests"])
        name = f"{code} {reason_phrase(int(code))}"
        if count >= 5 and old == 0:
            text = lang.plural("%(what)s is new: once.", "%(what)s is new: %(n)s times.", count, what=name)
            found.append((10 + count, text))
        elif count >= 5 and rise >= 2:
            text = lang(
                "%(what)s came %(times)s× as often as before: %(now)s against %(old)s.",
                what=name, times=lang.number(rise, 1), now=lang.number(count), old=lang.number(old),
            )  # fmt: skip
            found.append((rise, text))
    found += _moved_features(report, before, lang)
    return [text for _, text in sorted(found, key=lambda pair: (-pair[0], pair[1]))[:4]]


def _moved_features(
    report: Mapping[str, Any], before: Mapping[str, Any], lang: Language
) -> Iterable[tuple[float, str]]:
    old = {feature["name"]: feature["count"] for feature in before.get("top_features", ())}
    for feature in report.get("features", ()):
        name, count, failed = feature["name"], feature["requests"], feature["errors"]
        if count >= 10 and failed / count >= 0.25 and name != "(unmatched)":
            text = lang(
                "%(feature)s fails often: %(bad)s of %(all)s requests.",
                feature=_short(name), bad=lang.number(failed), all=lang.number(count),
            )  # fmt: skip
            yield 20 * failed / count, text
        if old.get(name, 0) >= 20 and count >= 2 * old[name]:
            times = lang.number(count / old[name], 1)
            yield 1, lang("%(feature)s was used %(times)s× as much as before.", feature=_short(name), times=times)
    now = {feature["name"]: feature["requests"] for feature in report.get("features", ())}
    for name, count in old.items():
        if count >= 20 and now.get(name, 0) <= count / 3 and report.get("features"):
            text = lang(
                "%(feature)s was used less: %(now)s requests against %(old)s.",
                feature=_short(name), now=lang.number(now.get(name, 0)), old=lang.number(count),
            )  # fmt: skip
            yield 1.5, text


def _errors(report: Mapping[str, Any], lang: Language) -> list[dict[str, Any]]:
    counts = sorted(report["error_breakdown"].items(), key=lambda pair: (-pair[1], pair[0]))
    most = max((count for _, count in counts), default=1)
    return [
        {"code": code, "phrase": reason_phrase(int(code)), "count": lang.number(count), "share": count / most}
        for code, count in counts[:TOP_ERRORS]
    ]


def _help(report: Mapping[str, Any], lang: Language, zone: ZoneInfo) -> list[dict[str, Any]]:
    """The users with most errors: those with 3 or more, or for whom half of the requests failed."""
    rows = []
    for user in report["users"]:
        errors, requests = user["errors_count"], user["requests_count"]
        if errors < 3 and not (errors and errors * 2 >= requests):
            continue
        summary = lang("%(bad)s of %(all)s requests failed", bad=lang.number(errors), all=lang.number(requests))
        newest = _grouped(user["errors"], lang, zone)
        rows.append((errors, {"email": _short(user["email"]), "summary": summary, "errors": newest}))
    rows.sort(key=lambda row: (-row[0], row[1]["email"]))
    return [row for _, row in rows[:TOP_HELP]]


def _grouped(errors: Sequence[Mapping[str, Any]], lang: Language, zone: ZoneInfo) -> list[dict[str, Any]]:
    """The newest kinds of error of a user, each told once with its count and the last time, the newest last."""
    kinds: dict[tuple[Any, ...], int] = {}
    last: dict[tuple[Any, ...], str] = {}
    for error in errors:
        key = (error["endpoint"], error["code"], error["error"])
        kinds[key] = kinds.get(key, 0) + 1
        last[key] = error["timestamp"]
    newest = sorted(kinds, key=lambda key: last[key])[-HELP_ERRORS:]
    return [
        {
            "time": lang.clock(_time(last[key]), zone),
            "endpoint": _short(key[0]),
            "code": key[1],
            "text": _short(key[2].removesuffix(": Internal Server Error"))
            + (f" ({kinds[key]}×)" if kinds[key] > 1 else ""),
        }
        for key in newest
    ]


def _features(report: Mapping[str, Any], lang: Language) -> list[dict[str, Any]]:
    failed = {feature["name"]: feature["errors"] for feature in report.get("features", ())}
    most = max((feature["count"] for feature in report["top_features"]), default=1)
    rows = []
    for feature in report["top_features"][:TOP_FEATURES]:
        bad = failed.get(feature["name"], 0)
        rows.append(
            {
                "name": _short(feature["name"]),
                "count": lang.number(feature["count"]),
                "share": feature["count"] / most,
                "failed": lang.plural("%(n)s failed", "%(n)s failed", bad) if bad else "",
            }
        )
    return rows


def _by_requests(users: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(users, key=lambda user: (-user["requests_count"], user["email"]))


def _user(user: Mapping[str, Any], lang: Language) -> dict[str, Any]:
    used = user["features_used"]
    return {
        "email": _short(user["email"]),
        "features": _short(", ".join(used[:4])) + (f" +{len(used) - 4}" if len(used) > 4 else ""),
        "requests": lang.number(user["requests_count"]),
        "errors": lang.number(user["errors_count"]),
        "any_error": user["errors_count"] > 0,
        "time": lang.duration(user["total_time_minutes"] * 60) if user["total_time_minutes"] else "< 1 min",
    }


def _more(number: int, lang: Language) -> str:
    if number <= 0:
        return ""
    return lang.plural(
        "and %(n)s more person; the whole list is in usage_report.json.",
        "and %(n)s more people; the whole list is in usage_report.json.",
        number,
    )


def _privacy(receipt: Mapping[str, Any] | None, lang: Language, zone: ZoneInfo) -> str:
    if not receipt or receipt.get("events") is None:
        return ""
    text = lang(
        "Stored: %(n)s events: who used which feature when, and what failed; never what anybody wrote.",
        n=lang.number(receipt["events"]),
    )
    if receipt.get("oldest"):
        text += " " + lang("The oldest is of %(day)s.", day=lang.day(_time(receipt["oldest"]), zone))
    if receipt.get("dropped_events"):
        text += " " + lang.plural(
            "%(n)s event was lost this week, because the tracker's buffer was full.",
            "%(n)s events were lost this week, because the tracker's buffer was full.",
            receipt["dropped_events"],
        )
    return text


def _short(text: str) -> str:
    """At most 120 characters: a name may be as long as a client or an author likes."""
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + "…"


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
