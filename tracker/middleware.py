"""The ASGI middleware: measures each request and hands one event to the recorder. It changes nothing that passes."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from time import perf_counter_ns, time_ns
from typing import Any, NamedTuple

from tracker.error_text import NOTE, AuthoredTexts, candidate_text, failure_of_exception
from tracker.event import Event, Failure
from tracker.identity import Identity
from tracker.recorder import Recorder
from tracker.routes import DEFAULT_SKIP, FeatureNames, PathFilter, method_name, route_template

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("tracker")

ABORTED = "response aborted after it had begun"
"""What is recorded of a response that broke off while the client was still there."""
_ERROR_PEEK = 4096
_CLIENT_GONE = 499
_GOOD_CLOSES = frozenset((1000, 1001, 1005, 1006))


class Unverified(NamedTuple):
    """A failure whose text still has to be compared with the literals of the app; it never leaves the process."""

    kind: str
    candidate: str | None
    endpoint: Any

    def __repr__(self) -> str:
        return f"Unverified({self.kind!r})"


class UsageTrackingMiddleware:
    """Records who used which feature, and what failed: `app.add_middleware(UsageTrackingMiddleware, database=…)`.

    `database` is the file; it is made when the first request comes. `features` names features that the route does not
    name well (`{"POST /api/threads": "thread_create"}`), `skip` are path prefixes that are not recorded. Identity is
    only what was verified: by `identify` (scope → e-mail or None), by the app itself (`scope["user"]`, claims in
    `scope["state"]`), by a bearer JWT checked against `jwt_key` or `jwks` (file or URL), or by `gateway_header`, which
    must only be set where a trusted gateway overwrites that header. Everybody else is `anonymous`.
    `buffer_size` events at most wait in memory, `flush_interval` seconds at most. `recorder` takes the place of
    `database` where several apps of a process share one.

    HTTP and WebSocket are recorded; lifespan passes through, and its shutdown stores what waits; all else passes
    untouched. Nothing that goes wrong in here reaches the app. Raises ValueError for settings that contradict.
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
        self._texts = AuthoredTexts()
        self.recorder = recorder or Recorder(
            database, buffer_size=buffer_size, flush_interval=flush_interval, finish=self._verify_text
        )
        self._user = Identity(identify=identify, tokens=tokens, gateway_header=gateway_header).user
        self._feature = FeatureNames(features).name
        self._skips = PathFilter(skip)
        self._complained = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on to the app."""
        kind = scope["type"]
        if kind == "http":
            if self._skips(scope["path"]) or (scope["method"] == "OPTIONS" and _is_preflight(scope)):
                await self.app(scope, receive, send)
            else:
                await self._http(scope, receive, send)
        elif kind == "websocket" and not self._skips(scope["path"]):
            await self._websocket(scope, receive, send)
        elif kind == "lifespan":
            await self.app(scope, receive, self._drain_at_shutdown(send))
        else:
            await self.app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter_ns()
        root = scope.get("app") or self.app
        status = 0
        peek: bytes | None = None  # the content type of an error answer whose first chunk has not come yet
        candidate: str | None = None
        done = gone = False

        async def watched_receive() -> Message:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.disconnect":
                gone = True
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status, peek, candidate, done, gone
            kind = message["type"]
            last = False
            if kind == "http.response.body":
                if peek is not None:
                    candidate, peek = self._peek(peek, message), None
                last = not message.get("more_body", False)
            elif kind == "http.response.start":
                status = message["status"]
                if status >= 400:
                    peek = _plain_content_type(message)
            elif kind == "http.response.pathsend":
                last = True
            try:
                await send(message)
            except OSError:
                gone = True
                raise
            if last and not done:
                done = True
                self._record(scope, root, began, status, candidate=candidate)

        try:
            await self.app(scope, watched_receive, watched_send)
        except BaseException as error:
            if not done:
                if gone or isinstance(error, asyncio.CancelledError):
                    self._record(scope, root, began, status or _CLIENT_GONE)
                else:
                    self._record(scope, root, began, 500, error=error, aborted=status != 0)
            raise
        if not done:
            if gone:
                self._record(scope, root, began, status or _CLIENT_GONE)
            else:
                self._record(scope, root, began, 500, aborted=True)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter_ns()
        root = scope.get("app") or self.app
        status, accepted, gone = 0, False, False

        async def watched_receive() -> Message:
            nonlocal gone
            message = await receive()
            if message["type"] == "websocket.disconnect":
                gone = True
            return message

        async def watched_send(message: Message) -> None:
            nonlocal status, accepted, gone
            kind = message["type"]
            try:
                await send(message)
            except OSError:
                gone = True
                raise
            if kind == "websocket.accept":
                accepted, status = True, 101
            elif kind == "websocket.http.response.start":
                status = message["status"]
            elif kind == "websocket.close" and not gone:
                # Closed before it was accepted: the server answers 403 (ASGI, WebSocket close).
                # 1011 is "internal error" (RFC 6455, 7.4.1); other codes are the app's own way to say goodbye.
                status = (500 if message.get("code", 1000) == 1011 else 101) if accepted else 403

        try:
            await self.app(scope, watched_receive, watched_send)
        except BaseException as error:
            if gone or isinstance(error, asyncio.CancelledError):
                self._record(scope, root, began, status or _CLIENT_GONE)
            else:
                self._record(scope, root, began, 500, error=error)
            raise
        self._record(scope, root, began, status or (_CLIENT_GONE if gone else 500), aborted=not gone and not status)

    def _record(
        self,
        scope: Scope,
        root: Any,
        began: int,
        status: int,
        *,
        candidate: str | None = None,
        error: BaseException | None = None,
        aborted: bool = False,
    ) -> None:
        """Hand the event of a finished request to the recorder; never raises."""
        try:
            now, duration = time_ns() // 1000, (perf_counter_ns() - began) // 1000
            method = method_name(scope)
            endpoint = route_template(scope, root)
            failure: Any = None
            if status >= 400:
                if error is not None:
                    failure = failure_of_exception(error)
                    if aborted:
                        failure = failure._replace(message=ABORTED)
                elif aborted:
                    failure = Failure("Aborted", ABORTED)
                else:
                    failure = Unverified(f"HTTP {status}", scope.get(NOTE) or candidate, scope.get("endpoint"))
            self.recorder.add(
                Event(
                    now, self._user(scope), endpoint, method, self._feature(method, endpoint), status, duration, failure
                )
            )
        except Exception:
            if not self._complained:
                self._complained = True
                log.exception("The tracker could not record a request; the app is not affected. This is said once.")

    def _peek(self, content_type: bytes, message: Message) -> str | None:
        body = message.get("body", b"")
        return candidate_text(content_type, body) if len(body) <= _ERROR_PEEK else None

    def _verify_text(self, event: Event) -> Event:
        """In the writer thread: the text of an error answer becomes the app author's words, or the reason phrase."""
        failure: Any = event.failure
        if type(failure) is not Unverified:
            return event
        message = self._texts.message(failure.candidate, event.status, failure.endpoint)
        return event._replace(failure=Failure(failure.kind, message))

    def _drain_at_shutdown(self, send: Send) -> Send:
        async def watched_send(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown."):
                await asyncio.to_thread(self.recorder.close)
            await send(message)

        return watched_send


def _plain_content_type(message: Message) -> bytes | None:
    """The content type of an answer that is not compressed; b"" where it names none."""
    content_type = b""
    for name, value in message.get("headers", ()):
        lowered = name.lower()
        if lowered == b"content-type":
            content_type = value
        elif lowered == b"content-encoding":
            return None
    return content_type


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks for permission (Fetch standard, CORS-preflight request): nobody used anything."""
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])
