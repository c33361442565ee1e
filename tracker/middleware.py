"""The ASGI middleware: measures each request and hands one event to the recorder. It changes nothing that passes."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from time import perf_counter_ns
from typing import Any

from tracker.bookkeeping import Bookkeeper, answer_text, answer_type
from tracker.event import Failure
from tracker.identity import Identity
from tracker.lifespan import drain_at_shutdown
from tracker.recorder import Recorder
from tracker.routes import DEFAULT_SKIP, FeatureNames, PathFilter

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ABORTED = "response aborted after it had begun"
"""What is recorded of a response that broke off while the client was still there."""
CLIENT_GONE = 499
"""The status of a request whose client left before any answer (nginx's number; no standard has one)."""
CLOSE_STATUS = {1002: 400, 1003: 400, 1007: 400, 1008: 403, 1009: 413, 1010: 400, 1011: 500, 1013: 503, 1014: 502}
"""The status of a WebSocket that the app closed with one of these codes (RFC 6455, 7.4.1, and IANA's registry).

Any other code is a good end, 101: 1000 and 1001 by their meaning, 3000 to 4999 because they are the app's own words.
"""
_LEFT = Failure("HTTP 499", "the client left before an answer")
_BROKEN_OFF = Failure("Aborted", ABORTED)
_UNANSWERED = Failure("Aborted", "Internal Server Error")


class UsageTrackingMiddleware:
    """Records who used which feature, and what failed: `app.add_middleware(UsageTrackingMiddleware, database=…)`.

    `database` is the file; it is made when the first request comes. `features` names features that the route does not
    name well (`{"POST /api/threads": "thread_create"}`), `skip` are path prefixes that are not recorded. Identity is
    only what was verified: by `identify` (scope → e-mail or None), by the app itself (`scope["user"]`, claims in
    `scope["state"]`), by a bearer JWT checked against `jwt_key` or `jwks` (file or URL), or by `gateway_header`, which
    must only be set where a trusted gateway overwrites that header. Everybody else is `anonymous`.
    `buffer_size` events at most wait in memory, `flush_interval` seconds at most. `recorder` takes the place of
    `database` where several apps of a process share one; whoever made it closes it.

    HTTP and WebSocket are recorded, but for CORS preflights. An exception is a 500 and goes on unchanged; so is a
    response that breaks off while its client is there. Where the client leaves, the status already sent stands, or 499.
    Lifespan passes through, and its shutdown stores what waits; all else passes untouched. Nothing that goes wrong in
    here reaches the app. Raises ValueError for settings that contradict.
    """

    def __init__(
        self,
        app: App,
        database: str | os.PathLike[str] = "guardian.db",
        *,
        features: Mapping[str, str] | None = None,
        skip: Iterable[str] = DEFAULT_SKIP,
        identify: Callable[[Scope], str | None] | None = None,
        jwt_key: str | bytes | None = None,
        jwks: str | None = None,
        jwt_algorithms: Iterable[str] | None = None,
        jwt_audience: str | None = None,
        jwt_issuer: str | None = None,
        gateway_header: str | None = None,
        buffer_size: int = 10_000,
        flush_interval: float = 1.0,
        recorder: Recorder | None = None,
    ) -> None:
        tokens = None
        if jwt_key is not None or jwks is not None:
            from tracker.tokens import TokenVerifier  # PyJWT is heavy, and only needed here

            tokens = TokenVerifier(
                key=jwt_key, jwks=jwks, algorithms=jwt_algorithms, audience=jwt_audience, issuer=jwt_issuer
            )
        self.app = app
        self.recorder = recorder or Recorder(database, buffer_size=buffer_size, flush_interval=flush_interval)
        self._owns_recorder = recorder is None
        identity = Identity(identify=identify, tokens=tokens, gateway_header=gateway_header)
        self._books = Bookkeeper(self.recorder, identity, FeatureNames(features))
        self._record = self._books.record
        self._skips = PathFilter(skip).skips

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on to the app."""
        if self._books.root is None:
            self._books.root = scope.get("app") or self.app
        kind = scope["type"]
        if kind != "http":
            if kind == "websocket" and not self._skips(scope):
                await self._websocket(scope, receive, send)
            elif kind == "lifespan" and self._owns_recorder:
                await drain_at_shutdown(self.app, scope, receive, send, self.recorder.close)
            else:
                await self.app(scope, receive, send)
            return
        if self._skips(scope) or (scope["method"] == "OPTIONS" and _is_preflight(scope)):
            await self.app(scope, receive, send)
            return
        began = perf_counter_ns()
        status, took = 0, -1  # took: nanoseconds to the last byte, once it has been sent
        text: Any = None  # of an error answer: the content type until the first chunk comes, then what that may say
        gone = False

        async def watched_receive() -> Message:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.disconnect":
                gone = True
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status, took, text, gone
            try:
                await send(message)
            except OSError:
                gone = True
                raise
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
                if status >= 400:
                    text = answer_type(message)
                return
            if type(text) is bytes:
                text = answer_text(text, message)
            if kind in _BODY and not message.get("more_body", False) and took < 0:
                took = perf_counter_ns() - began
                if status < 500:
                    # Not later: a background task may run for minutes before the app returns.
                    self._record(scope, status, took, text)

        try:
            await self.app(scope, watched_receive, watched_send)
        except BaseException as error:
            if took >= 0:
                if status >= 500:
                    # The app's outermost handler has answered; what it then raises again says more than its answer.
                    self._record(scope, status, took, error)
            elif gone or _is_cancelled(error):
                self._record(scope, status or CLIENT_GONE, perf_counter_ns() - began, _LEFT)
            else:
                self._record(scope, 500, perf_counter_ns() - began, error, ABORTED if status else None)
            raise
        if took < 0:
            took = perf_counter_ns() - began
            if gone:
                self._record(scope, status or CLIENT_GONE, took, _LEFT)
            else:
                self._record(scope, 500, took, _BROKEN_OFF if status else _UNANSWERED)
        elif status >= 500:
            self._record(scope, status, took, text)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter_ns()
        status, closed, gone = 0, False, False
        failure: Failure | None = None

        async def watched_receive() -> Message:
            nonlocal gone
            message = await receive()
            if message["type"] == "websocket.disconnect":
                gone = True
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status, closed, gone, failure
            try:
                await send(message)
            except OSError:
                gone = True
                raise
            kind = message["type"]
            if kind == "websocket.accept":
                status = 101
            elif kind == "websocket.http.response.start":
                status, closed = message["status"], True
            elif kind == "websocket.close" and not (gone or closed):
                closed = True
                if not status:
                    status = 403  # closed before it was accepted: the handshake is refused (ASGI, WebSocket close)
                elif (code := message.get("code", 1000)) in CLOSE_STATUS:
                    status = CLOSE_STATUS[code]
                    failure = Failure(f"WebSocket {code}", "closed by the app with an error code")

        try:
            await self.app(scope, watched_receive, watched_send)
        except BaseException as error:
            took = perf_counter_ns() - began
            if gone or _is_cancelled(error):
                self._record(scope, status or CLIENT_GONE, took, failure or _LEFT)
            else:
                self._record(scope, 500, took, error)
            raise
        took = perf_counter_ns() - began
        if status:
            self._record(scope, status, took, failure)
        else:
            self._record(scope, CLIENT_GONE if gone else 500, took, _LEFT if gone else _UNANSWERED)


_BODY = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))


def _is_cancelled(error: BaseException) -> bool:
    """Whether the server gave the request up, as it does when the client leaves."""
    if isinstance(error, Exception):
        return False
    from asyncio import CancelledError  # costs more than all of `import tracker`; a host that comes here has it

    return isinstance(error, CancelledError | GeneratorExit)


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks for permission (Fetch standard, CORS-preflight request): nobody used anything."""
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])
