"""Builds the transports of the settings: for mail in order of preference, and one for each channel."""

from __future__ import annotations

from pathlib import Path

from guardian.mail.transport import Transport
from guardian.mail.transports.files import FileTransport
from guardian.mail.transports.gmail import GmailTransport
from guardian.mail.transports.smtp import SmtpTransport
from guardian.settings.schema import Settings


def build_transports(settings: Settings) -> list[Transport]:
    """The mail transports of the settings (without any, one that writes files to `reports_dir/mail`), and channels."""
    mail, channels = list[Transport](), list[Transport]()
    if settings.channels:
        from guardian.mail.channels.transport import ChannelTransport

        channels += [ChannelTransport(name, channel) for name, channel in settings.channels.items()]
    for name in settings.mail.order:
        if name == "gmail" and settings.mail.gmail is not None:
            mail.append(GmailTransport(settings.mail.gmail))
        if name == "smtp" and settings.mail.smtp is not None:
            mail.append(SmtpTransport(settings.mail.smtp))
    return [*(mail or [FileTransport(mail_folder(settings))]), *channels]


def mail_folder(settings: Settings) -> Path:
    """Where mail is written as files while no mail server is configured."""
    return settings.mail.directory or settings.reports_dir / "mail"
