"""The transport of one channel: it sends the outbox rows with the channel's name."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from http import HTTPStatus
from http.client import responses

from guardian.core.time import utc_now
from guardian.mail.channels.client import Client, Wire, direct
from guardian.mail.channels.message import ChannelMessage, read_message
from guardian.mail.channels.sender import Answer, Sender
from guardian.mail.channels.services import make_sender
from guardian.mail.transport import DeliveryError, PermanentError, UnknownOutcome, Unreachable, pause_asked
from guardian.settings.channels import ChannelSettings

SEND_SECONDS = 60.0
"""The time limit of a send; shorter than the one of delivery."""
_LATER = {408, 425, 429}
"""The answers of class 4xx that mean "try again": RFC 9110 (15.5.9), 8470 (5.2) and 6585 (4)."""


class ChannelTransport:
    """Sends to the address of one channel; see Transport. `channel` is the channel's name.

    No error has the address in it. A private host is refused at each send, by the addresses its name has then, unless
    the settings allow it. `wire` makes the connections. Raises ValueError where the address is none.
    """

    login = None

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        *,
        seconds: float = SEND_SECONDS,
        wire: Wire = direct,
    ) -> None:
        self.channel, self.name = name, f"channel {name}"
        self._seconds, self._wire = seconds, wire
        self._sender, self._allow_private = make_sender(settings.address), settings.allow_private
        self._service = self._sender.name

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Send the body of an outbox row, which `ChannelMessage.packed` made; the address says where to."""
        try:
            said = read_message(message)
        except ValueError as error:
            raise PermanentError(str(error)) from None
        client = Client(self._service, verify=self._sender.verify, allow_private=self._allow_private, wire=self._wire)
        try:
            async with asyncio.timeout(self._seconds):
                if isinstance(self._sender, Sender):
                    await self._converse(self._sender, said, client)
                elif not await asyncio.to_thread(self._sender.send, said):
                    raise DeliveryError("Apprise did not send it, and does not say why")
        except TimeoutError:
            late = f"within {self._seconds:.0f} s"
            if isinstance(self._sender, Sender) and not client.begun:
                raise Unreachable(f"{self._service} could not be reached {late}") from None
            raise UnknownOutcome(f"{self._service} did not answer {late}, so it may have been sent") from None

    async def _converse(self, sender: Sender, message: ChannelMessage, client: Client) -> None:
        conversation = sender.say(message)
        request = next(conversation)
        with suppress(StopIteration):
            while True:
                answer = await client.ask(request)
                self._judge(answer)
                request = conversation.send(answer)

    def _judge(self, answer: Answer) -> None:
        """Returns for a 2xx answer, and raises the message's outcome for any other."""
        status = answer.status
        said = f"{self._service} answered {status} {responses.get(status, '')}".rstrip()
        if status // 100 == 2:
            return
        if status // 100 == 3:
            raise PermanentError(f"{said}: redirects are not followed, so give the address it should be")
        if status == HTTPStatus.GATEWAY_TIMEOUT:
            raise UnknownOutcome(f"{said}, so it may have been sent")
        if status not in _LATER and status < 500:
            raise PermanentError(said)
        after, date = answer.headers.get("Retry-After"), answer.headers.get("Date")
        raise DeliveryError(said, retry_after=pause_asked(after, utc_now(), date))

    async def close(self) -> None:
        """See Transport: nothing is held open."""
