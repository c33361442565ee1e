"""The ASGI middleware: measures each request and hands one event to the recorder. It changes nothing that passes."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from time import perf_counter_ns, time_ns
from typing import Any

from tracker.error_text import NOTE, candidate_text, failure_of_exception
from tracker.event import Event, Failure
from tracker.identity import Identity
from tracker.lifespan import drain_at_shutdown
from tracker.recorder import Recorder, Unverified
from tracker.routes import DEFAULT_SKIP, FeatureNames, PathFilter, method_name, route_template

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("tracker")

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
_ERROR_PEEK = 4096
_ROUTE_CACHE = 4096
_event = tuple.__new__  # Event(…) without the call to Python that a NamedTuple makes


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
        self._user = Identity(identify=identify, tokens=tokens, gateway_header=gateway_header).user
        self._feature = FeatureNames(features).name
        self._skips = PathFilter(skip)
        self._known: dict[tuple[int, str], tuple[str, str, str, Any]] = {}
        self._complained = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on to the app."""
        kind = scope["type"]
        if kind != "http":
            if kind == "websocket" and not self._skips(scope["path"]):
                await self._websocket(scope, receive, send)
            elif kind == "lifespan" and self._owns_recorder:
                await drain_at_shutdown(self.app, scope, receive, send, self.recorder.close)
            else:
                await self.app(scope, receive, send)
            return
        if self._skips(scope["path"]) or (scope["method"] == "OPTIONS" and _is_preflight(scope)):
            await self.app(scope, receive, send)
            return

        began = perf_counter_ns()
        root = scope.get("app") or self.app  # mounts put their own app there
        status = took = 0
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
            nonlocal status, took, peek, candidate, done, gone
            try:
                await send(message)
            except OSError:
                gone = True
                raise
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
                if status >= 400:
                    peek = _plain_content_type(message)
                return
            if peek is not None:
                candidate, peek = _peek(peek, message), None
            if done or kind not in _BODY or message.get("more_body", False):
                return
            done = True
            took = perf_counter_ns() - began
            if status < 500:
                # Not later: a background task may run for minutes before the app returns.
                self._record(scope, root, status, took, candidate)

        try:
            await self.app(scope, watched_receive, watched_send)
        except BaseException as error:
            if not done:
                took = perf_counter_ns() - began
                if gone or _is_cancelled(error):
                    self._record(scope, root, status or CLIENT_GONE, took, None, _LEFT)
                else:
                    self._record(scope, root, 500, took, None, error, ABORTED if status else None)
            elif status >= 500:
                # The app's outermost handler has answered already; what it raises again says more than its answer.
                self._record(scope, root, status, took, None, error)
            raise
        if not done:
            took = perf_counter_ns() - began
            if gone:
                self._record(scope, root, status or CLIENT_GONE, took, None, _LEFT)
            else:
                self._record(scope, root, 500, took, None, _BROKEN_OFF if status else _UNANSWERED)
        elif status >= 500:
            self._record(scope, root, status, took, candidate)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter_ns()
        root = scope.get("app") or self.app
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
                self._record(scope, root, status or CLIENT_GONE, took, None, failure or _LEFT)
            else:
                self._record(scope, root, 500, took, None, error)
            raise
        took = perf_counter_ns() - began
        if status:
            self._record(scope, root, status, took, None, failure)
        else:
            self._record(scope, root, CLIENT_GONE if gone else 500, took, None, _LEFT if gone else _UNANSWERED)

    def _record(
        self,
        scope: Scope,
        root: Any,
        status: int,
        took: int,
        candidate: str | None,
        why: Failure | BaseException | None = None,
        message: str | None = None,
    ) -> None:
        """Hand the event of a finished request to the recorder; never raises.

        `took` is in nanoseconds. `why` counts for a status of 400 or more only; without it, the answer's own text is
        asked, which is `candidate`.
        """
        try:
            now = time_ns() // 1000
            route = scope.get("route")
            if "fastapi" in scope:
                route = scope["fastapi"].get("effective_route_context") or route
            # A route object stays the same over requests; what a mount stands for depends on the path as well.
            key = (id(route), scope.get("method", ""))
            known = self._known.get(key) if "app_root_path" not in scope else None
            endpoint, method, feature, _ = known or self._place(scope, root, route, key)
            failure = self._failure(scope, status, candidate, why, message) if status >= 400 else None
            self.recorder.add(
                _event(Event, (now, self._user(scope), endpoint, method, feature, status, took // 1000, failure))
            )
        except Exception as error:
            self.recorder.add_lost()
            if not self._complained:
                self._complained = True
                where = failure_of_exception(error).kind
                log.error("The tracker could not record a request (%s); the app is not affected. Said once.", where)

    def _place(self, scope: Scope, root: Any, route: Any, key: tuple[int, str]) -> tuple[str, str, str, Any]:
        """Endpoint, method and feature of a request, and the route, which keeps its id from being given again."""
        endpoint, method = route_template(scope, root), method_name(scope)
        place = (endpoint, method, self._feature(method, endpoint), route)
        if "app_root_path" not in scope:
            if len(self._known) >= _ROUTE_CACHE:
                self._known.clear()
            self._known[key] = place
        return place

    def _failure(
        self, scope: Scope, status: int, candidate: str | None, why: Failure | BaseException | None, message: str | None
    ) -> Failure | Unverified:
        if isinstance(why, Failure):
            return why
        note = scope.get(NOTE)
        if why is None:
            return Unverified(f"HTTP {status:d}", note or candidate, scope.get("endpoint"))
        seen = failure_of_exception(why)
        if message is not None:
            return seen._replace(message=message)
        return Unverified(seen.kind, note, scope.get("endpoint"), seen.location) if note else seen


_BODY = frozenset(("http.response.body", "http.response.pathsend", "http.response.zerocopysend"))


def _is_cancelled(error: BaseException) -> bool:
    """Whether the server gave the request up, as it does when the client leaves."""
    if isinstance(error, Exception):
        return False
    import asyncio

    return isinstance(error, asyncio.CancelledError | GeneratorExit)


def _peek(content_type: bytes, message: Message) -> str | None:
    body = message.get("body", b"")
    return candidate_text(content_type, bytes(body)) if len(body) <= _ERROR_PEEK else None


def _plain_content_type(message: Message) -> bytes | None:
    """The content type of an answer; None where it names none or is compressed."""
    headers = {bytes(name).lower(): bytes(value) for name, value in message.get("headers", ())}
    return None if b"content-encoding" in headers else headers.get(b"content-type")


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks for permission (Fetch standard, CORS-preflight request): nobody used anything."""
    return any(name == b"access-control-request-method" for name, _ in scope["headers"])
