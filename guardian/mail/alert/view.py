"""What the templates of an alert mail print."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from guardian.alerting.briefing import CHART_BUCKET_MINUTES, Briefing
from guardian.alerting.incidents import UNKNOWN
from guardian.alerting.kinds import kind_of
from guardian.alerting.notices import Form
from guardian.alerting.whom_words import whom_lines
from guardian.core.bidi import isolated
from guardian.core.grade import grade
from guardian.core.language import Language
from guardian.mail.alert.facts import facts
from guardian.mail.alert.letter import whom_shown
from guardian.mail.alert.linked import evidence, linked_facts
from guardian.mail.alert.titles import all_of, gravest, is_resolved, why_late
from guardian.mail.chart import BLOCKS
from guardian.mail.pages import NOWHERE, Pages
from tracker.event import NOTED

CHART_HEIGHT = 56
"""The height of the highest column, in CSS pixels."""
FULL, LINES = 6, 40
"""How many incidents a mail shows in full, and how many more in a line each, so that Gmail does not clip even the mail
of an outage that hits hundreds of users."""


def _no_buttons(b: Briefing) -> list[dict[str, str]]:
    return []


@dataclass(frozen=True, slots=True)
class AlertView:
    """Makes the view of incidents in `lang`, with times in `zone`, for the app named `app` ("": no name). `buttons`
    gives an incident's links (label, url); a one-line incident gets the first `few`. `pages` show the evidence. `files`
    are the names of attached files, by incident id.
    """

    lang: Language
    zone: ZoneInfo
    buttons: Callable[[Briefing], list[dict[str, str]]] = _no_buttons
    app: str = ""
    few: int | None = None
    pages: Pages = NOWHERE
    files: Mapping[str, str] = field(default_factory=dict)

    def of(
        self, briefings: Sequence[Briefing], subject: str, now: datetime, full: int = FULL, form: Form = "single"
    ) -> dict[str, Any]:
        """The values of one mail, made at `now`, with at most `most` incidents in full."""
        return {
            "subject": subject,
            "app": self.app,
            "headline": briefings[0].title if len(briefings) == 1 else all_of(briefings, form, self.lang),
            "lead": why_late(form, self.lang),
            "grave": "OK" if all(map(is_resolved, briefings)) else grade(gravest(briefings)).look.style,
            "preheader": " · ".join(self._labelled(self._changed(b), b.sentence) for b in briefings[:3]),
            "day": self.lang.zoned(now, self.zone),
            "blocks": [self._block(b, len(briefings) > 1, now) for b in briefings[:full]],
            "others": self._others(briefings[full:]),
            "more": self._more(briefings[full:]),
        }

    def lines(self, briefings: Sequence[Briefing]) -> list[str]:
        """The same for a channel, a few lines each. It names no user except the one that an incident is about, since a
        chat room may have other readers than the admins."""
        lines = []
        for b in briefings[:FULL]:
            lines.append(f"{self._labelled(self._changed(b), b.title)}. {b.sentence}")
            lines.append(b.line)
            lines += [self._labelled(*fact) for fact in facts(b, self.lang, self.zone, names=False)]
            if b.ended is not None:
                lines += whom_lines(b.why.whom, self.lang, self.zone)
        others = briefings[FULL:]
        return [*lines, *(each["text"] for each in self._others(others)), *filter(None, [self._more(others)])]

    def _others(self, briefings: Sequence[Briefing]) -> list[dict[str, Any]]:
        """A line and the buttons for each incident that is not shown in full."""
        return [
            {"text": self._labelled(self._changed(b), b.title), "buttons": self.buttons(b)[: self.few],
             "url": self.pages.incident(b.incident.id)}
            for b in briefings[:LINES]
        ]  # fmt: skip

    def _labelled(self, label: str, value: str) -> str:
        return self.lang("%(label)s: %(value)s", label=label, value=value)

    def _more(self, briefings: Sequence[Briefing]) -> str:
        """How many incidents have not even a line; "" if all have."""
        more = len(briefings) - LINES
        if more <= 0:
            return ""
        return self.lang("and %(n)s more, which 'guardian alerts list' shows", n=self.lang.number(more))

    def _block(self, b: Briefing, titled: bool, now: datetime) -> dict[str, Any]:
        lang, said = self.lang, facts(b, self.lang, self.zone)
        pages = evidence(b, self.pages, now)
        return {
            "title": b.title if titled else "",
            "grave": "OK" if is_resolved(b) else grade(gravest([b])).look.style,
            "change": self._changed(b),
            "sentence": b.sentence,
            "line": b.line,
            "facts": said,
            "rows": linked_facts(b, said, pages, lang),
            "url": pages.incident(b.incident.id),
            "person": pages.person(b.incident.subject) if kind_of(b.rule).of_one_user else "",
            "width": max(12, *(len(label) for label, _ in said)),
            "chart": self._chart(b),
            "did": lang.plural("Their last request", "Their last %(n)s requests", len(b.steps)),
            "steps": [
                {
                    "time": lang.clock(s.at, self.zone),
                    "feature": isolated(s.feature),
                    "url": pages.feature(s.feature),
                    "status": lang("%(code)s (failed)", code=s.status % NOTED) if s.status > NOTED else s.status,
                    "bad": s.status >= 400,
                }
                for s in b.steps
            ],
            "buttons": self.buttons(b),
            "whom": self._whom(b),
        }

    def _whom(self, b: Briefing) -> dict[str, Any] | None:
        """Whom an ended incident hit; None where mails do not say it."""
        found = b.why.whom
        if b.ended is None or not whom_lines(found, self.lang, self.zone):
            return None
        well = None if b.incident.end in UNKNOWN else b.ended
        return whom_shown(found, self.lang, self.zone, well, self.files.get(b.incident.id, ""))

    def _changed(self, b: Briefing) -> str:
        lang = self.lang
        match b.change:
            case "resolved":
                return lang("Resolved after %(time)s", time=lang.duration(b.duration or 0))
            case "closed":
                return lang("Resolved by %(who)s", who=b.incident.acknowledged_by or "–")
            case "removed":
                return lang("No longer watched: its rule was removed or switched off")
            case "unwatched":
                return lang("No longer watched: the settings were changed")
            case "reminder":
                return lang("Still firing")
            case "unsilenced":
                return lang("Still firing, and the silence is over")
            case "reopened":
                return lang("Firing again")
            case "flapping":
                return lang("Comes and goes; you will hear when it has been calm for 30 min")
        return lang("Opened")

    def _chart(self, b: Briefing) -> dict[str, Any]:
        most = max((bucket.requests for bucket in b.chart), default=0)
        failed = max((bucket.failed for bucket in b.chart), default=0)
        bars = [
            {
                "good": _height(bucket.requests - bucket.failed, most),
                "bad": _height(bucket.failed, most),
            }
            for bucket in b.chart
        ]
        lang, requests = self.lang, sum(bucket.requests for bucket in b.chart)
        many = lang.number(requests)
        if failed:
            name, numbers = lang("Failed"), [bucket.failed for bucket in b.chart]
            alt = lang(
                "%(bad)s of %(all)s requests failed in the last 6 hours", bad=lang.number(sum(numbers)), all=many
            )
        else:
            name, numbers = lang("Requests"), [bucket.requests for bucket in b.chart]
            alt = lang("%(all)s requests in the last 6 hours, none failed", all=many)
        line = "".join(BLOCKS[min(7, n * 8 // (max(numbers) + 1))] if n else "·" for n in numbers)
        start, end = b.chart[0].start, b.chart[-1].start + timedelta(minutes=CHART_BUCKET_MINUTES)
        return {
            # The app's traffic says nothing about one user's errors.
            "bars": bars if requests and not kind_of(b.rule).of_one_user else [],
            "name": name,
            "line": line,
            "alt": alt,
            "start": self.lang.clock(start, self.zone),
            "end": self.lang.clock(end, self.zone),
            "height": CHART_HEIGHT,
        }


def _height(number: int, most: int) -> int:
    return 0 if not number else max(2, round(number / most * CHART_HEIGHT))
