"""The transport of one channel: it sends the outbox rows with the channel's name."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from guardian.core.time import utc_now
from guardian.mail.channels.addresses import PrivateAddress
from guardian.mail.channels.client import Client, Failed, Wire, direct
from guardian.mail.channels.message import ChannelMessage, read_message
from guardian.mail.channels.sender import Answer, Sender
from guardian.mail.channels.services import make_sender
from guardian.mail.transport import DeliveryError, PermanentError, UnknownOutcome, Unreachable
from guardian.settings.channels import ChannelSettings

SEND_SECONDS = 60.0
"""The time limit of a send; shorter than the one of delivery."""
LONGEST_WAIT = 3600.0
"""The most seconds that a channel pauses because of Retry-After."""
_LATER = {408, 425, 429}
"""The answers of class 4xx that mean "try again": RFC 9110 (15.5.9), 8470 (5.2) and 6585 (4)."""


class ChannelTransport:
    """Sends to the address of one channel; see Transport. `channel` is the channel's name.

    No error has the address in it. A private host is refused at each send, by the addresses its name has then, unless
    the settings allow it. While a Retry-After runs, DeliveryError is raised at once. `wire` makes the connections.
    Raises ValueError where the address is none.
    """

    login = None

    def __init__(
        self,
        name: str,
        settings: ChannelSettings,
        *,
        seconds: float = SEND_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        wire: Wire = direct,
    ) -> None:
        self.channel, self.name = name, f"channel {name}"
        self._seconds, self._monotonic, self._wire = seconds, monotonic, wire
        self._sender, self._allow_private = make_sender(settings.address), settings.allow_private
        self._service, self._not_before = self._sender.name, 0.0

    async def send(self, message: bytes, *, sender: str, recipient: str) -> None:
        """Send the body of an outbox row: see `compose_channel`. Who sends and who gets it is in the address."""
        try:
            said = read_message(message)
        except ValueError as error:
            raise PermanentError(str(error)) from None
        if (wait := self._not_before - self._monotonic()) > 0:
            raise DeliveryError(f"{self._service} asked to wait, {wait:.0f} s more")
        client = Client(verify=self._sender.verify, allow_private=self._allow_private, wire=self._wire)
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
        except PrivateAddress as error:
            raise PermanentError(f"{self._service}: {error}") from None
        except Failed as error:
            if not error.begun:
                raise Unreachable(f"{self._service} cannot be reached: {error}") from None
            broke = f"the connection to {self._service} broke before its answer, so it may have been sent"
            raise UnknownOutcome(broke) from None

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
        status, said = answer.status, f"{self._service} answered {answer.status} {_phrase(answer.status)}".rstrip()
        if status in (429, 503):
            self._keep_still(answer)
        if status // 100 == 2:
            return
        if status // 100 == 3:
            raise PermanentError(f"{said}: redirects are not followed, so give the address it should be")
        if status == HTTPStatus.GATEWAY_TIMEOUT:
            raise UnknownOutcome(f"{said}, so it may have been sent")
        raise (DeliveryError if status in _LATER or status >= 500 else PermanentError)(said)

    def _keep_still(self, answer: Answer) -> None:
        """Retry-After is seconds, or a date (RFC 9110, 10.2.3): counted from the answer's own, if it has one."""
        after, date = answer.headers.get("Retry-After", "").strip(), answer.headers.get("Date")
        with suppress(ValueError, OverflowError, TypeError):
            if re.fullmatch(r"[0-9]{1,9}", after):
                wait = float(after)
            else:
                begin = parsedate_to_datetime(date) if date else utc_now()
                wait = (parsedate_to_datetime(after) - begin).total_seconds()
            self._not_before = self._monotonic() + min(wait, LONGEST_WAIT)

    async def close(self) -> None:
        """See Transport: nothing is held open."""


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
