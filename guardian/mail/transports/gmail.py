"""Sending through the Gmail API (`users.messages.send`), and what each of its answers means.

Sources: developers.google.com/workspace/gmail/api/guides/handle-errors (the reasons of 403, 429, 5xx).
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any

from guardian.core.time import utc_now
from guardian.mail.transport import (
    DeliveryError,
    LoginRefused,
    PermanentError,
    UnknownOutcome,
    Unreachable,
    pause_asked,
)
from guardian.mail.transports.google import MISSING_LIBRARIES, SEND_SCOPE, TIMEOUT_SECONDS, GoogleLogin
from guardian.settings.mail import GmailSettings

WINDOW_SECONDS = 60.0

_TEMPORARY = {
    "rateLimitExceeded",
    "userRateLimitExceeded",
    "dailyLimitExceeded",
    "quotaExceeded",
    "RATE_LIMIT_EXCEEDED",
}
"""Reasons of a 403 that are temporary."""


class GmailTransport:
    """Delivers through the Gmail API as one user; each call has a connection of its own, since httplib2 shares badly.

    At most `per_minute` messages are sent in any minute of `clock` (monotonic seconds); others are put off. `api_url`
    is where the API is, None for Google's.
    """

    name, channel = "gmail", "mail"

    def __init__(
        self,
        settings: GmailSettings,
        *,
        api_url: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._api_url = api_url
        self._timeout = timeout
        self._clock = clock
        self._sends: deque[float] = deque()
        self._service: Any = None
        self._building = threading.Lock()
        self.login = GoogleLogin(
            token_file=settings.token_file,
            service_account_file=settings.service_account_file,
            scope=SEND_SCOPE,
            timeout=timeout,
        )

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """See Transport. Gmail takes the recipient from the message's own To header."""
        self._pace()
        await asyncio.to_thread(self._send, message, self._settings.subject or sender)

    async def close(self) -> None:
        """See Transport: nothing is held open."""

    def _pace(self) -> None:
        now = self._clock()
        while self._sends and now - self._sends[0] >= WINDOW_SECONDS:
            self._sends.popleft()
        if len(self._sends) >= self._settings.per_minute:
            wait = timedelta(seconds=WINDOW_SECONDS - (now - self._sends[0]))
            raise DeliveryError(
                f"mail.gmail.per_minute = {self._settings.per_minute} mails have gone out in this minute",
                retry_after=wait,
            )
        self._sends.append(now)

    def _send(self, message: bytes, subject: str) -> None:
        answer = self._once(message, subject)
        if answer is not None and answer[0] == 401:
            self.login.forget_token()  # the token may have been revoked early: retry once with a new one
            answer = self._once(message, subject)
        if answer is not None:
            raise refusal(*answer, cure=self.login.cure, now=utc_now())

    def _once(self, message: bytes, subject: str) -> tuple[int, frozenset[str], str | None] | None:
        """Send; None when it was taken, else status, reasons and Retry-After of the refusal."""
        token = self.login.access_token(subject)
        try:
            import httplib2
            from googleapiclient.errors import HttpError

            from guardian.mail.transports.google_http import OneRequest, SentAlready
        except ImportError:
            raise LoginRefused(MISSING_LIBRARIES) from None
        body = {"raw": base64.urlsafe_b64encode(message).decode()}
        request = self._client().users().messages().send(userId="me", body=body)
        request.headers["authorization"] = f"Bearer {token}"
        http = OneRequest(self._timeout)
        try:
            request.execute(http=http, num_retries=0)
        except HttpError as error:
            return error.resp.status, reasons(error.content), error.resp.get("retry-after")
        except (SentAlready, OSError, HTTPException, httplib2.HttpLib2Error) as error:
            if http.sent:
                raise UnknownOutcome("the connection to Gmail broke while the message was sent") from None
            raise Unreachable(f"Gmail cannot be reached ({type(error).__name__})") from None
        finally:
            http.close()
        return None

    def _client(self) -> Any:
        """What makes requests, from the description of the API in the library: building it needs no network."""
        with self._building:
            if self._service is None:
                import httplib2
                from googleapiclient.discovery import build

                options = {"api_endpoint": self._api_url} if self._api_url else None
                self._service = build(
                    "gmail", "v1", http=httplib2.Http(), static_discovery=True, cache_discovery=False,
                    client_options=options,
                )  # fmt: skip
            return self._service


def reasons(content: bytes) -> frozenset[str]:
    """The machine-readable reasons of an error of Google's APIs; empty where the answer has none."""
    try:
        error = json.loads(content)["error"]
        parts = [part for key in ("errors", "details") for part in error.get(key, ())]
        return frozenset(str(part["reason"]) for part in parts if "reason" in part)
    except (ValueError, KeyError, TypeError, AttributeError):
        return frozenset()


def refusal(
    status: int, why: Iterable[str], retry_after: str | None, *, cure: str, now: datetime
) -> DeliveryError | UnknownOutcome:
    """What an answer other than "accepted" means. `retry_after` is the header of that name, if any."""
    why = set(why)
    if status in (502, 504):  # from a gateway: the server behind it may have accepted the message (RFC 9110, 15.6)
        return UnknownOutcome(f"Gmail's gateway does not say whether the message was taken ({status})")
    if status == 429 or status >= 500 or (status == 403 and why & _TEMPORARY):
        return DeliveryError(f"Gmail does not take mail now ({status})", retry_after=pause_asked(retry_after, now))
    if status == 401:
        return LoginRefused(f"Gmail refuses the login (401): {cure}")
    if why & {"insufficientPermissions", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"}:
        return LoginRefused(f"the credentials do not allow sending ({status}): {cure}")
    if why & {"accessNotConfigured", "SERVICE_DISABLED"}:
        return LoginRefused(f"the Gmail API is not enabled in the Cloud project ({status}): enable it")
    if status == 403 or "failedPrecondition" in why:
        return LoginRefused(f"Gmail does not let this account send ({status}): {cure}")
    if status in (400, 413):
        return PermanentError(f"Gmail refuses the message or its recipient for good ({status})")
    return DeliveryError(f"Gmail answers {status}")
