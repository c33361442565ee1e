"""Trying a mail server without sending anything: connect, encrypt, log in, offer the sender."""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence

import aiosmtplib

from guardian.core.language import ENGLISH, Language
from guardian.core.mail_address import wire_address
from guardian.mail.transport import DeliveryError
from guardian.mail.transports.smtp import google_login, make_client
from guardian.mail.transports.smtp_answers import BY_PASSWORD, first_wanted, lacks
from guardian.settings.mail import SmtpSettings

PATIENCE_SECONDS = 15.0
"""Short, since a person is waiting for the answer."""


async def probe_smtp(smtp: SmtpSettings, sender: str, recipients: Sequence[str] = (), lang: Language = ENGLISH) -> str:
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
            raise DeliveryError(
                lang(
                    "%(server)s does not take addresses in other scripts (SMTPUTF8): write another address than "
                    "%(names)s",
                    server=where, names=lang(" and ").join(needs),
                )
            )  # fmt: skip
        await client.mail(wire_address(sender), options=["SMTPUTF8"] if sender in needs else [], encoding="utf-8")
        await client.rset()
    except (aiosmtplib.SMTPException, OSError) as error:  # ssl.SSLError and TimeoutError are OSErrors
        raise DeliveryError(f"{where} {_why(error, smtp, sender, lang)}") from error
    finally:
        client.close()
    how = {"tls": "TLS", "starttls": "STARTTLS", "none": lang("no encryption")}[smtp.security]
    login = lang("logged in as %(name)s", name=smtp.username) if smtp.username else lang("without a login")
    return lang(
        "%(server)s takes mail from %(sender)s: %(how)s, %(login)s", server=where, sender=sender, how=how, login=login
    )


def _why(error: BaseException, smtp: SmtpSettings, sender: str, lang: Language) -> str:
    """What went wrong, and the cure. Of the server's answer only the code is used, since its text may repeat names."""
    cause = error.__cause__ or error
    if isinstance(error, aiosmtplib.SMTPResponseException) and (wanted := first_wanted(error, smtp)):
        return wanted
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        if smtp.auth == "password":
            return lang("refuses the login (%(code)s): check username and password of mail.smtp", code=error.code)
        return lang(
            "refuses the login (%(code)s): check username, and whose token it is, of mail.smtp", code=error.code
        )
    if isinstance(error, aiosmtplib.SMTPSenderRefused):
        return lang(
            "takes no mail from %(sender)s (%(code)s): set mail.sender to an address it may send for",
            sender=sender, code=error.code,
        )  # fmt: skip
    if isinstance(cause, ssl.SSLCertVerificationError):
        return lang(
            "has a certificate that is not valid for %(host)s (%(why)s): check mail.smtp.host",
            host=smtp.host, why=cause.verify_message,
        )  # fmt: skip
    if isinstance(cause, ssl.SSLError):
        return lang("does not speak TLS from the first byte: use smtp:// (STARTTLS) instead of smtps://")
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return lang("does not answer: check host and port of mail.smtp, security, and the firewall")
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return lang(
            "refuses the connection (%(code)s): check mail.smtp.security, or ask who runs the server", code=error.code
        )
    return _lacking(lacks(error), smtp, lang) or _unreachable(cause, lang)


def _lacking(missing: str | None, smtp: SmtpSettings, lang: Language) -> str:
    """What a server does not offer, and the cure; "" where nothing is missing."""
    if missing == "AUTH" and smtp.security == "none":
        return lang("does not offer AUTH, a login, without encryption: set security = 'starttls' or 'tls' in mail.smtp")
    if missing == "AUTH":
        return lang("does not offer AUTH, a login: remove username and password, or check host and port of mail.smtp")
    if missing == BY_PASSWORD:
        return lang(
            "does not offer a login by password: set mail.smtp.auth = 'xoauth2' and a token, or check mail.smtp.host"
        )
    if missing == "STARTTLS":
        return lang("does not offer STARTTLS: use smtps://, or ?security=none for a server on this machine")
    if missing == "XOAUTH2":
        return lang("does not offer XOAUTH2: set mail.smtp.auth = 'password', or check mail.smtp.host")
    return ""


def _unreachable(cause: BaseException, lang: Language) -> str:
    number = getattr(cause, "errno", None) or 0
    reason = os.strerror(number) if number > 0 else getattr(cause, "strerror", None) or type(cause).__name__
    return lang("cannot be reached (%(why)s): check host and port of mail.smtp, and the firewall", why=reason)
