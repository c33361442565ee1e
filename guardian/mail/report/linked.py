"""The link of each line in a report mail, to the page that shows its evidence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardian.core.report.model import Report
from guardian.mail.pages import Pages
from guardian.mail.report.incidents import IncidentLine
from guardian.mail.report.turnover import Line


def linked(view: Mapping[str, Any], report: Report | None, pages: Pages) -> dict[str, Any]:
    """The view of a report mail in which each row and sentence has a `url`, "" for none; `overview`,
    `to_errors`, `to_features` and `to_people` lead to whole pages. They show the time of the report."""
    timed = pages if report is None else pages.during(report.period_start, report.period_end)
    to_figures = (timed.people(), timed.overview(), timed.errors(), timed.features())
    about = zip(view["moved"], view["moved_about"], strict=True)
    # People who went quiet were last there before the report's period.
    return {
        **view,
        "overview": timed.overview() if report is not None else "",
        "to_errors": timed.errors(),
        "to_features": timed.features(),
        "to_people": timed.people(),
        "figures": [
            {**each, "url": url} for each, url in zip(view["figures"], to_figures, strict=False)
        ],
        "incidents": [{"text": each.text, "url": _incident(each, pages)} for each in view["incidents"]],
        "releases": [{"text": text, "url": timed.overview()} for text in view["releases"]],
        "moved": [{"text": text, "url": _moved(what, timed)} for text, what in about],
        "turnover": [_turned(each, pages, timed) for each in view["turnover"]],
        "errors": [{**each, "url": timed.errors(status=each["code"])} for each in view["errors"]],
        "help": [{**each, "url": timed.person(each["raw"])} for each in view["help"]],
        "gone_quiet": [{**each, "url": pages.person(each["raw"], range="30d")} for each in view["gone_quiet"]],
        "features": [{**each, "url": timed.feature(each["raw"])} for each in view["features"]],
        "users": [{**each, "url": timed.person(each["raw"])} for each in view["users"]],
        "notes": [{"text": text, "url": pages.system()} for text in view["notes"]],
    }  # fmt: skip


def _turned(line: Line, pages: Pages, timed: Pages) -> dict[str, Any]:
    """People who came in the report's period link to it; the others to the period before, and to their last month."""
    url = ""
    if line.feature:
        url = timed.feature(line.feature)
    elif line.group:
        url = (timed.before() if line.earlier else timed).people(group="" if line.group == "all" else line.group)
    people = [
        {"name": name, "url": pages.person(raw, range="30d") if line.earlier else timed.person(raw)}
        for name, raw in line.people
    ]
    return {"text": line.text, "people": people, "more": line.more, "url": url}


def _incident(line: IncidentLine, pages: Pages) -> str:
    return pages.incident(line.incident) if line.incident else pages.rule(line.rule) if line.rule else ""


def _moved(about: Mapping[str, str], pages: Pages) -> str:
    return pages.feature(about["feature"]) if about["feature"] else pages.errors(status=about["status"])
