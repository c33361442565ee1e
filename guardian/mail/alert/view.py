"""What the templates of an alert mail print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from guardian.alerting.briefing import CHART_BUCKET_MINUTES, Briefing
from guardian.alerting.kinds import kind_of
from guardian.core.language import Language
from guardian.mail.chart import BLOCKS
from tracker.event import NOTED

CHART_HEIGHT = 56
"""Of the highest column, in CSS pixels."""
FULL, LINES = 6, 40
"""Of the incidents in one mail, so many are told in full, and so many more by a line each: an outage that hundreds of
users meet still makes a mail that Gmail shows whole."""
_GRAVE = {"critical": "CRITICAL", "warning": "WARNING", "info": "UNKNOWN"}


def _no_buttons(b: Briefing) -> list[dict[str, str]]:
    return []


@dataclass(frozen=True, slots=True)
class AlertView:
    """Says incidents in `lang`, with times of `zone`. `buttons` gives the links under one of them: label and url."""

    lang: Language
    zone: ZoneInfo
    buttons: Callable[[Briefing], list[dict[str, str]]] = _no_buttons

    def of(self, briefings: Sequence[Briefing], subject: str, now: datetime, full: int = FULL) -> dict[str, Any]:
        """The values of one mail, made at `now`, with at most so many incidents in full."""
        over = all(b.ended is not None for b in briefings)
        headline = briefings[0].title if len(briefings) == 1 else subject.removesuffix(" – Guardian").lstrip("●⚠ ")
        return {
            "subject": subject,
            "headline": headline,
            "grave": "OK" if over else _GRAVE[worst(briefings)],
            "preheader": " · ".join(f"{self._changed(b)}: {b.sentence}" for b in briefings[:3]),
            "day": self.lang.moment(now, self.zone),
            "blocks": [self._block(b, len(briefings) > 1) for b in briefings[:full]],
            "others": self._others(briefings[full:]),
        }

    def lines(self, briefings: Sequence[Briefing]) -> list[str]:
        """The same for a channel, a few lines each. It names no user but the one that an incident is about: a room of a
        chat has other readers than the inboxes of the admins."""
        lines = []
        for b in briefings[:FULL]:
            lines.append(f"{self._changed(b)}: {b.title}. {b.sentence}")
            lines += [f"{label}: {value}" for label, value in self._facts(b, names=False)]
        return lines + self._others(briefings[FULL:])

    def _others(self, briefings: Sequence[Briefing]) -> list[str]:
        """A line for each that has no room in full, and how many more there are."""
        lines = [f"{self._changed(b)}: {b.title}" for b in briefings[:LINES]]
        more = len(briefings) - LINES
        return [*lines, self.lang("and %(n)s more", n=self.lang.number(more))] if more > 0 else lines

    def _block(self, b: Briefing, titled: bool) -> dict[str, Any]:
        lang = self.lang
        return {
            "title": b.title if titled else "",
            "grave": "OK" if b.ended else _GRAVE[b.incident.severity],
            "change": self._changed(b),
            "sentence": b.sentence,
            "facts": self._facts(b),
            "chart": self._chart(b),
            "steps": [
                {
                    "time": lang.clock(s.at, self.zone),
                    "feature": s.feature,
                    "status": lang("%(code)s (failed)", code=s.status % NOTED) if s.status > NOTED else s.status,
                    "bad": s.status >= 400,
                }
                for s in b.steps
            ],
            "buttons": self.buttons(b),
        }

    def _changed(self, b: Briefing) -> str:
        lang = self.lang
        match b.change:
            case "resolved":
                return lang("Resolved after %(time)s", time=lang.duration(b.duration or 0))
            case "closed":
                return lang("Resolved by %(who)s", who=b.incident.acknowledged_by or "–")
            case "removed":
                return lang("Over: its rule was removed or switched off")
            case "unwatched":
                return lang("No longer watched: the settings were changed")
            case "reminder":
                return lang("Still firing")
            case "unsilenced":
                return lang("Still firing, and the silence is over")
            case "reopened":
                return lang("Fires again")
            case "flapping":
                return lang("Comes and goes; you will hear when it has been calm for 30 min")
        return lang("Opened")

    def _facts(self, b: Briefing, names: bool = True) -> list[tuple[str, str]]:
        """Label and value; with `names` False, of the users there is only how many."""
        lang, zone = self.lang, self.zone
        facts = [(lang("Since"), lang.moment(b.since, zone))]
        if b.again:
            facts.append((lang("Again since"), lang.moment(b.again, zone)))
        if b.ended:
            facts.append((lang("Until"), lang.moment(b.ended, zone)))
        elif b.last_good:
            facts.append((lang("Last good"), lang.moment(b.last_good, zone)))
        if kind_of(b.rule).says_users:
            facts.append((lang("Affected"), self._affected(b, names)))
        before = lang.plural("once before", "%(n)s times before", b.earlier)
        facts.append((lang("Happened"), before if b.earlier else lang("for the first time")))
        if b.features:
            where = [
                lang("%(feature)s (%(bad)s of %(all)s)", feature=name, bad=lang.number(bad), all=lang.number(number))
                for name, bad, number in b.features
            ]
            facts.append((lang("Where"), ", ".join(where)))
        if b.silenced_until:
            until = lang.moment(b.silenced_until, zone)
            facts.append(
                (lang("Silenced"), lang("until %(time)s by %(who)s", time=until, who=b.incident.acknowledged_by or "–"))
            )
        elif b.incident.acknowledged_by and b.change != "closed":
            facts.append((lang("Taken on by"), b.incident.acknowledged_by))
        facts.append((lang("The rule"), b.rule_in_words))
        return facts

    def _affected(self, b: Briefing, names: bool) -> str:
        lang = self.lang
        if not b.users:
            return lang("nobody known by name") if b.more_users else lang("nobody signed in")
        many = lang.plural("%(n)s user", "%(n)s users", b.users)
        if b.more_users:
            many = lang.plural("at least %(n)s user", "at least %(n)s users", b.users)
        if not names:
            return many
        return many + ": " + ", ".join(b.names) + (", …" if b.users > len(b.names) else "")

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
            # Of one user's errors the app's traffic says nothing.
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


def worst(briefings: Sequence[Briefing]) -> str:
    """The gravest severity among them."""
    order = ("info", "warning", "critical")
    return max((b.incident.severity for b in briefings), key=order.index)
