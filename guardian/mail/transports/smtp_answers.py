"""The meaning of a mail server's answers, in words, for sending and for checking."""

from __future__ import annotations

import re
import ssl

import aiosmtplib

from guardian.mail.transport import DeliveryError, PermanentError
from guardian.settings.mail import SmtpSettings

BY_PASSWORD = "a login by password"
NO_SMTPUTF8 = "does not take addresses in other scripts (SMTPUTF8)"
BEFORE_ALL = (530, 538)
"""A login is wanted first, or encryption (RFC 3207, section 4; RFC 4954, section 6)."""
_ENCRYPTION = re.compile(r"\b(START)?TLS\b|\bSSL\b|encrypt", re.IGNORECASE)
_LOGIN = re.compile(
    r"auth\w* (is )?(required|needed)|not auth\w*|(must|need to|please|need) (be )?(auth|log ?in)|log ?in required",
    re.IGNORECASE,
)


def first_wanted(error: aiosmtplib.SMTPResponseException, settings: SmtpSettings) -> str | None:
    """What a server wants before it takes mail, and the cure, to follow its name; None where it wants neither.

    The server's text is only used to tell the two apart, and never repeated.
    """
    said = f"({error.code})"
    if error.code < 500 or not (error.code in BEFORE_ALL or _LOGIN.search(error.message)):
        return None
    if error.code == 538 or _ENCRYPTION.search(error.message):
        return f"wants an encrypted connection {said}: set security = 'starttls' or 'tls' in mail.smtp"
    if settings.username:
        return f"wants another login {said}: check username and password of mail.smtp"
    return f"wants a login {said}: set username and password of mail.smtp"


def lacks(error: BaseException) -> str | None:
    """Which extension a server does not offer, by what aiosmtplib says of it; None for another error."""
    text = str(error).upper()
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return None
    if "XOAUTH2" in text:
        return "XOAUTH2"
    # Before STARTTLS, which aiosmtplib advises where there is no AUTH.
    if "AUTH EXTENSION" in text:
        return "AUTH"
    if "AUTHENTICATION METHOD" in text:  # it offers some, none of which takes a password: OAuth alone
        return BY_PASSWORD
    return "STARTTLS" if "STARTTLS" in text else None


def refusal(error: aiosmtplib.SMTPResponseException, what: str) -> DeliveryError:
    """The error for an answer: 4xx is temporary, 5xx permanent (RFC 5321, 4.2.1). The server's own text is left out,
    since it may repeat names."""
    if error.code >= 500:
        return PermanentError(f"the server refuses {what} for good ({error.code})")
    return DeliveryError(f"the server does not take {what} now ({error.code})")


def kind_of_failure(error: BaseException) -> str:
    """Why a connection could not be used, in a few words for brackets."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate does not check out: {cause.verify_message}"
    if isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError):
        return "no answer in time"
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"it answers {error.code}"
    if missing := lacks(error):
        return f"it does not offer {missing}" + (", a login" if missing == "AUTH" else "")
    return getattr(cause, "strerror", None) or type(cause).__name__
