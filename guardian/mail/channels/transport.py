"""The transport of one channel: it sends the outbox rows that bear the channel's name."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from guardian.mail.channels.addresses import PrivateAddress
from guardian.mail.channels.message import ChannelMessage, read_message
from guardian.mail.transport import DeliveryError, PermanentError, UnknownOutcome, Unreachable
from guardian.settings.channels import ChannelSettings

if TYPE_CHECKING:
    from guardian.mail.channels.exchange import Exchange

SEND_SECONDS = 60.0
"""After this a send is given up; less than delivery waits for it."""
LONGEST_WAIT = 3600.0
"""So many seconds at most does a channel keep still because its service asked for it with Retry-After."""
_LATER = {408, 425, 429}
"""The answers of class 4xx that mean "try again": RFC 9110 (15.5.9), 8470 (5.2) and 6585 (4)."""
_SLACK_LATER = {"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"}
"""Slack's web API says 200 to all; these of its errors pass (docs.slack.dev, chat.postMessage)."""


class ChannelTransport:
    """Sends to the address of one channel; see Transport. `channel` is the channel's name.

    No error has the address in it. A private host is refused at each send, by the addresses its name has then, unless
    the settings allow it. While a Retry-After runs, DeliveryError is raised at once. Raises ValueError where the
    address is none.
    """

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        *,
        seconds: float = SEND_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        from guardian.mail.channels.services import make_plugin, service_of

        self.channel, self.name = name, f"channel {name}"
        self._settings, self._seconds, self._monotonic = settings, seconds, monotonic
        self._service = service_of(make_plugin(settings.address)).name
        self._not_before = 0.0

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Send the body of an outbox row: see `compose_channel`. Who sends and who gets it is in the address."""
        from guardian.mail.channels.exchange import Exchange

        try:
            said = read_message(message)
        except ValueError as error:
            raise PermanentError(str(error)) from None
        wait = self._not_before - self._monotonic()
        if wait > 0:
            raise DeliveryError(f"{self._service} asked to wait, {wait:.0f} s more")
        exchange = Exchange(allow_private=self._settings.allow_private)
        try:
            async with asyncio.timeout(self._seconds):
                taken = await asyncio.to_thread(self._send, exchange, said)
        except TimeoutError:
            exchange.abandon()
            if exchange.begun:
                raise UnknownOutcome(
                    f"{self._service} did not answer within {self._seconds:.0f} s, so it may have been sent"
                ) from None
            raise Unreachable(f"{self._service} could not be reached within {self._seconds:.0f} s") from None
        except PrivateAddress as error:
            raise PermanentError(f"{self._service}: {error}") from None
        finally:
            exchange.abandon()  # so that no thread goes on where this task was cancelled
        self._judge(exchange, taken)

    def _send(self, exchange: Exchange, message: ChannelMessage) -> bool:
        from guardian.mail.channels.services import make_plugin, notify

        plugin = make_plugin(self._settings.address)
        try:
            return exchange.run(plugin, lambda: notify(plugin, message))
        except PrivateAddress:
            raise
        except Exception:  # one delivery: whatever Apprise raises may have the address in its words
            return False

    def _judge(self, exchange: Exchange, taken: bool) -> None:
        """Returns for a message that was taken, and raises what else became of it."""
        service, response = self._service, exchange.response
        if taken:
            return
        if response is None:
            if exchange.begun:
                raise UnknownOutcome(f"the connection to {service} broke before its answer, so it may have been sent")
            if exchange.trouble:
                raise Unreachable(f"{service} cannot be reached: {exchange.trouble}")
            raise DeliveryError(f"nothing was sent to {service}: Apprise refused the message")
        status = response.status_code
        answer = f"{service} answered {status} {_phrase(status)}".rstrip()
        self._keep_still(response.headers.get("Retry-After"), status)
        if status // 100 == 2:
            if service == "Slack":
                self._judge_slack(response.content)
            return  # Apprise wants some services to say 200, and not 201 or 204; but a success is one
        if status // 100 == 3:
            raise PermanentError(f"{answer}: redirects are not followed, so give the address it should be")
        if status == HTTPStatus.GATEWAY_TIMEOUT:
            raise UnknownOutcome(f"{answer}, so it may have been sent")
        if status in _LATER or status >= 500:
            raise DeliveryError(answer)
        raise PermanentError(answer)

    def _judge_slack(self, content: bytes) -> None:
        code = ""
        with suppress(ValueError, TypeError, AttributeError):
            code = str(json.loads(content).get("error", ""))
        code = code if re.fullmatch(r"[a-z_]{1,60}", code) else "an answer that is not its ok"
        if code in _SLACK_LATER or " " in code:
            raise DeliveryError(f"Slack answered with {code}")
        raise PermanentError(f"Slack answered with {code}")

    def _keep_still(self, retry_after: str | None, status: int) -> None:
        from urllib3.exceptions import InvalidHeader
        from urllib3.util import Retry

        if retry_after is not None and status in (429, 503):
            with suppress(InvalidHeader, ValueError, OverflowError):
                wait = Retry().parse_retry_after(retry_after)
                self._not_before = self._monotonic() + min(wait, LONGEST_WAIT)

    async def close(self) -> None:
        """See Transport: nothing is held open."""


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
