"""`EmailService`: writes the mails of the product, and can send one at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from guardian.core.language import Language, language
from guardian.core.listing import MAX_USERS
from guardian.core.mail_address import address_of
from guardian.core.mentions import marked_name
from guardian.core.off_loop import off_loop
from guardian.core.outgoing import Outgoing
from guardian.core.report.model import Report
from guardian.core.report.people import renamed
from guardian.core.report.reading import from_json
from guardian.core.time import utc_now
from guardian.mail.chart import CID, draw
from guardian.mail.companions import Companion, Malformed, read_companion
from guardian.mail.message import Content, Inline, build_message
from guardian.mail.naming import shown_in_mail
from guardian.mail.pages import Pages
from guardian.mail.render import is_whole, render
from guardian.mail.report.incidents import IncidentLine
from guardian.mail.report.linked import linked
from guardian.mail.report.sections import nothing_to_say, only_sections
from guardian.mail.report.userlist import users_file
from guardian.mail.report.view import report_view
from guardian.mail.transport import DeliveryError, Transport
from guardian.mail.unwritten import one_mail
from guardian.settings.values import is_loopback

ITEMS = (20, 10, 5, 3, 1, 0)
"""Limits for the items of each kind in a companion report; the first that makes the mail small enough is used."""


class EmailService:
    """Composes mails for the outbox (`compose_…`), or composes and sends one at once (`send_…`).

    A mail that cannot be written has `Outgoing.unwritten`, so that it does not stop the others. `sender` is what From
    says; `timezone` is the zone that times are shown in, `code` the language, `languages` the code of each address that
    prefers another. `app` is what the app is called, "" where the settings do not say. A report mail names at most
    `max_users` people, in the file that goes along. `pages_url` is where readers find the dashboard, whose pages
    reports link to; "" for no links.
    """

    def __init__(
        self,
        transports: Sequence[Transport],
        *,
        sender: str,
        reply_to: str | None = None,
        reports_dir: str | os.PathLike[str] | None = None,
        clock: Callable[[], datetime] = utc_now,
        timezone: str = "UTC",
        code: str = "en",
        languages: Mapping[str, str] | None = None,
        app: str = "",
        max_users: int = MAX_USERS,
        pages_url: str = "",
    ) -> None:
        self._transports = [each for each in transports if each.channel == "mail"]
        self.sender = sender
        self._reply_to = reply_to
        self._reports_dir = None if reports_dir is None else Path(reports_dir)
        self._clock = clock
        self.zone = ZoneInfo(timezone)
        self.language = language(code)
        self.app = app
        self._max_users = max_users
        self._pages = Pages(pages_url)
        self._languages = {address.lower(): code for address, code in (languages or {}).items()}

    def language_of(self, address: str, code: str | None = None) -> Language:
        """The language of mails to this address: its own, else `code`, else the default."""
        own = self._languages.get(address.lower(), code)
        return self.language if own is None else language(own)

    async def send_guardian_report(self, to_email: str, reports: Mapping[str, Any]) -> None:
        """Write the report mail and send it now, through the first transport that accepts it.

        `reports` has the usage report under "usage_stats", and companion reports under their file names. Raises
        ValueError for an invalid address, DeliveryError where no transport accepted the mail, UnknownOutcome where one
        may have.
        """
        key = f"report/direct/{self._clock().isoformat()}"
        await self._send(await off_loop(self.compose_guardian_report, to_email, reports, key=f"{key}/{to_email}"))

    @one_mail("report")
    def compose_guardian_report(
        self,
        to_email: str,
        reports: Mapping[str, Any],
        *,
        key: str,
        next_report: tuple[datetime, Any] | None = None,
        incidents: Sequence[IncidentLine] = (),
        unsubscribe: str | None = None,
        code: str | None = None,
        zone: ZoneInfo | None = None,
        sections: Collection[str] = (),
        text_only: bool = False,
    ) -> Outgoing:
        """The report mail for one recipient. `reports` is as for `send_guardian_report`, and the usage report in it may
        be a `Report` too, so that it is read once for many recipients.

        `next_report` is (when it goes out, (start, end) of what it covers). `incidents` are lines about the period's
        incidents; `unsubscribe` is the address that ends these mails, for the reader and for their mail program
        (RFC 8058). `code` is the language of a recipient who has none of their own, `zone` that of times (None: the
        service's), `sections` what is shown (see `guardian.core.sections`).
        """
        usage = reports.get("usage_stats")
        report = usage if usage is None or isinstance(usage, Report) else from_json(usage)
        report = None if report is None else renamed(report, marked_name)
        lang, zone = self.language_of(to_email, code), zone or self.zone
        companions = [_companion(name, value) for name, value in reports.items() if name != "usage_stats"]
        if sections and "companions" not in sections:
            companions = []
        file, more = users_file(report, self._max_users, lang) if report else (None, "")
        for most in ITEMS:
            shown = [each.shortened(most) if isinstance(each, Companion) else each for each in companions]
            view = report_view(
                report, shown, lang=lang, zone=zone, next_report=next_report, app=self.app, more_users=more
            )
            view.update(incidents=incidents, unsubscribe=unsubscribe)
            view = linked(only_sections(view, sections), report, self._pages)
            view["nothing"] = nothing_to_say(view, report, sections, lang)
            html, text = render("guardian_report_email", lang, view=view)
            if is_whole(html):
                break
        chart = view.get("chart")
        content = Content(
            view["subject"],
            text,
            None if text_only else html,
            [Inline(CID, draw(chart))] if chart and not text_only else [],
            [file] if file and view["more_users"] else [],
        )
        return self._outgoing(
            to_email, content, key=key, kind="report", severity=view["grave"], headers=_leaving(unsubscribe)
        )

    @one_mail("test")
    def compose_test(self, to_email: str, *, key: str) -> Outgoing:
        """A test mail."""
        lang = self.language_of(to_email)
        view = {
            "subject": self._named(lang("Guardian can reach you")),
            "app": self.app,
            "headline": lang("Mail from Guardian arrives."),
            "grave": "ok",
            "text": lang("This is a test. Reports and alerts will come from the same sender to this address."),
        }
        html, text = render("test_email", lang, view=view)
        content = Content(view["subject"], text, html)
        return self._outgoing(to_email, content, key=key, kind="test", severity="info")

    @one_mail("sign-in")
    def compose_sign_in(self, to_email: str, link: str, *, minutes: int, key: str) -> Outgoing:
        """The mail with a link that signs in, once and for so many minutes, in the browser that asked for it."""
        lang = self.language_of(to_email)
        subject = self._named(lang("Sign in to Guardian"))
        headline = lang("Sign in to Guardian")
        view: dict[str, Any] = {"subject": subject, "app": self.app, "headline": headline, "grave": "ok"}
        view |= {"link": link, "minutes": minutes}
        html, text = render("sign_in_email", lang, view=view)
        content = Content(subject, text, html)
        return self._outgoing(to_email, content, key=key, kind="sign-in", severity="info")

    @one_mail("warning")
    def compose_warning(self, to_email: str, subject: str, text: str, *, key: str, grave: str = "warning") -> Outgoing:
        """A mail about Guardian itself: a problem that only a person can fix, or ("ok") that it is fixed."""
        view = {"headline": subject, "text": text, "grave": grave, "app": self.app}
        view["subject"] = subject = self._named(subject)
        html, plain = render("test_email", self.language_of(to_email), view=view)
        content = Content(subject, plain, html)
        return self._outgoing(to_email, content, key=key, kind="warning", severity="warning")

    def _named(self, subject: str) -> str:
        return f"{self.app}: {subject}" if self.app else subject

    def _outgoing(
        self,
        to_email: str,
        content: Content,
        *,
        key: str,
        kind: str,
        severity: str,
        headers: Mapping[str, str] | None = None,
    ) -> Outgoing:
        shown, people = shown_in_mail(content)
        body = build_message(
            shown,
            sender=self.sender,
            recipient=to_email,
            key=key,
            now=self._clock(),
            reply_to=self._reply_to,
            headers=headers,
        )
        return Outgoing(key, to_email, body, kind, "mail", severity.lower(), shown.subject, people)

    async def _send(self, mail: Outgoing) -> None:
        if mail.unwritten is not None:
            raise ValueError(mail.unwritten)
        sender, failure = address_of(self.sender), DeliveryError("no transport is configured")
        for transport in self._transports:
            try:
                return await transport.send(mail.body, sender=sender, recipient=mail.recipient)
            except DeliveryError as error:
                failure = error
        raise failure


def _leaving(unsubscribe: str | None) -> dict[str, str]:
    """The headers by which a mail program offers to end these mails. One click (RFC 8058) is done by the mail service:
    it needs HTTPS, and cannot reach our loopback."""
    if not unsubscribe or is_loopback(urlsplit(unsubscribe).hostname or ""):
        return {}
    one_click = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"} if unsubscribe.startswith("https:") else {}
    return {"List-Unsubscribe": f"<{unsubscribe}>", **one_click}


def _companion(name: str, value: Any) -> Companion | Malformed:
    return value if isinstance(value, Companion | Malformed) else read_companion(name, value)
