"""The overall status in one sentence, also used in the subject. Pure."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.judge import all_failed, unusual
from guardian.core.report.model import Report
from guardian.mail.report.notes import said
from guardian.mail.report.wording import compared_day, short


def headline(report: Report, status: str, lang: Language, zone: ZoneInfo) -> str:
    """The sentence for a report with this status."""
    requests, errors = report.total_requests, report.total_errors
    if not requests:
        return _nobody(report, lang, zone)
    users = lang.plural("%(n)s person used the app", "%(n)s people used the app", report.active_users)
    users = said(report, "anonymous", lang).rstrip(".") or users
    down = [f for f in report.features if report.status_reason == all_failed(f.name, f.requests)]
    if status == "CRITICAL" and down:
        return lang("%(feature)s failed for everyone.", feature=short(down[0].name))
    rules, share = len(_fired(report)), lang.percent(errors / requests)
    if status != "OK" and rules:
        if not errors:
            return lang.plural("%(n)s rule fired; nothing failed.", "%(n)s rules fired; nothing failed.", rules)
        return lang.plural(
            "%(n)s rule fired; %(share)s of the requests failed.",
            "%(n)s rules fired; %(share)s of the requests failed.",
            rules, share=share,
        )  # fmt: skip
    if not errors:
        return lang("%(users)s, and nothing failed.", users=users)
    if status == "OK":
        return lang("%(users)s; %(share)s of the requests failed.", users=users, share=share)
    rate = report.server_errors / requests
    if status == "WARNING" and unusual(rate, _usual(report)):
        return lang("%(share)s of the requests failed with a server error.", share=lang.percent(rate))
    return lang("%(share)s of the requests failed.", share=share)


def verdict(report: Report, status: str, lang: Language) -> str:
    """A sentence that justifies the status: which rules fired, what is usual, or that the period was ordinary; "" if
    nobody came, or the report has no information."""
    if report.fired is None and report.comparison is None:
        return ""
    fired, usual = _fired(report), _usual(report)
    if fired:
        return lang.plural("A rule fired: %(rules)s.", "Rules that fired: %(rules)s.", len(fired),
                           rules=", ".join(map(short, fired)))  # fmt: skip
    if not report.total_requests:
        return ""
    rate = report.server_errors / report.total_requests
    if status == "WARNING" and unusual(rate, usual):
        if usual is None:
            return lang("That is more than 1 %; what is usual here is not known yet.")
        return lang("Usually it is %(usual)s.", usual=lang.percent(usual))
    if status != "OK":
        return ""
    share = lang.percent(rate)
    if report.fired is None or report.fired:  # alerts are off, or rules that only inform fired
        text = lang("Nothing out of the ordinary: %(share)s of the requests failed with a server error.", share=share)
    elif not report.server_errors:
        text = lang("Nothing out of the ordinary: no rule fired, and no request failed with a server error.")
    else:
        text = lang(
            "Nothing out of the ordinary: no rule fired, and %(share)s of the requests failed with a server error.",
            share=share,
        )
    return text if usual is None else text + " " + lang("Usually it is %(usual)s.", usual=lang.percent(usual))


def _fired(report: Report) -> list[str]:
    """The rules that fired, without those of severity info."""
    return sorted({each.rule for each in report.fired or () if each.severity != "info"})


def _usual(report: Report) -> float | None:
    return report.comparison.usual_server_rate if report.comparison else None


def _nobody(report: Report, lang: Language, zone: ZoneInfo) -> str:
    if never := said(report, "never", lang):
        return never
    if report.only_features:
        return lang("Nobody used %(features)s.", features=short(", ".join(report.only_features)))
    before = report.baseline
    if before is None or not before.total_requests:
        return lang("Nobody used the app.")
    if day := compared_day(report, lang, zone):
        return lang.plural(
            "Nobody used the app, after %(n)s request %(day)s.", "Nobody used the app, after %(n)s requests %(day)s.",
            before.total_requests, day=day,
        )  # fmt: skip
    return lang.plural(
        "Nobody used the app, after %(n)s request in the period before.",
        "Nobody used the app, after %(n)s requests in the period before.",
        before.total_requests,
    )
