"""The transport of one channel: it sends the outbox rows that bear the channel's name."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from guardian.core.time import utc_now
from guardian.mail.channels.addresses import PrivateAddress
from guardian.mail.channels.message import ChannelMessage, read_message
from guardian.mail.transport import DeliveryError, PermanentError, UnknownOutcome, Unreachable
from guardian.settings.channels import ChannelSettings

if TYPE_CHECKING:
    from guardian.mail.channels.client import Client, Wire
    from guardian.mail.channels.sender import Answer, Sender

SEND_SECONDS = 60.0
"""After this a send is given up; less than delivery waits for it."""
LONGEST_WAIT = 3600.0
"""So many seconds at most does a channel keep still because its service asked for it with Retry-After."""
_LATER = {408, 425, 429}
"""The answers of class 4xx that mean "try again": RFC 9110 (15.5.9), 8470 (5.2) and 6585 (4)."""


class ChannelTransport:
    """Sends to the address of one channel; see Transport. `channel` is the channel's name.

    No error has the address in it. A private host is refused at each send, by the addresses its name has then, unless
    the settings allow it. While a Retry-After runs, DeliveryError is raised at once. `wire` makes the connections,
    None for direct ones. Raises ValueError where the address is none.
    """

    login = None

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        *,
        seconds: float = SEND_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        wire: Wire | None = None,
    ) -> None:
        from guardian.mail.channels.services import make_sender

        self.channel, self.name = name, f"channel {name}"
        self._settings, self._seconds, self._monotonic, self._wire = settings, seconds, monotonic, wire
        self._sender = make_sender(settings.address)
        self._service = self._sender.name
        self._not_before = 0.0

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Send the body of an outbox row: see `compose_channel`. Who sends and who gets it is in the address."""
        from guardian.mail.channels.client import Client, Failed, direct
        from guardian.mail.channels.sender import Sender

        try:
            said = read_message(message)
        except ValueError as error:
            raise PermanentError(str(error)) from None
        wait = self._not_before - self._monotonic()
        if wait > 0:
            raise DeliveryError(f"{self._service} asked to wait, {wait:.0f} s more")
        if not isinstance(self._sender, Sender):
            await self._through_apprise(said)
            return
        allowed, wire = self._settings.allow_private, self._wire or direct
        client = Client(verify=self._sender.verify, allow_private=allowed, wire=wire)
        try:
            async with asyncio.timeout(self._seconds):
                await self._converse(self._sender, said, client)
        except TimeoutError:
            if client.begun:
                raise UnknownOutcome(self._late()) from None
            raise Unreachable(f"{self._service} could not be reached within {self._seconds:.0f} s") from None
        except PrivateAddress as error:
            raise PermanentError(f"{self._service}: {error}") from None
        except Failed as error:
            if error.begun:
                raise UnknownOutcome(
                    f"the connection to {self._service} broke before its answer, so it may have been sent"
                ) from None
            raise Unreachable(f"{self._service} cannot be reached: {error}") from None

    async def _converse(self, sender: Sender, message: ChannelMessage, client: Client) -> None:
        conversation = sender.say(message)
        request = next(conversation)
        with suppress(StopIteration):
            while True:
                answer = await client.ask(request)
                self._judge(answer)
                request = conversation.send(answer)

    async def _through_apprise(self, message: ChannelMessage) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                taken = await asyncio.to_thread(self._sender.notify, message)  # type: ignore[union-attr]
        except TimeoutError:
            raise UnknownOutcome(self._late()) from None
        if not taken:
            raise DeliveryError("Apprise did not send it, and does not say why")

    def _late(self) -> str:
        return f"{self._service} did not answer within {self._seconds:.0f} s, so it may have been sent"

    def _judge(self, answer: Answer) -> None:
        """Returns for an answer of class 2xx, and raises what else became of the message."""
        status = answer.status
        said = f"{self._service} answered {status} {_phrase(status)}".rstrip()
        if status in (429, 503):
            self._keep_still(answer)
        if status // 100 == 2:
            return
        if status // 100 == 3:
            raise PermanentError(f"{said}: redirects are not followed, so give the address it should be")
        if status == HTTPStatus.GATEWAY_TIMEOUT:
            raise UnknownOutcome(f"{said}, so it may have been sent")
        if status in _LATER or status >= 500:
            raise DeliveryError(said)
        raise PermanentError(said)

    def _keep_still(self, answer: Answer) -> None:
        """Retry-After is seconds, or a date (RFC 9110, 10.2.3): counted from the answer's own, if it has one."""
        after = answer.headers.get("Retry-After", "").strip()
        with suppress(ValueError, OverflowError, TypeError):
            if re.fullmatch(r"[0-9]{1,9}", after):
                wait = float(after)
            else:
                date = answer.headers.get("Date")
                begin = parsedate_to_datetime(date) if date else utc_now()
                wait = (parsedate_to_datetime(after) - begin).total_seconds()
            self._not_before = self._monotonic() + min(wait, LONGEST_WAIT)

    async def close(self) -> None:
        """See Transport: nothing is held open."""


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
