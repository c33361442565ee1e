"""What a message about incidents is called: the subject of a mail, its headline, the title on a channel."""

from __future__ import annotations

from collections.abc import Sequence

from guardian.alerting.briefing import Briefing
from guardian.alerting.incidents import UNKNOWN
from guardian.alerting.notices import Form
from guardian.core import grade as grades
from guardian.core.bidi import bare
from guardian.core.grade import Grade
from guardian.core.language import Language
from guardian.mail.message import clean_line

RESOLVED = f"{Grade.GOOD.look.sign} "
"""The prefix of a channel's title when everything in the message is resolved."""


def is_resolved(b: Briefing) -> bool:
    """Whether it is over, as opposed to going on or no longer watched."""
    return b.ended is not None and b.change not in UNKNOWN


def gravest(briefings: Sequence[Briefing]) -> str:
    """The highest severity among the incidents that go on; info if there are none."""
    return grades.gravest((b.incident.severity for b in briefings if b.ended is None), "info")


def subject_of(briefings: Sequence[Briefing], form: Form, app: str, lang: Language) -> str:
    """The subject of a thread's first mail. The whole thread keeps it, so it contains nothing that changes."""
    alone = form in ("single", "bundle") and len(briefings) == 1
    return _line(
        grades.grade(gravest(briefings)).mark, app, briefings[0].title if alone else all_of(briefings, form, lang)
    )


def title_of(briefings: Sequence[Briefing], form: Form, app: str, lang: Language) -> str:
    """The title of a channel's message, with the incidents' status."""
    mark = RESOLVED if all(map(is_resolved, briefings)) else grades.grade(gravest(briefings)).mark
    alone = form in ("single", "bundle") and len(briefings) == 1
    return _line(mark, app, _one(briefings[0], lang) if alone else all_of(briefings, form, lang))


def _line(mark: str, app: str, text: str) -> str:
    return clean_line(f"{mark}{f'{app}: ' if app else ''}{bare(text)} – Guardian")


def _one(b: Briefing, lang: Language) -> str:
    match b.change:
        case "resolved" | "closed":
            return lang("Resolved: %(what)s", what=b.title)
        case "removed" | "unwatched":
            return lang("No longer watched: %(what)s", what=b.title)
        case "reminder" | "unsilenced":
            return lang("Still firing: %(what)s", what=b.title)
        case "reopened":
            return lang("Firing again: %(what)s", what=b.title)
        case "flapping":
            return lang("Comes and goes: %(what)s", what=b.title)
    return b.title


def all_of(briefings: Sequence[Briefing], form: Form, lang: Language) -> str:
    """How many alerts the message contains, why they come together, how many are over, and the first few."""
    number, over = len(briefings), sum(b.ended is not None for b in briefings)
    if form == "digest":
        alerts = lang.plural("%(n)s alert in the quiet hours", "%(n)s alerts in the quiet hours", number)
    elif form == "overflow":
        alerts = lang.plural(
            "%(n)s alert held back by the hourly limit", "%(n)s alerts held back by the hourly limit", number
        )
    else:
        alerts = lang.plural("%(n)s alert", "%(n)s alerts", number)
    first = briefings[0].title if number == 1 else lang("%(first)s, …", first=briefings[0].title)
    if not over:
        return lang("%(label)s: %(value)s", label=alerts, value=first)
    if over < number:
        said = {"alerts": alerts, "over": lang.number(over), "first": first}
        return lang("%(alerts)s, %(over)s of them over: %(first)s", **said)
    if all(map(is_resolved, briefings)):
        return lang("%(alerts)s, resolved: %(first)s", alerts=alerts, first=first)
    return lang("%(alerts)s, over or no longer watched: %(first)s", alerts=alerts, first=first)


def why_late(form: Form, lang: Language) -> str:
    """Why a message comes late; "" if it does not."""
    if form == "digest":
        return lang("Nothing is sent about these rules during their quiet hours, so this comes now that they are over.")
    if form == "overflow":
        return lang("The hourly limit on messages (budget_per_hour) had been reached, so these had to wait.")
    return ""
