"""`guardian check` for the mail transports."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from guardian.application.check.dns import sender_findings
from guardian.application.check.probe import probe_smtp
from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language
from guardian.core.mail_address import address_of, wire_address
from guardian.mail.transport import DeliveryError
from guardian.mail.transports import mail_folder
from guardian.mail.transports.gmail import GmailTransport
from guardian.settings.mail import GmailSettings, SmtpSettings
from guardian.settings.schema import Settings
from guardian.settings.values import is_loopback

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver


def _nothing(settings: Settings, lang: Language) -> Finding:
    folder = str(mail_folder(settings))
    text = lang(
        "no mail leaves this machine: mails become files in %(folder)s until gmail or smtp is set", folder=folder
    )
    return Finding("mail", "warning", text)


async def mail_findings(
    settings: Settings, now: datetime, resolver: Resolver | None, lang: Language = ENGLISH
) -> list[Finding]:
    """The findings about each mail transport, in order, and about the sender's domain. Sends no mail.

    `resolver` asks DNS; None means that of this machine.
    """
    mail, tries = settings.mail, list[Coroutine[Any, Any, Finding]]()
    for name in mail.order:
        if name == "gmail" and mail.gmail is not None:
            tries.append(_gmail(mail.gmail, mail.sender, now, lang))
        elif mail.smtp is not None:
            tries.append(_mail_server(mail.smtp, mail.sender, _recipients(settings), lang))
    if not tries:
        return [_nothing(settings, lang)]
    domain = wire_address(address_of(mail.sender)).rpartition("@")[2]
    of_sender = sender_findings(domain, mail.dkim_selectors, resolver=resolver, lang=lang)
    found, sender = await asyncio.gather(asyncio.gather(*tries), of_sender)
    found += sender
    if mail.directory:
        text = lang("mail.directory is not used, because %(key)s is set: keep one of them", key=f"mail.{mail.order[0]}")
        found.append(Finding("mail", "warning", text))
    return found


async def _gmail(gmail: GmailSettings, sender: str, now: datetime, lang: Language) -> Finding:
    login = GmailTransport(gmail).login
    try:
        await asyncio.to_thread(login.access_token, gmail.subject or address_of(sender))
    except DeliveryError as error:
        return Finding("mail", "error", f"Gmail: {error}")
    expiry = login.expires_at()
    if expiry is None:
        return Finding("mail", "ok", lang("Gmail: Google gives an access token"))
    text = lang("Gmail: Google gives an access token; the login expires %(at)s UTC", at=f"{expiry:%Y-%m-%d %H:%M}")
    if expiry - now < timedelta(days=2):
        return Finding("mail", "warning", f"{text}: {login.cure}")
    return Finding("mail", "ok", text)


def _recipients(settings: Settings) -> list[str]:
    """Everybody who gets mail by the settings."""
    of_reports = (to for schedule in settings.schedules for to in schedule.recipients)
    return [*settings.admins, *of_reports, *(to for rule in settings.rules.values() for to in rule.recipients)]


async def _mail_server(smtp: SmtpSettings, sender: str, recipients: Sequence[str], lang: Language) -> Finding:
    try:
        text = await probe_smtp(smtp, address_of(sender), recipients, lang)
    except DeliveryError as error:
        return Finding("mail", "error", str(error))
    return Finding("mail", "ok" if smtp.security != "none" or is_loopback(smtp.host) else "warning", text)
