"""The state of things in one sentence, which the subject of the mail says too. Pure."""

from __future__ import annotations

from guardian.core.language import Language
from guardian.core.report.judge import all_failed
from guardian.core.report.model import Report
from guardian.mail.report.notes import said
from guardian.mail.report.wording import short


def headline(report: Report, status: str, lang: Language) -> str:
    """What a report of this status comes to."""
    requests, errors = report.total_requests, report.total_errors
    if not requests:
        return _nobody(report, lang)
    users = lang.plural("%(n)s person used the app", "%(n)s people used the app", report.active_users)
    users = said(report, "anonymous", lang).rstrip(".") or users
    down = [f for f in report.features if report.status_reason == all_failed(f.name, f.requests)]
    if status == "CRITICAL" and down:
        return lang("%(feature)s failed for everyone.", feature=short(down[0].name))
    if not errors:
        return lang("%(users)s, and nothing failed.", users=users)
    share = lang.percent(errors / requests)
    if status == "OK":
        return lang("%(users)s; %(share)s of the requests failed.", users=users, share=share)
    return lang("%(share)s of the requests failed.", share=share)


def _nobody(report: Report, lang: Language) -> str:
    if never := said(report, "never", lang):
        return never
    if report.only_features:
        return lang("Nobody used %(features)s.", features=short(", ".join(report.only_features)))
    if report.previous and report.previous.total_requests:
        return lang.plural(
            "Nobody used the app, after %(n)s request in the period before.",
            "Nobody used the app, after %(n)s requests in the period before.",
            report.previous.total_requests,
        )
    return lang("Nobody used the app.")
