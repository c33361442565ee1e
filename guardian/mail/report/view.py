"""What the report mail shows: sentences and figures made from the report's JSON, in the reader's language. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from guardian.core.language import Language, marked
from guardian.core.report.judge import all_failed
from guardian.mail.chart import chart_of
from guardian.mail.companions import Companion, Malformed
from guardian.mail.report.changes import error_phrase, figures, moved, short
from guardian.mail.report.notes import noted, said
from guardian.mail.report.people import busiest, more_people, who_needs_help, who_went_quiet

TOP_FEATURES, TOP_ERRORS = 8, 8
MAX_COMPANIONS = 12
_GRAVITY = {marked("OK"): 0, marked("WARNING"): 1, marked("CRITICAL"): 2}


def report_view(
    report: Mapping[str, Any] | None,
    companions: Sequence[Companion | Malformed],
    *,
    lang: Language,
    zone: ZoneInfo,
    next_report: tuple[datetime, Any] | None = None,
) -> dict[str, Any]:
    """Everything that the templates print. `report` None means a mail of companion reports only.

    The status of the whole, OK, WARNING or CRITICAL, is the worst of all parts. A companion that is UNKNOWN or that
    cannot be read counts as WARNING: nobody can say that it is well.
    """
    usage = report_part(report, lang, zone) if report is not None else None
    others = sorted(
        (_summarised(each, lang) for each in companions), key=lambda o: (-_GRAVITY[o["counts"]], o["title"])
    )
    grave = max([usage["grave"] if usage else "OK", *(o["counts"] for o in others)], key=lambda g: _GRAVITY[g])
    if usage and (usage["grave"] == grave or not others):
        headline = usage["headline"]
    elif grave != "OK":
        headline = others[0]["sentence"]
    else:
        headline = lang("All is well.")
    good = [each for each in companions if isinstance(each, Companion)]
    good.sort(key=lambda each: (-_GRAVITY[_counts(each)], each.title))
    broken = sorted((each for each in companions if isinstance(each, Malformed)), key=lambda each: short(each.name))
    more = len(others) - MAX_COMPANIONS
    view: dict[str, Any] = {
        **(
            usage
            or {
                "period": "",
                "day": "",
                "figures": (),
                "chart": None,
                "more_users": "",
                "privacy": "",
                "notes": (),
                "more_notes": "",
            }
        ),
        "grave": grave,
        "headline": headline,
        "others": others[:MAX_COMPANIONS],
        "more_others": lang.plural("and %(n)s more report", "and %(n)s more reports", more) if more > 0 else "",
        "companions": [replace(c, timestamp=_moment(c.timestamp, lang, zone)) for c in good[:MAX_COMPANIONS]],
        "malformed": broken[:MAX_COMPANIONS],
        "next_report": "",
        "incidents": (),
        "unsubscribe": None,
    }
    if next_report is not None:
        at, covers = next_report
        view["next_report"] = lang(
            "The next report goes out on %(at)s and covers %(span)s.",
            at=lang.moment(at, zone),
            span=lang.span(covers[0], covers[1], zone),
        )
    mark = {"OK": "", "WARNING": "⚠ ", "CRITICAL": "● "}[grave]
    view["subject"] = f"{mark}{headline.rstrip('.')} – Guardian"
    view["preheader"] = " · ".join(f"{f['label']} {f['value']}" for f in view["figures"][:3]) or headline
    return view


def _counts(companion: Companion) -> str:
    return "WARNING" if companion.grave == "UNKNOWN" else companion.grave


def _summarised(each: Companion | Malformed, lang: Language) -> dict[str, str]:
    """One companion as the executive summary shows it; `counts` is what it adds to the status of the whole."""
    if isinstance(each, Malformed):
        name = short(each.name)
        sentence = lang("%(name)s could not be shown: %(why)s.", name=name, why=lang(each.reason))
        return {
            "title": name,
            "status": lang("unreadable"),
            "grave": "UNKNOWN",
            "counts": "WARNING",
            "sentence": sentence,
        }
    sentence = lang("%(name)s reports %(status)s.", name=short(each.title), status=each.status)
    counts = _counts(each)
    return {
        "title": short(each.title),
        "status": each.status,
        "grave": each.grave,
        "counts": counts,
        "sentence": sentence,
    }


def report_part(report: Mapping[str, Any], lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """The part that comes from the usage report; only its fixed keys are needed."""
    start, end = _time(report["period_start"]), _time(report["period_end"])
    status = report.get("status") or ("WARNING" if report["total_errors"] else "OK")
    said_first = headline(report, status, lang)
    return {
        "grave": status,
        "headline": said_first,
        **noted(report, said_first, lang),
        "period": f"{lang.span(start, end, zone)} ({zone.key})",
        "day": lang.day(end, zone),
        "figures": figures(report, lang),
        "moved": moved(report, lang),
        "errors": _errors(report, lang),
        "chart": chart_of(report, lang, zone),
        "help": who_needs_help(report, lang, zone),
        "gone_quiet": who_went_quiet(report, lang, zone),
        "features": _features(report, lang),
        "users": busiest(report, lang),
        "more_users": more_people(report, lang),
        "anonymous": _anonymous(report.get("anonymous"), lang),
        "privacy": _privacy(report, lang, zone),
    }


def headline(report: Mapping[str, Any], status: str, lang: Language) -> str:
    """The state of things in one sentence."""
    requests, errors = report["total_requests"], report["total_errors"]
    if not requests:
        return _nobody(report, lang)
    users = lang.plural("%(n)s person used the app", "%(n)s people used the app", report["active_users"])
    users = said(report, "anonymous", lang).rstrip(".") or users
    down = [
        f for f in report.get("features", ()) if report.get("status_reason") == all_failed(f["name"], f["requests"])
    ]
    if status == "CRITICAL" and down:
        return lang("%(feature)s failed for everyone.", feature=short(down[0]["name"]))
    if not errors:
        return lang("%(users)s, and nothing failed.", users=users)
    share = lang.percent(errors / requests)
    if status == "OK":
        return lang("%(users)s; %(share)s of the requests failed.", users=users, share=share)
    return lang("%(share)s of the requests failed.", share=share)


def _nobody(report: Mapping[str, Any], lang: Language) -> str:
    if never := said(report, "never", lang):
        return never
    if report.get("only_features"):
        return lang("Nobody used %(features)s.", features=short(", ".join(report["only_features"])))
    before = (report.get("previous") or {}).get("total_requests")
    if before:
        return lang.plural(
            "Nobody used the app, after %(n)s request in the period before.",
            "Nobody used the app, after %(n)s requests in the period before.",
            before,
        )
    return lang("Nobody used the app.")


def _errors(report: Mapping[str, Any], lang: Language) -> list[dict[str, Any]]:
    counts = sorted(report["error_breakdown"].items(), key=lambda pair: (-pair[1], pair[0]))
    most = max((count for _, count in counts), default=1)
    return [
        {"code": code, "phrase": error_phrase(code, lang), "count": lang.number(count), "share": count / most}
        for code, count in counts[:TOP_ERRORS]
    ]


def _features(report: Mapping[str, Any], lang: Language) -> list[dict[str, Any]]:
    known = {feature["name"]: feature for feature in report.get("features", ())}
    most = max((feature["count"] for feature in report["top_features"]), default=1)
    rows = []
    for feature in report["top_features"][:TOP_FEATURES]:
        more = known.get(feature["name"], {"errors": 0, "latency_ms": {"p95": None}})
        bad, p95 = more["errors"], more["latency_ms"]["p95"]
        rows.append(
            {
                "name": short(feature["name"]),
                "count": lang.number(feature["count"]),
                "share": feature["count"] / most,
                "failed": lang.plural("%(n)s failed", "%(n)s failed", bad) if bad else "",
                "speed": "" if p95 is None else lang("95 %% within %(time)s", time=lang.milliseconds(p95)),
            }
        )
    return rows


def _anonymous(totals: Mapping[str, int] | None, lang: Language) -> str:
    if not totals or not totals["requests_count"]:
        return ""
    return lang.plural(
        "Not signed in: %(n)s request, %(bad)s failed.",
        "Not signed in: %(n)s requests, %(bad)s failed.",
        totals["requests_count"], bad=lang.number(totals["errors_count"]),
    )  # fmt: skip


def _privacy(report: Mapping[str, Any], lang: Language, zone: ZoneInfo) -> str:
    receipt = report.get("privacy")
    if not receipt or receipt.get("events") is None:
        return ""
    text = lang.plural(
        "Stored: %(n)s event: who used which feature when, and what failed; never what anybody wrote.",
        "Stored: %(n)s events: who used which feature when, and what failed; never what anybody wrote.",
        receipt["events"],
    )
    if receipt.get("oldest"):
        text += " " + lang("The oldest is of %(day)s.", day=lang.day(_time(receipt["oldest"]), zone))
    if receipt.get("purged_events"):
        text += " " + lang.plural(
            "%(n)s older one has been deleted.", "%(n)s older ones have been deleted.", receipt["purged_events"]
        )
        if receipt.get("totals_since"):
            day = lang.day(_time(receipt["totals_since"]), zone)
            text += " " + lang("The totals of each user since %(day)s are kept.", day=day)
    if receipt.get("dropped_events") and not said(report, "dropped", lang):
        text += " " + lang.plural(
            "%(n)s event was lost this week, because the tracker's buffer was full.",
            "%(n)s events were lost this week, because the tracker's buffer was full.",
            receipt["dropped_events"],
        )
    return text


def _moment(text: str, lang: Language, zone: ZoneInfo) -> str:
    """A companion's time in the reader's zone, where it is an ISO time with an offset; else as it is written."""
    try:
        when = _time(text)
    except ValueError:
        return text
    return text if when.tzinfo is None else lang.moment(when, zone)


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)
