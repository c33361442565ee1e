"""SMTP through aiosmtplib: what became of a message, told apart as far as the server lets one know."""

from __future__ import annotations

import asyncio
import re
import ssl
from functools import partial
from typing import Any

import aiosmtplib

from guardian.mail.transport import DeliveryError, LoginRefused, PermanentError, UnknownOutcome, Unreachable
from guardian.mail.transports.google import SMTP_SCOPE, GoogleLogin
from guardian.settings.mail import SmtpSettings

KEEP_SECONDS = 20.0
"""A connection is used again when the next message comes within this time."""


class SmtpTransport:
    """Delivers through one server, over one connection at a time that is kept for a while.

    Certificates are checked; with `security = "starttls"` a server that does not offer TLS gets no mail.
    """

    name, channel = "smtp", "mail"

    def __init__(self, settings: SmtpSettings, *, tls_context: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._tls_context = tls_context
        self._client: aiosmtplib.SMTP | None = None
        self._used = 0.0
        self._lock = asyncio.Lock()
        self.login = google_login(settings)

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """See Transport."""
        async with self._lock:
            try:
                client = await self._connected()
                await self._envelope(client, sender, recipient)
                await self._data(client, message)
            except asyncio.CancelledError:
                # An answer that nobody waited for would be taken for that of the next command.
                if self._client is not None:
                    self._client.close()
                    self._client = None
                raise
            self._used = asyncio.get_running_loop().time()

    async def _envelope(self, client: aiosmtplib.SMTP, sender: str, recipient: str) -> None:
        try:
            await client.mail(sender)
            await client.rcpt(recipient)
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused) as error:
            await self._reset(client)
            self._refuse_without_login(error)
            what = "the sender" if isinstance(error, aiosmtplib.SMTPSenderRefused) else "the recipient"
            raise _refusal(error, what) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            await self.close()
            raise DeliveryError(f"the connection broke before the message was sent ({_kind(error)})") from None

    async def _data(self, client: aiosmtplib.SMTP, message: bytes) -> None:
        try:
            await client.data(message)
        except aiosmtplib.SMTPDataError as error:
            await self._reset(client)
            self._refuse_without_login(error)
            raise _refusal(error, "the message") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            await self.close()
            raise UnknownOutcome(f"the connection broke while the message was sent ({_kind(error)})") from None

    def _refuse_without_login(self, error: aiosmtplib.SMTPResponseException) -> None:
        """Raises LoginRefused where the server answers no command before a login: the message itself is not refused."""
        if error.code in _BEFORE_ALL:
            raise LoginRefused(f"{self._settings.host} {first_wanted(error, self._settings)}") from None

    async def _connected(self) -> aiosmtplib.SMTP:
        """The open connection if it still answers, else a new one. Raises Unreachable."""
        if self._client is not None:
            fresh = asyncio.get_running_loop().time() - self._used < KEEP_SECONDS
            try:
                if fresh and self._client.is_connected:
                    await self._client.noop()
                    return self._client
            except (aiosmtplib.SMTPException, OSError):
                pass
            await self.close()
        s = self._settings
        client = make_client(s, self.login, timeout=s.timeout_seconds, tls_context=self._tls_context)
        try:
            await client.connect()
        except DeliveryError:  # no access token
            client.close()
            raise
        except aiosmtplib.SMTPAuthenticationError as error:
            client.close()
            if self.login is not None:
                self.login.forget_token()
            # RFC 4954, 6: 454 is a refusal for now, 5xx one that a person must end.
            kind = LoginRefused if error.code >= 500 else Unreachable
            cure = "check mail.smtp" if self.login is None else self.login.cure
            wanted = first_wanted(error, s) if error.code in _BEFORE_ALL else None
            raise kind(f"{s.host} " + (wanted or f"refuses the login ({error.code}): {cure}")) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise Unreachable(f"{s.host}:{s.port} cannot be used ({_kind(error)})") from None
        self._client = client
        return client

    async def _reset(self, client: aiosmtplib.SMTP) -> None:
        try:
            await client.rset()
        except (aiosmtplib.SMTPException, OSError):
            await self.close()

    async def close(self) -> None:
        """See Transport."""
        client, self._client = self._client, None
        if client is not None:
            try:
                async with asyncio.timeout(2):
                    await client.quit()
            except (aiosmtplib.SMTPException, OSError):  # TimeoutError is an OSError
                client.close()


def google_login(settings: SmtpSettings) -> GoogleLogin | None:
    """Where access tokens come from with `auth = "xoauth2"`; None with a password or without a login."""
    if settings.auth != "xoauth2":
        return None
    files = {"token_file": settings.token_file, "service_account_file": settings.service_account_file}
    return GoogleLogin(**files, scope=SMTP_SCOPE, timeout=settings.timeout_seconds)


def make_client(
    settings: SmtpSettings, login: GoogleLogin | None, *, timeout: float, tls_context: ssl.SSLContext | None = None
) -> aiosmtplib.SMTP:
    """A client that is not connected yet; connecting encrypts and logs in as the settings say.

    Its `connect` raises LoginRefused or Unreachable where there is no access token.
    """
    secret: dict[str, Any] = {"password": settings.password.get_secret_value() if settings.password else None}
    if login is not None:
        # Off the event loop: fetching a token blocks.
        secret = {"oauth_token_generator": partial(asyncio.to_thread, login.access_token, settings.username or "")}
    return aiosmtplib.SMTP(
        hostname=settings.host,
        port=settings.port,
        timeout=timeout,
        use_tls=settings.security == "tls",
        start_tls=settings.security == "starttls",
        tls_context=tls_context,
        username=settings.username,
        **secret,
    )


_BEFORE_ALL = (530, 538)
"""A login is wanted first, or encryption (RFC 3207, section 4; RFC 4954, section 6)."""
_ENCRYPTION = re.compile(r"\b(START)?TLS\b|\bSSL\b|encrypt", re.IGNORECASE)
_LOGIN = re.compile(
    r"auth\w* (is )?(required|needed)|not auth\w*|(must|need to|please|need) (be )?(auth|log ?in)|log ?in required",
    re.IGNORECASE,
)


def first_wanted(error: aiosmtplib.SMTPResponseException, settings: SmtpSettings) -> str | None:
    """What a server wants before it takes mail, and the cure, to follow its name; None where it wants neither.

    The server's words only tell encryption from a login; nothing of them is repeated.
    """
    said = f"({error.code})"
    if error.code < 500 or not (error.code in _BEFORE_ALL or _LOGIN.search(error.message)):
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
    if "AUTH EXTENSION" in text or "AUTHENTICATION METHOD" in text:
        return "AUTH"
    return "STARTTLS" if "STARTTLS" in text else None


def _refusal(error: aiosmtplib.SMTPResponseException, what: str) -> DeliveryError:
    """4xx may go well later, 5xx never will (RFC 5321, 4.2.1). The server's own words stay out: they repeat names."""
    if error.code >= 500:
        return PermanentError(f"the server refuses {what} for good ({error.code})")
    return DeliveryError(f"the server does not take {what} now ({error.code})")


def _kind(error: BaseException) -> str:
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
