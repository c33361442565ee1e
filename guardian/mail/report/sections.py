"""The sections of the report mail, in its order: a new one is its file, its two templates, a line here, and its name in
`guardian.core.sections`, by which the settings choose it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from guardian.core.language import Language
from guardian.core.report.model import Report
from guardian.mail.report import (
    chart,
    companions,
    failures,
    features,
    help,
    incidents,
    moved,
    privacy,
    quiet,
    releases,
    summary,
    turnover,
    users,
)

SECTIONS = (
    summary.SECTION,
    incidents.SECTION,
    releases.SECTION,
    moved.SECTION,
    turnover.SECTION,
    chart.SECTION,
    failures.SECTION,
    help.SECTION,
    quiet.SECTION,
    features.SECTION,
    users.SECTION,
    companions.SECTION,
    privacy.SECTION,
)


def blank() -> dict[str, Any]:
    """The values of a view with every section left out."""
    return {key: value for section in SECTIONS for key, value in section.blank.items()}


def nothing_to_say(view: Mapping[str, Any], report: Report | None, chosen: Collection[str], lang: Language) -> str:
    """One line for all chosen sections with nothing to show; "" if there are none, or nobody came. It says that no rule
    fired only if the report knows that, and not even a rule of severity info did.
    """
    if report is None or not report.total_requests:
        return ""
    said = [
        lang(section.nothing)
        for section in SECTIONS
        if section.nothing
        and (not chosen or section.name in chosen)
        and (section is not incidents.SECTION or report.fired == ())
        and not any(view[key] for key in section.blank)
    ]
    return lang("Nothing else to report: %(what)s.", what=", ".join(said)) if said else ""


def only_sections(view: Mapping[str, Any], chosen: Collection[str]) -> dict[str, Any]:
    """The view of a mail with the chosen sections and no other; none chosen means all. Headline and status stay."""
    left_out = [section.blank for section in SECTIONS if chosen and section.name not in chosen]
    return {**view, **{key: value for blank in left_out for key, value in blank.items()}}
