"""SMTP through aiosmtplib, with the outcome of a message as exactly as the server's answers allow."""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import Any

import aiosmtplib

from guardian.core.mail_address import NoAddress, wire_address
from guardian.mail.message import without_reply_to
from guardian.mail.transport import DeliveryError, LoginRefused, PermanentError, UnknownOutcome, Unreachable
from guardian.mail.transports.google import SMTP_SCOPE, GoogleLogin
from guardian.mail.transports.smtp_answers import BEFORE_ALL, NO_SMTPUTF8, first_wanted, kind_of_failure, refusal
from guardian.mail.transports.smtp_wire import give
from guardian.settings.mail import SmtpSettings

KEEP_SECONDS = 20.0
"""A connection is used again when the next message comes within this time."""


class _Closing(DeliveryError):
    """The server closed the connection before it had the message."""


class SmtpTransport:
    """Delivers through one server, over one connection at a time, which is kept open for a while.

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
        try:
            sender, recipient = wire_address(sender), wire_address(recipient)
        except NoAddress as error:  # from a version that checked addresses less strictly
            raise PermanentError(str(error)) from None
        async with self._lock:
            try:
                kept = self._client
                client = await self._connected()
                try:
                    await self._over(client, message, sender, recipient)
                except _Closing:
                    if client is not kept:
                        raise
                    # The server only closed the connection that we had kept open.
                    await self._over(await self._connected(), message, sender, recipient)
            except asyncio.CancelledError:
                # An unread answer would be taken for that of the next command.
                if self._client is not None:
                    self._client.close()
                    self._client = None
                raise
            self._used = asyncio.get_running_loop().time()

    async def _over(self, client: aiosmtplib.SMTP, message: bytes, sender: str, recipient: str) -> None:
        message, options, encoding = await self._international(client, message, sender, recipient)
        await self._envelope(client, sender, recipient, options, encoding)
        await self._data(client, message)

    async def _international(
        self, client: aiosmtplib.SMTP, message: bytes, sender: str, recipient: str
    ) -> tuple[bytes, list[str], str]:
        """The message, and with which options and encoding its envelope is given to this server (RFC 6531).

        A server without SMTPUTF8 cannot deliver to an address whose name is in another script; mails to other
        recipients still go out, without a Reply-To that the server could not accept either.
        """
        head = message.partition(b"\r\n\r\n")[0]
        if sender.isascii() and recipient.isascii() and head.isascii():
            return message, [], "ascii"
        if client.is_ehlo_or_helo_needed:
            try:
                await client.ehlo()
            except aiosmtplib.SMTPHeloError:
                pass  # an old server: it has no extensions
            except (aiosmtplib.SMTPException, OSError) as error:
                raise await self._broken(error) from None
        if client.supports_extension("SMTPUTF8"):
            return message, ["SMTPUTF8", "BODY=8BITMIME"], "utf-8"
        host = self._settings.host
        if not sender.isascii():
            raise Unreachable(f"{host} {NO_SMTPUTF8}: set mail.sender to an address in ASCII")
        if not recipient.isascii():
            raise PermanentError(f"{host} {NO_SMTPUTF8}, which the recipient's address needs: write another")
        return without_reply_to(message), [], "ascii"

    async def _envelope(
        self, client: aiosmtplib.SMTP, sender: str, recipient: str, options: list[str], encoding: str
    ) -> None:
        try:
            await client.mail(sender, options=options, encoding=encoding)
            await client.rcpt(recipient, encoding=encoding)
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPRecipientRefused) as error:
            await self._closing(error)
            await self._reset(client)
            self._refuse_without_login(error)
            what = "the sender" if isinstance(error, aiosmtplib.SMTPSenderRefused) else "the recipient"
            raise refusal(error, what) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            raise await self._broken(error) from None

    async def _data(self, client: aiosmtplib.SMTP, message: bytes) -> None:
        try:
            await give(client, message)
        except aiosmtplib.SMTPDataError as error:
            await self._closing(error)
            await self._reset(client)
            self._refuse_without_login(error)
            raise refusal(error, "the message") from None
        except (aiosmtplib.SMTPException, OSError) as error:
            await self.close()
            raise UnknownOutcome(
                f"the connection broke while the message was sent ({kind_of_failure(error)})"
            ) from None

    async def _broken(self, error: aiosmtplib.SMTPException | OSError) -> DeliveryError:
        await self.close()
        hung = isinstance(error, aiosmtplib.SMTPTimeoutError | TimeoutError)  # it would hang again
        said = f"the connection broke before the message was sent ({kind_of_failure(error)})"
        return DeliveryError(said) if hung else _Closing(said)

    async def _closing(self, error: aiosmtplib.SMTPResponseException) -> None:
        """Raises _Closing if the server closes the connection instead of accepting the command."""
        if error.code == 421:  # RFC 5321, section 3.8
            await self.close()
            raise _Closing("the server closes the connection (421)") from None

    def _refuse_without_login(self, error: aiosmtplib.SMTPResponseException) -> None:
        """Raises LoginRefused where the server answers no command before a login: the message itself is not refused."""
        if error.code in BEFORE_ALL:
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
            wanted = first_wanted(error, s) if error.code in BEFORE_ALL else None
            raise kind(f"{s.host} " + (wanted or f"refuses the login ({error.code}): {cure}")) from None
        except (aiosmtplib.SMTPException, OSError) as error:
            client.close()
            raise Unreachable(f"{s.host}:{s.port} cannot be used ({kind_of_failure(error)})") from None
        self._client, self._used = client, asyncio.get_running_loop().time()
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
