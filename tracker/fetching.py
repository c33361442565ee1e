"""Fetches a small document, within a time, from a server that may be slow, broken or hostile."""

from __future__ import annotations

import http.client
import io
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

FETCH_SECONDS = 15.0
"""The time limit for a whole answer, so that a server sending byte by byte cannot hold us up."""
_STEP_SECONDS = 10.0  # for each step of it


def fetched(url: str, most: int, *, direct: bool = False) -> bytes:
    """The first `most` bytes of a URL's answer. Follows no redirects. With `direct`, uses no proxy.

    Raises OSError, ValueError or http.client.HTTPException: see `why_not`.
    """
    proxies = [urllib.request.ProxyHandler({})] if direct else []
    opener = urllib.request.build_opener(_NoRedirect, _Http, _Https, *proxies)
    with opener.open(url, timeout=_STEP_SECONDS) as answer:
        body: bytes = answer.read(most)
    return body


def why_not(error: BaseException) -> str:
    """Why `fetched` failed, in words of our own, since the server's may be anything."""
    if isinstance(error, urllib.error.HTTPError):
        try:
            return HTTPStatus(error.code).phrase
        except ValueError:
            return f"the status {error.code:d}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, BaseException):
        return why_not(error.reason)
    if isinstance(error, http.client.RemoteDisconnected):
        return str(error)
    if isinstance(error, http.client.HTTPException):
        return "the answer is not HTTP"
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", None) or type(error).__name__


class _Timed(io.RawIOBase):
    """A connection's input with a limit for the whole answer: a socket's timeout restarts with each byte."""

    def __init__(self, raw: io.RawIOBase, socket: Any) -> None:
        self._raw, self._socket, self._end = raw, socket, time.monotonic() + FETCH_SECONDS

    def readable(self) -> bool:
        """True: it can be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """See io.RawIOBase. Raises TimeoutError."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(min(left, _STEP_SECONDS))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Close the connection with it."""
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock))


class _Http(urllib.request.HTTPHandler):
    def do_open(self, http_class: Any, req: Any, **more: Any) -> Any:
        """Open a connection with a time limit for the whole answer."""
        return super().do_open(_timed(http_class), req, **more)


class _Https(urllib.request.HTTPSHandler):
    def do_open(self, http_class: Any, req: Any, **more: Any) -> Any:
        """Open a connection with a time limit for the whole answer."""
        return super().do_open(_timed(http_class), req, **more)


def _timed(http_class: Any) -> Any:
    def connect(*args: Any, **kwargs: Any) -> Any:
        connection = http_class(*args, **kwargs)
        connection.response_class = _Response
        return connection

    return connect


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Never redirect: keys must come from where the settings say."""
        return None
