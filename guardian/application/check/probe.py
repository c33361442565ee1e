"""Trying a mail server without sending anything: connect, encrypt, log in, offer the sender."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence

import aiosmtplib

from guardian.core.mail_address import wire_address
from guardian.mail.transport import DeliveryError
from guardian.mail.transports.smtp import google_login, make_client
from guardian.mail.transports.smtp_answers import BY_PASSWORD, NO_SMTPUTF8, first_wanted, lacks
from guardian.settings.mail import SmtpSettings

PATIENCE_SECONDS = 15.0
"""Whoever waits for the answer sits in front of it."""


async def probe_smtp(smtp: SmtpSettings, sender: str, recipients: Sequence[str] = ()) -> str:
    """What the server did, in one sentence; it takes mail from the address `sender`. No mail is sent.

    It is not asked about the `recipients`, only whether it knows addresses in other scripts where one of them is.
    Raises DeliveryError with one sentence that names the cause and the cure.
    """
    where = f"{smtp.host}:{smtp.port}"
    client = make_client(smtp, google_login(smtp), timeout=min(smtp.timeout_seconds, PATIENCE_SECONDS))
    try:
        await client.connect()
        needs = [each for each in dict.fromkeys((sender, *recipients)) if not wire_address(each).isascii()]
        if needs and client.is_ehlo_or_helo_needed:
            await client.ehlo()
        if needs and not client.supports_extension("SMTPUTF8"):
            raise DeliveryError(f"{where} {NO_SMTPUTF8}: write another address than {' and '.join(needs)}")
        await client.mail(wire_address(sender), options=["SMTPUTF8"] if sender in needs else [], encoding="utf-8")
        await client.rset()
    except (aiosmtplib.SMTPException, OSError) as error:  # ssl.SSLError and TimeoutError are OSErrors
        raise DeliveryError(f"{where} {_why(error, smtp, sender)}") from error
    finally:
        client.close()
    how = {"tls": "TLS", "starttls": "STARTTLS", "none": "no encryption"}[smtp.security]
    login = f"logged in as {smtp.username}" if smtp.username else "without a login"
    return f"{where} takes mail from {sender}: {how}, {login}"


def _why(error: BaseException, smtp: SmtpSettings, sender: str) -> str:
    """What went wrong, and the cure; nothing of what the server said but its code, since servers repeat names."""
    cause = error.__cause__ or error
    if isinstance(error, aiosmtplib.SMTPResponseException) and (wanted := first_wanted(error, smtp)):
        return wanted
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        what = "username and password" if smtp.auth == "password" else "username, and whose token it is,"
        return f"refuses the login ({error.code}): check {what} of mail.smtp"
    if isinstance(error, aiosmtplib.SMTPSenderRefused):
        return f"takes no mail from {sender} ({error.code}): set mail.sender to an address it may send for"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"has a certificate that is not valid for {smtp.host} ({cause.verify_message}): check mail.smtp.host"
    if isinstance(cause, ssl.SSLError):
        return "does not speak TLS from the first byte: use smtp:// (STARTTLS) instead of smtps://"
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return "does not answer: check host and port of mail.smtp, security, and the firewall"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"refuses the connection ({error.code}): check mail.smtp.security, or ask who runs the server"
    missing = lacks(error)
    if missing == "AUTH" and smtp.security == "none":
        return "does not offer AUTH, a login, without encryption: set security = 'starttls' or 'tls' in mail.smtp"
    if missing == "AUTH":
        return "does not offer AUTH, a login: remove username and password, or check host and port of mail.smtp"
    if missing == BY_PASSWORD:
        return f"does not offer {missing}: set mail.smtp.auth = 'xoauth2' and a token, or check mail.smtp.host"
    if missing == "STARTTLS":
        return "does not offer STARTTLS: use smtps://, or ?security=none for a server on this machine"
    if missing == "XOAUTH2":
        return "does not offer XOAUTH2: set mail.smtp.auth = 'password', or check mail.smtp.host"
    number = getattr(cause, "errno", None) or 0
    reason = os.strerror(number) if number > 0 else getattr(cause, "strerror", None) or type(cause).__name__
    return f"cannot be reached ({reason}): check host and port of mail.smtp, and the firewall"
