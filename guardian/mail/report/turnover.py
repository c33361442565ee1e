"""The week in people: who is new, who came back, who went quiet, and which features were taken up or given up. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.report.comparing import CLOCK_CHANGE, DAY, WEEK
from guardian.core.report.model import Report
from guardian.core.turnover import Cohort, Group, Turnover, Usage
from guardian.mail.report.section import Section
from guardian.mail.report.wording import short

LONGEST = 60
"""The most characters shown of a name in a sentence."""
FEATURES, ERRORS = 5, 3
"""How many features are named of each kind, and of those with people's last errors."""


class Line(NamedTuple):
    """A sentence; the people whom it names, as they are shown and whole, and how many `more` there are. `group` is the
    one of the page of people ("all": of everybody), `feature` what it is about. `earlier` says that they came in the
    period before."""

    text: str
    people: tuple[tuple[str, str], ...] = ()
    more: str = ""
    group: str = ""
    feature: str = ""
    earlier: bool = False


def words(report: Report, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """As `turnover_words`."""
    return turnover_words(report.turnover, report.period_end - report.period_start, lang, zone)


def turnover_words(told: Turnover | None, length: timedelta, lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """`turnover`, lines; `turnover_title`, by the `length` of the window; and `cohorts`, a table with its `head` and
    `rows`, None for none. Nothing where nobody knows, or nobody came, neither now nor before."""
    lines = [] if told is None else list(_lines(told, lang))
    if told is None or not lines:
        return dict(SECTION.blank)
    return {
        "turnover": lines,
        "turnover_title": _title(length, lang),
        "cohorts": _table(told.cohorts, lang, zone) if told.cohorts and not told.ordinary else None,
    }


def _title(length: timedelta, lang: Language) -> str:
    if length <= WEEK + CLOCK_CHANGE:
        return lang("The week in people")
    return lang("The month in people") if length <= 31 * DAY + CLOCK_CHANGE else lang("Who came and went")


def _lines(told: Turnover, lang: Language) -> Iterator[Line]:
    quiet = told.quiet or ()
    if told.ordinary:
        if told.active or told.active_before:
            yield Line(_ordinary(told, lang), group="all")
        return
    yield from _group(
        told.new,
        lang.plural("%(n)s person is new", "%(n)s people are new", told.new.number),
        lang,
        group="new",
    )
    yield from _group(
        told.returned,
        lang.plural(
            "%(n)s person is back after a week or more",
            "%(n)s people are back after a week or more",
            told.returned.number,
        ),
        lang,
        group="returned",
    )
    after = [each for each in quiet if each.feature]
    for each in after[:ERRORS]:
        yield from _group(each, _gone(each, lang), lang, group="all", earlier=True)
    if rest := after[ERRORS:]:
        number = sum(each.number for each in rest)
        features = lang.plural("%(n)s other feature", "%(n)s other features", len(rest))
        yield Line(f"{_gone(Group(number, feature=features), lang)}.", group="all", earlier=True)
    for each in quiet[len(after) :]:
        yield from _group(each, _gone(each, lang), lang, group="all", earlier=True)
    if told.came_new:
        yield Line(
            lang.plural(
                "%(back)s of %(n)s person who was new in the period before came back.",
                "%(back)s of %(n)s people who were new in the period before came back.",
                told.came_new, back=lang.number(told.came_back or 0),
            ),
            group="new", earlier=True,
        )  # fmt: skip
    yield from _features(told.adopted, told, lang("More people use %(feature)s: %(now)s, before %(old)s."), lang)
    yield from _features(told.abandoned, told, lang("Fewer people use %(feature)s: %(now)s, before %(old)s."), lang)


def _ordinary(told: Turnover, lang: Language) -> str:
    gone = sum(each.number for each in told.quiet or ())
    counts = [
        lang.plural("%(n)s person", "%(n)s people", told.active),
        lang.plural("%(n)s of them new", "%(n)s of them new", told.new.number),
        lang.plural(
            "%(n)s back after a week or more", "%(n)s back after a week or more", told.returned.number
        ),
        lang.plural("%(n)s gone quiet", "%(n)s gone quiet", gone),
    ]  # fmt: skip
    return lang("As usual: %(counts)s.", counts=", ".join(counts))


def _gone(group: Group, lang: Language) -> str:
    if group.feature:
        return lang.plural(
            "%(n)s person who came in both periods before stayed away, after an error in %(feature)s",
            "%(n)s people who came in both periods before stayed away, after an error in %(feature)s",
            group.number, feature=short(group.feature),
        )  # fmt: skip
    return lang.plural(
        "%(n)s person who came in both periods before stayed away",
        "%(n)s people who came in both periods before stayed away",
        group.number,
    )


def _group(each: Group, text: str, lang: Language, *, group: str = "", earlier: bool = False) -> Iterator[Line]:
    """A line about these people; nothing if there are none."""
    if not each.number:
        return
    names = tuple((short(name, LONGEST), name) for name in each.people)
    more = each.number - len(names)
    said = lang("and %(n)s more", n=lang.number(more)) if names and more else ""
    yield Line(lang("%(what)s:", what=text) if names else f"{text}.", names, said, group, earlier=earlier)


def _features(found: Sequence[Usage], told: Turnover, text: str, lang: Language) -> Iterator[Line]:
    for each in found[:FEATURES]:
        now = lang("%(n)s of %(all)s", n=lang.number(each.people), all=lang.number(told.active))
        old = lang("%(n)s of %(all)s", n=lang.number(each.before), all=lang.number(told.active_before))
        yield Line(text % {"feature": short(each.feature), "now": now, "old": old}, feature=each.feature)
    if (more := len(found) - FEATURES) > 0:
        yield Line(lang.plural("and %(n)s feature more", "and %(n)s features more", more))


def _table(cohorts: Sequence[Cohort], lang: Language, zone: ZoneInfo) -> dict[str, Any]:
    """The cohort table: when people were new, and which share of them came in each later period."""
    most = max(len(each.back) for each in cohorts)
    return {
        "head": [lang("New in"), lang("People"), *(f"+{n}" for n in range(1, most + 1))],
        "rows": [
            [
                lang.short_day(each.start, zone),
                lang.number(each.new),
                *(lang.percent(came / each.new) if each.new else "–" for came in each.back),
                *[""] * (most - len(each.back)),
            ]
            for each in cohorts
        ],
    }


SECTION = Section("turnover", {"turnover": (), "turnover_title": "", "cohorts": None}, words)
