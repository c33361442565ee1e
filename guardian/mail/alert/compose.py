"""Alert mails: a notice becomes one message for each recipient and channel, in its incident's thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from guardian.alerting.actions import Action
from guardian.alerting.briefing import Briefing, brief
from guardian.alerting.explaining import UNEXPLAINED, Explanation
from guardian.alerting.forgetting import people_named
from guardian.alerting.history import Snapshot
from guardian.alerting.incidents import Incident
from guardian.alerting.kinds import kind_of
from guardian.alerting.links import WORDS, fresh_nonce, make_link
from guardian.alerting.notices import Notice
from guardian.alerting.wording import title
from guardian.core.grade import grade
from guardian.core.language import Language
from guardian.core.mail_address import check_address
from guardian.core.mentions import Mention, marked_name, plain
from guardian.core.outgoing import Outgoing
from guardian.mail.alert.letter import people_file
from guardian.mail.alert.titles import gravest, is_resolved, subject_of, title_of, why_late
from guardian.mail.alert.view import FULL, AlertView
from guardian.mail.channels.message import ChannelMessage
from guardian.mail.message import Content, Thread, build_message, message_id
from guardian.mail.naming import shown_in_channel, shown_in_mail
from guardian.mail.pages import Pages
from guardian.mail.render import is_whole, render
from guardian.mail.unwritten import unwritten

if TYPE_CHECKING:
    from guardian.settings.rules import Rule

BUTTONS: tuple[Action, ...] = ("acknowledge", "silence-1h", "silence-8h", "silence-morning", "fixed")
"""The actions that an alert mail offers, in this order; the first is the main button."""
_FITTING = ((FULL, None), *((full, 1) for full in range(FULL, 0, -1)))
"""How many incidents a mail shows in full, and how many buttons the one-line incidents get (None: all). The first pair
whose mail Gmail shows without clipping is used."""


Look = Callable[["Rule", Incident, int], Explanation]
"""Finds the cause of an incident, as far as it is known at that moment (µs)."""


@dataclass(frozen=True, slots=True)
class Composed:
    """The messages of a notice, and the thread's subject from now on, by language code; "" stands for the default
    language."""

    messages: tuple[Outgoing, ...]
    subjects: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AlertWriter:
    """Writes alert mails. `link_key` signs the links of the buttons; None leaves the buttons out.

    `lang` is the language of channels, and of recipients for whom `language_of` (None: of nobody) gives no other.
    `nonce` gives the number that tells a link apart from all others. `pages_url` is where readers find the dashboard,
    whose pages messages link to; "" for no links. `app` names the app ("" for no name). `alone` are the channels that
    follow each incident by itself, with a message an incident. `look` finds their causes; None: nobody looks.
    """

    admins: tuple[str, ...]
    sender: str
    lang: Language
    zone: ZoneInfo
    public_url: str
    link_key: str | None
    support_email: str | None = None
    language_of: Callable[[str], Language] | None = None
    nonce: Callable[[], str] = fresh_nonce
    app: str = ""
    alone: frozenset[str] = frozenset()
    look: Look | None = None
    pages_url: str = ""

    def compose(self, notice: Notice, snapshot: Snapshot, now: datetime) -> Composed:
        """The messages of one notice, among them `unwritten` ones for recipients for whom it could not be written."""
        why = self._looked(notice, snapshot)
        briefings, subject = self._worded(notice, snapshot, why)
        messages, subjects = [], {"": subject}
        for channel in dict.fromkeys(notice.audience.channels):
            if channel != "mail":
                each = [[b] for b in briefings] if channel in self.alone else [briefings]
                messages += [self._channel(notice, part, channel) for part in each]
                continue
            for recipient in dict.fromkeys(notice.audience.recipients or self.admins):
                try:
                    writer = self._writer_for(recipient)
                    said = (briefings, subject) if writer is self else writer._worded(notice, snapshot, why)
                    if writer is not self:
                        subjects[writer.lang.code] = said[1]
                    messages.append(writer._mail(notice, *said, recipient, now))
                except Exception as error:  # a message that cannot be written must not stop the others
                    messages.append(_unwritten(error, notice, recipient, gravest(briefings), subject))
        return Composed(tuple(messages), subjects)

    def _writer_for(self, recipient: str) -> AlertWriter:
        lang = self.language_of(recipient) if self.language_of else self.lang
        return self if lang.code == self.lang.code else replace(self, lang=lang)

    def _looked(self, notice: Notice, snapshot: Snapshot) -> dict[str, Explanation]:
        """The causes of the incidents shown in full, by id."""
        if self.look is None:
            return {}
        full = sorted((t.incident for t in notice.transitions), key=lambda i: -grade(i.severity))[:FULL]
        return {each.id: self.look(notice.rules[each.rule], each, snapshot.now_us) for each in full}

    def _worded(self, notice: Notice, snapshot: Snapshot, why: Mapping[str, Explanation]) -> tuple[list[Briefing], str]:
        """The view of what happened, in this writer's language, and the subject."""
        briefings = self._briefed(notice, snapshot, why)
        return briefings, self._subject(notice, briefings)

    def _briefed(self, notice: Notice, snapshot: Snapshot, why: Mapping[str, Explanation]) -> list[Briefing]:
        """In the order in which messages name them. Only those that a message shows in full are looked into: there may
        be hundreds."""
        full = len(notice.transitions) if self.alone.intersection(notice.audience.channels) else FULL
        ranked = sorted(notice.transitions, key=lambda t: _rank(t.incident, notice.rules[t.incident.rule], self.lang))
        return [
            brief(
                t, notice.rules[t.incident.rule], snapshot, self.lang,
                name=marked_name, why=why.get(t.incident.id, UNEXPLAINED), in_full=n < full,
            )
            for n, t in enumerate(ranked)
        ]  # fmt: skip

    def _subject(self, notice: Notice, briefings: Sequence[Briefing]) -> str:
        begun = notice.transitions[0].incident
        known = begun.thread_subjects.get(self.lang.code) or begun.thread_subject
        if not notice.first and known:
            return known
        if not notice.first:
            briefings = [replace(b, ended=None, change="opened") for b in briefings]
        return subject_of(briefings, notice.form, self.app, self.lang)

    def _mail(
        self, notice: Notice, briefings: Sequence[Briefing], subject: str, recipient: str, now: datetime
    ) -> Outgoing:
        key = _key(notice, recipient)
        for full, few in _FITTING:
            buttons = partial(self._buttons, recipient=recipient, now=now)
            hit = [b for b in briefings[:full] if b.ended is not None and b.why.whom.people]
            files = {b.incident.id: f"people-{n}.csv" if n > 1 else "people.csv" for n, b in enumerate(hit, 1)}
            view = AlertView(self.lang, self.zone, buttons, self.app, few, Pages(self.pages_url), files)
            html, text = render("alert", self.lang, view=view.of(briefings, subject, now, full, notice.form))
            if is_whole(html):
                break
        root = message_id(f"incident-{notice.thread}", self.sender)
        attached = [people_file(b.why.whom, self.lang, files[b.incident.id]) for b in hit]
        (shown, people), reply_to = shown_in_mail(Content(subject, text, html, (), attached)), self._reply_to(briefings)
        begins = notice.begins_for(recipient)
        body = build_message(
            shown if begins else replace(shown, subject=f"Re: {shown.subject}"),
            sender=self.sender,
            recipient=recipient,
            key=key,
            now=now,
            reply_to=reply_to,
            thread=Thread(root, begins),
        )
        if reply_to is not None and reply_to != self.support_email:
            people += (Mention(reply_to, "Reply-To", 0, 0),)
        return Outgoing(key, recipient, body, _kind(notice), "mail", gravest(briefings), shown.subject, people)

    def _channel(self, notice: Notice, briefings: Sequence[Briefing], channel: str) -> Outgoing:
        """A channel's message about all of the incidents, or about the single one that its thread follows."""
        own = channel in self.alone
        title = title_of(briefings, notice.form, self.app, self.lang)
        key = _key(notice, channel)
        if own and len(notice.transitions) > 1:
            key += f"/{briefings[0].incident.id}"
        late, grave = why_late(notice.form, self.lang), gravest(briefings)
        lines = [*filter(None, [late]), *AlertView(self.lang, self.zone).lines(briefings)]
        shown, people = shown_in_channel(title, "\n".join(lines))
        message = ChannelMessage(
            *shown,
            severity=grave,
            url=(Pages(self.pages_url).incident(briefings[0].incident.id) if len(briefings) == 1 else "")
            or self.public_url,
            thread=briefings[0].incident.id if own else notice.thread,
            resolved=all(map(is_resolved, briefings)),
            over=all(b.ended is not None for b in briefings),
            change=briefings[0].change if len(briefings) == 1 else "",
        )
        return Outgoing(key, channel, message.packed(), "alert", channel, grave, shown[0], people)

    def _reply_to(self, briefings: Sequence[Briefing]) -> str | None:
        """The Reply-To of an alert about one user: support, or else the user."""
        if len(briefings) != 1 or not kind_of(briefings[0].rule).of_one_user:
            return self.support_email
        try:
            return self.support_email or check_address(plain(briefings[0].incident.subject))
        except ValueError:
            return None

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


def _key(notice: Notice, recipient: str) -> str:
    """The outbox key of what one recipient, or channel, is told."""
    return f"incident/{notice.thread}/{notice.name}/{recipient}"


def _unwritten(error: Exception, notice: Notice, recipient: str, grave: str, subject: str) -> Outgoing:
    key, kind = _key(notice, recipient), _kind(notice)
    return unwritten(error, key=key, recipient=recipient, kind=kind, severity=grave, subject=subject)


def _kind(notice: Notice) -> str:
    return "alert" if notice.form in ("single", "bundle") else "digest"


def _rank(incident: Incident, rule: Rule, lang: Language) -> tuple[bool, int, bool, int, str]:
    """The sort key of incidents: ongoing before over, most severe first, the app before a single user."""
    alone = kind_of(rule).of_one_user
    named = title(rule, people_named(incident, marked_name, of_user=alone).subject, lang)
    return incident.over_us is not None, -grade(incident.severity), alone, -incident.users, named
