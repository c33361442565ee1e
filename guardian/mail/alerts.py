"""Alert mails: one notice becomes one message a recipient and channel, in the thread of its incident."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from guardian.alerting.actions import Action
from guardian.alerting.briefing import CHART_BUCKET_MINUTES, Briefing, brief
from guardian.alerting.engine import Surroundings
from guardian.alerting.history import Snapshot
from guardian.alerting.links import WORDS, fresh_nonce, make_link
from guardian.alerting.notify import Notice
from guardian.language import Language
from guardian.mail.message import Thread, build_message, check_address, clean_line, message_id
from guardian.mail.render import render
from guardian.state import Outgoing

log = logging.getLogger("guardian.alerting")

BUTTONS: tuple[Action, ...] = ("acknowledge", "silence-1h", "silence-8h", "silence-morning", "fixed")
"""What an alert mail offers to do, in this order; the first stands out."""
CHART_HEIGHT = 56
_GRAVE = {"critical": "CRITICAL", "warning": "WARNING", "info": "UNKNOWN"}
_MARKS = {"critical": "● ", "warning": "⚠ ", "info": ""}
_BLOCKS = "▁▂▃▄▅▆▇█"
FULL, LINES = 6, 40
"""Of the incidents in one mail, so many are told in full, and so many more by a line each: an outage that hundreds of
users meet still makes a mail that Gmail shows whole."""


@dataclass(frozen=True, slots=True)
class Composed:
    """The messages of a notice, and the subject that its thread has from now on."""

    messages: tuple[Outgoing, ...]
    subject: str


@dataclass(frozen=True, slots=True)
class AlertWriter:
    """Writes alert mails. `link_key` signs the links of the buttons; None leaves the buttons out.

    `lang` is the language of channels, and of recipients for whom `language_of` (None: of nobody) gives no other.
    `nonce` gives the number that tells a link apart from all others.
    """

    around: Surroundings
    admins: tuple[str, ...]
    sender: str
    lang: Language
    zone: ZoneInfo
    public_url: str
    link_key: str | None
    support_email: str | None = None
    language_of: Callable[[str], Language] | None = None
    nonce: Callable[[], str] = fresh_nonce

    def compose(self, notice: Notice, snapshot: Snapshot, now: datetime) -> Composed:
        """The messages of one notice; one that cannot be written is logged and left out."""
        briefings, subject = self._told(notice, snapshot)
        messages = []
        for channel in dict.fromkeys(notice.audience.channels):
            if channel != "mail":
                messages.append(self._channel(notice, briefings, subject, channel))
                continue
            for recipient in dict.fromkeys(notice.audience.recipients or self.admins):
                try:
                    writer = self._writer_for(recipient)
                    told = (briefings, subject) if writer is self else writer._told(notice, snapshot, self)
                    messages.append(writer._mail(notice, *told, recipient, now))
                except Exception as error:  # one delivery: a recipient for whom it cannot be written blocks no other
                    log.error("The alert %r cannot be written for one recipient: %s", subject, error)
        return Composed(tuple(messages), subject)

    def _writer_for(self, recipient: str) -> AlertWriter:
        lang = self.language_of(recipient) if self.language_of else self.lang
        return self if lang.code == self.lang.code else replace(self, lang=lang)

    def _told(
        self, notice: Notice, snapshot: Snapshot, common: AlertWriter | None = None
    ) -> tuple[list[Briefing], str]:
        """What happened, in this writer's language, and the subject.

        A thread remembers its subject in the language of `common`. Where that one is what `common` would still begin
        it with, so is ours; else, as for one alert of several that opened together, the remembered one has to do.
        """
        rules = {rule.name: rule for rule in self.around.rules}
        briefings = [brief(t, rules[t.incident.rule], snapshot, self.lang) for t in notice.transitions]
        briefings.sort(key=_rank)
        if common is not None and not notice.first:
            afresh = replace(notice, first=True)
            theirs = [brief(t, rules[t.incident.rule], snapshot, common.lang) for t in notice.transitions]
            theirs.sort(key=_rank)
            if common._subject(afresh, theirs) == common._subject(notice, theirs):
                return briefings, self._subject(afresh, briefings)
        return briefings, self._subject(notice, briefings)

    def _subject(self, notice: Notice, briefings: Sequence[Briefing]) -> str:
        known = notice.transitions[0].incident.thread_subject
        if not notice.first and known:
            return known
        lang, worst = self.lang, _worst(briefings)
        if notice.form == "digest":
            text = lang.plural("%(n)s alert in the quiet hours", "%(n)s alerts in the quiet hours", len(briefings))
        elif notice.form == "overflow":
            text = lang.plural("%(n)s more alert", "%(n)s more alerts", len(briefings))
        elif len(briefings) > 1:
            text = lang("%(n)s alerts: %(first)s, …", n=len(briefings), first=briefings[0].title)
        else:
            text = briefings[0].title
        over = notice.form == "digest" and all(b.ended is not None for b in briefings)
        return clean_line(f"{'' if over else _MARKS[worst]}{text} – Guardian")

    def _mail(
        self, notice: Notice, briefings: Sequence[Briefing], subject: str, recipient: str, now: datetime
    ) -> Outgoing:
        key = f"incident/{notice.thread}/{notice.form}-{notice.at_us}/{recipient}"
        view = self.view(notice, briefings, subject, recipient, now)
        html, text = render("alert", self.lang, view=view)
        root = message_id(f"incident-{notice.thread}", self.sender)
        body = build_message(
            sender=self.sender,
            recipient=recipient,
            subject=subject if notice.first else f"Re: {subject}",
            text=text,
            html=html,
            key=key,
            now=now,
            reply_to=self._reply_to(briefings),
            thread=Thread(root, notice.first),
        )
        kind = "alert" if notice.form in ("single", "bundle") else "digest"
        return Outgoing(key, recipient, body, kind, "mail", _worst(briefings), subject)

    def _channel(self, notice: Notice, briefings: Sequence[Briefing], subject: str, channel: str) -> Outgoing:
        from guardian.channels import compose_channel

        lines = [f"{self._changed(b)}: {b.title}. {b.sentence}" for b in briefings[:FULL]]
        lines += self._others(briefings[FULL:])
        key = f"incident/{notice.thread}/{notice.form}-{notice.at_us}/{channel}"
        worst = _worst(briefings)
        over = all(b.ended is not None for b in briefings)
        body = compose_channel(
            subject, "\n".join(lines), severity=worst, url=self.public_url, thread=notice.thread, resolved=over
        )
        return Outgoing(key, channel, body, "alert", channel, worst, subject)

    def _reply_to(self, briefings: Sequence[Briefing]) -> str | None:
        """An alert about one user can be answered: to support, or else to the user."""
        if len(briefings) != 1 or briefings[0].rule.kind != "user_burst":
            return self.support_email
        try:
            return self.support_email or check_address(briefings[0].incident.subject)
        except ValueError:
            return None

    def view(
        self, notice: Notice, briefings: Sequence[Briefing], subject: str, recipient: str, now: datetime
    ) -> dict[str, Any]:
        """What the templates print."""
        over = all(b.ended is not None for b in briefings)
        headline = briefings[0].title if len(briefings) == 1 else subject.removesuffix(" – Guardian").lstrip("●⚠ ")
        return {
            "subject": subject,
            "headline": headline,
            "grave": "OK" if over else _GRAVE[_worst(briefings)],
            "preheader": " · ".join(f"{self._changed(b)}: {b.sentence}" for b in briefings[:3]),
            "day": self.lang.moment(now, self.zone),
            "blocks": [self._block(b, len(briefings) > 1, recipient, now) for b in briefings[:FULL]],
            "others": self._others(briefings[FULL:]),
        }

    def _others(self, briefings: Sequence[Briefing]) -> list[str]:
        """A line for each that has no room in full, and how many more there are."""
        lines = [f"{self._changed(b)}: {b.title}" for b in briefings[:LINES]]
        more = len(briefings) - LINES
        return [*lines, self.lang("and %(n)s more", n=self.lang.number(more))] if more > 0 else lines

    def _block(self, b: Briefing, titled: bool, recipient: str, now: datetime) -> dict[str, Any]:
        lang = self.lang
        return {
            "title": b.title if titled else "",
            "grave": "OK" if b.ended else _GRAVE[b.incident.severity],
            "change": self._changed(b),
            "sentence": b.sentence,
            "facts": self._facts(b),
            "chart": self._chart(b),
            "steps": [
                {"time": lang.clock(s.at, self.zone), "feature": s.feature, "status": s.status, "bad": s.status >= 400}
                for s in b.steps
            ],
            "buttons": self._buttons(b, recipient, now),
        }

    def _changed(self, b: Briefing) -> str:
        lang = self.lang
        match b.change:
            case "resolved":
                return lang("Resolved after %(time)s", time=lang.duration(b.duration or 0))
            case "reminder":
                return lang("Still firing")
            case "reopened":
                return lang("Fires again")
            case "flapping":
                return lang("Comes and goes; you will hear when it has been calm for 30 min")
        return lang("Opened")

    def _facts(self, b: Briefing) -> list[tuple[str, str]]:
        lang, zone = self.lang, self.zone
        facts = [(lang("Since"), lang.moment(b.since, zone))]
        if b.ended:
            facts.append((lang("Until"), lang.moment(b.ended, zone)))
        elif b.last_good:
            facts.append((lang("Last good"), lang.moment(b.last_good, zone)))
        if b.rule.kind not in ("user_burst", "traffic_drop", "traffic_spike", "tracker_silent"):
            facts.append((lang("Affected"), self._affected(b)))
        again = lang("for the first time") if not b.earlier else lang("%(n)s times before", n=b.earlier)
        facts.append((lang("Happened"), again))
        if b.features:
            where = [
                lang("%(feature)s (%(bad)s of %(all)s)", feature=name, bad=lang.number(bad), all=lang.number(number))
                for name, bad, number in b.features
            ]
            facts.append((lang("Where"), ", ".join(where)))
        if b.incident.acknowledged_by:
            facts.append((lang("Taken on by"), b.incident.acknowledged_by))
        facts.append((lang("The rule"), b.rule_in_words))
        return facts

    def _affected(self, b: Briefing) -> str:
        if not b.users:
            return self.lang("nobody who is signed in")
        text = self.lang.plural("%(n)s user", "%(n)s users", b.users) + ": " + ", ".join(b.names)
        return text + (", …" if b.users > len(b.names) else "")

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
        line = "".join(_BLOCKS[min(7, n * 8 // (max(numbers) + 1))] if n else "·" for n in numbers)
        start, end = b.chart[0].start, b.chart[-1].start + timedelta(minutes=CHART_BUCKET_MINUTES)
        return {
            # Of one user's errors the app's traffic says nothing.
            "bars": bars if requests and b.rule.kind != "user_burst" else [],
            "name": name,
            "line": line,
            "alt": alt,
            "start": self.lang.clock(start, self.zone),
            "end": self.lang.clock(end, self.zone),
            "height": CHART_HEIGHT,
        }

    def _buttons(self, b: Briefing, recipient: str, now: datetime) -> list[dict[str, str]]:
        if self.link_key is None or b.ended is not None:
            return []
        incident = b.incident.id
        return [
            {
                "label": self.lang(WORDS[action]),
                "url": make_link(self.public_url, self.link_key, incident, action, recipient, now, self.nonce),
            }
            for action in BUTTONS
        ]


def _height(number: int, most: int) -> int:
    return 0 if not number else max(2, round(number / most * CHART_HEIGHT))


def _worst(briefings: Sequence[Briefing]) -> str:
    order = ("info", "warning", "critical")
    return max((b.incident.severity for b in briefings), key=order.index)


def _rank(b: Briefing) -> tuple[bool, int, bool, int, str]:
    """What goes on before what is over, the gravest first, what concerns the app before what concerns one user."""
    graves = ("critical", "warning", "info")
    return b.ended is not None, graves.index(b.incident.severity), b.rule.kind == "user_burst", -b.users, b.title
