"""The HTTP of channels: guarded, bounded, and watched for how far it got."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import httpx2

from guardian.core.off_loop import off_loop
from guardian.mail.channels.addresses import PrivateAddress, public_addresses
from guardian.mail.channels.sender import Answer, Request
from guardian.mail.transport import PermanentError, UnknownOutcome, Unreachable

CONNECT_SECONDS, READ_SECONDS = 5.0, 20.0
LARGEST_ANSWER = 65536
"""The most bytes read of an answer; services need fewer."""
_LOGGERS = ("httpx2", "httpcore2.connection", "httpcore2.http11", "apprise", "urllib3.connectionpool")

Wire = Callable[[bool], httpx2.AsyncBaseTransport]
"""Makes an HTTP transport; its argument says whether certificates must be trusted."""

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


def direct(verify: bool) -> httpx2.AsyncBaseTransport:
    """Direct connections: no proxy, no environment settings, no keep-alive."""
    return httpx2.AsyncHTTPTransport(
        verify=verify, trust_env=False, limits=httpx2.Limits(max_keepalive_connections=0), retries=0
    )


class Client:
    """Makes the requests of one message to the `service` of that name. `begun` says whether any byte of the latest
    request may have been sent."""

    def __init__(self, service: str, *, verify: bool, allow_private: bool, wire: Wire = direct) -> None:
        self.begun = False
        self._service, self._verify, self._allow_private, self._wire = service, verify, allow_private, wire

    async def ask(self, request: Request) -> Answer:
        """The answer, whatever its status. No redirect, no proxy, no .netrc, time limits, a bounded body.

        Without an answer it raises PermanentError for a private host, before any connection; Unreachable where nothing
        was sent; UnknownOutcome where something may have been.
        """
        self.begun = False
        limits, wire = httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS), await off_loop(self._wire, self._verify)
        client = httpx2.AsyncClient(transport=wire, trust_env=False, follow_redirects=False, timeout=limits)
        try:
            with quiet():
                async with client:
                    return await self._ask(client, request, httpx2.URL(request.url))
        except PrivateAddress as error:
            raise PermanentError(f"{self._service}: {error}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            if self.begun:
                broke = f"the connection to {self._service} broke before its answer, so it may have been sent"
                raise UnknownOutcome(broke) from None
            raise Unreachable(f"{self._service} cannot be reached: {_trouble(error)}") from None

    async def _ask(self, client: httpx2.AsyncClient, request: Request, url: httpx2.URL) -> Answer:
        """Connects to exactly the addresses that were checked, but with the host's name in SNI and the Host header."""
        host, places = url.raw_host.decode(), [url]
        if not self._allow_private:
            port = url.port or (443 if url.scheme == "https" else 80)
            places = [url.copy_with(host=each) for each in await asyncio.to_thread(public_addresses, host, port)]
        headers = httpx2.Headers(
            {"Host": url.netloc.decode(), "User-Agent": "Guardian", "Content-Type": "application/json",
             "Accept-Encoding": "identity"}
        )  # fmt: skip
        for name, value in request.headers.items():
            headers[name] = value  # in UTF-8, which a constructor would refuse
        watched: dict[str, Any] = {"trace": self._watch, "sni_hostname": host}
        failure: Exception = OSError("no address")
        for place in places:
            asked = client.stream(request.method, place, content=request.content(), headers=headers, extensions=watched)
            try:
                async with asked as response:
                    return Answer(response.status_code, response.headers, await _beginning(response))
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:  # nothing was sent
                failure = error
        raise failure

    async def _watch(self, event: str, info: dict[str, Any]) -> None:
        if event == "http11.send_request_headers.started":
            self.begun = True


async def _beginning(response: httpx2.Response) -> bytes:
    found = bytearray()
    with suppress(httpx2.HTTPError, TimeoutError):  # the status is known, and enough
        async with asyncio.timeout(READ_SECONDS):
            async for part in response.aiter_raw():
                found += part
                if len(found) >= LARGEST_ANSWER:
                    break
    return bytes(found[:LARGEST_ANSWER])


def _trouble(error: BaseException) -> str:
    """The reason in our own words: messages of the underlying errors contain the URL."""
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) and below not in chain:
        chain.append(below)
    if isinstance(error, httpx2.ConnectTimeout):
        return f"no connection within {CONNECT_SECONDS:.0f} s"
    for each in chain:
        if isinstance(each, (socket.gaierror, UnicodeError)):
            return "its name does not resolve"
        if isinstance(each, ssl.SSLError):
            return "its TLS certificate is not trusted, or it does not speak TLS"
    number = next((each.errno for each in chain if isinstance(each, OSError) and each.errno), None)
    return f"no connection ({os.strerror(number) if number else type(error).__name__})"


@contextmanager
def quiet() -> Iterator[None]:
    """Mutes the HTTP libraries' logging for what runs inside: they log URLs, which are secrets, and our own errors tell
    what went wrong. Other users of the libraries in this process still log.
    """
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_heard)  # adding it twice has no effect
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _heard(record: logging.LogRecord) -> bool:
    return not _quiet.get()
