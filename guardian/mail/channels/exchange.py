"""The HTTP of one channel message: guarded, bounded, and watched for how far it got.

Apprise's services call `requests` and tell of the outcome only "no", so they are given an `Exchange` in its place.
"""

from __future__ import annotations

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

import requests
from apprise import NotifyBase
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from guardian.mail.channels.addresses import public_addresses

CONNECT_SECONDS, READ_SECONDS = 5.0, 20.0
LARGEST_ANSWER = 65536
"""So many bytes of an answer are read; services say what they have to say in less."""

_T = TypeVar("_T")
_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class Abandoned(Exception):
    """The exchange was given up from outside, or one of its requests has failed."""


class Exchange:
    """What one message asked of a server, and what came back.

    `begun` says whether any byte of the latest request may have been sent, `response` is the latest answer (None
    while there is none), `trouble` what stood in the way of one, in words without the address.
    """

    def __init__(self, *, allow_private: bool) -> None:
        self.allow_private = allow_private
        self.begun = False
        self.trouble = ""
        self.response: requests.Response | None = None
        self._over = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def run(self, plugin: NotifyBase, call: Callable[[], _T]) -> _T:
        """What `call` returns, with all that the service asks of `requests` meanwhile going through this exchange."""
        module = sys.modules[type(plugin).__module__]
        if not isinstance(module.__dict__["requests"], _Requests):
            module.__dict__["requests"] = _Requests()
        token = _current.set(self)
        try:
            with quiet():
                return call()
        finally:
            _current.reset(token)

    def abandon(self) -> None:
        """End it from another thread: nothing more is sent, and a wait for an answer ends."""
        with self._lock:
            self._over = True
            if self._socket is not None:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    self._socket = None  # it was closed already

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """As requests.request, but: no redirect, no proxy, no .netrc, time limits of our own, a bounded answer.

        After an answer that is not of class 2xx nothing more is sent.
        """
        if self.response is not None and not self.response.ok:
            raise Abandoned("an earlier request of the same message failed")
        options |= {"allow_redirects": False, "timeout": (CONNECT_SECONDS, READ_SECONDS), "stream": True}
        self.begun, self.response = False, None
        with requests.Session() as session:
            session.trust_env = False
            session.mount("http://", _Adapter())
            session.mount("https://", _Adapter())
            try:
                response = session.request(method, url, **options)
            except requests.exceptions.SSLError:
                self.trouble = "its TLS certificate is not trusted, or it does not speak TLS"
                raise
            try:
                content = response.raw.read(LARGEST_ANSWER, decode_content=True)
            except (HTTPError, OSError):
                content = b""  # the status is known, and says enough
            response._content = content  # what requests would else read without a bound
        self.response = response
        return response

    def connect(self, connection: HTTPConnection) -> socket.socket:
        """A socket to the connection's host, whose addresses were just looked at.

        Raises PrivateAddress, or what urllib3's own connections raise.
        """
        host, port = connection.host, connection.port or connection.default_port
        try:
            addresses = [host] if self.allow_private else public_addresses(host, port)
            failure: OSError = OSError("no address")
            for address in addresses:
                try:
                    found = create_connection((address, port), CONNECT_SECONDS, None, connection.socket_options)
                    break
                except OSError as error:
                    failure = error
            else:
                raise failure
        except socket.gaierror as error:
            self.trouble = "its name does not resolve"
            raise NameResolutionError(host, connection, error) from None
        except TimeoutError:
            self.trouble = f"no connection within {CONNECT_SECONDS:.0f} s"
            raise ConnectTimeoutError(connection, self.trouble) from None
        except OSError as error:
            self.trouble = f"no connection ({error.strerror or type(error).__name__})"
            raise NewConnectionError(connection, self.trouble) from None
        found.settimeout(READ_SECONDS)  # for TLS's handshake
        return found

    def begin(self, through: socket.socket | None) -> None:
        """A byte of the request is about to be sent."""
        with self._lock:
            if self._over:
                raise Abandoned("given up before anything was sent")
            self.begun, self._socket = True, through


class _Watched:
    """A connection of urllib3 that asks the exchange for its socket, and tells it when it sends."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        return _exchange().connect(self)  # type: ignore[arg-type]

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()  # type: ignore[attr-defined]
        _exchange().begin(self.sock)
        super().send(data)  # type: ignore[misc]


class _Plain(_Watched, HTTPConnection):
    pass


class _Secure(_Watched, HTTPSConnection):
    pass


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _Secure


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _SecurePool}


class _Requests:
    """What a service of Apprise finds under the name `requests`: the module itself, save inside an exchange.

    So another use of Apprise in the same process is none of our business.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        exchange = _current.get()
        return (
            requests.request(method, url, **options) if exchange is None else exchange.request(method, url, **options)
        )

    def get(self, url: str, **options: Any) -> requests.Response:
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        return self.request("POST", url, **options)


def _exchange() -> Exchange:
    exchange = _current.get()
    if exchange is None:
        raise RuntimeError("a guarded connection is used outside an exchange")
    return exchange


@contextmanager
def quiet() -> Iterator[None]:
    """Apprise and urllib3 log nothing of what runs inside: they log addresses, which are secrets.

    What goes wrong is told by our own errors. Whatever else uses them in the same process still logs.
    """
    for name in ("apprise", "urllib3.connectionpool"):
        logging.getLogger(name).addFilter(_heard)  # a second time is nothing
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def _heard(record: logging.LogRecord) -> bool:
    return not _quiet.get()
