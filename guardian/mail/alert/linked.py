"""Where the lines of an alert mail lead: to the pages that show their evidence. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from markupsafe import Markup

from guardian.alerting.briefing import Briefing
from guardian.core.language import Language
from guardian.mail.pages import Pages


def evidence(b: Briefing, pages: Pages, now: datetime) -> Pages:
    """The pages limited to the time that a briefing made at `now` covers, in whole minutes."""
    start = min(b.since, b.start).replace(second=0, microsecond=0)
    end = (b.ended or now).replace(second=0, microsecond=0) + timedelta(minutes=1)
    return pages.during(start, max(end, start + timedelta(minutes=1)))


def linked_facts(
    b: Briefing, told: Iterable[tuple[str, str]], pages: Pages, lang: Language
) -> list[tuple[str, str | Markup, str]]:
    """The label, value and URL of each fact; people link to their own pages."""
    feature = b.features[0][0] if len(b.features) == 1 else ""
    urls = {
        lang("Affected"): pages.people(feature=feature, group="hit"),
        lang("Happened"): pages.incident(b.incident.id),
        lang("What failed"): pages.errors(feature=feature),
        lang("Where"): pages.feature(feature) if feature else pages.features(),
        lang("Fires when"): pages.rule(b.rule.name),
    }
    return [(label, pages.with_people(value), urls.get(label, "")) for label, value in told]
