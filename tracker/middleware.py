"""The ASGI middleware: measures each request and hands one event to the recorder. It changes nothing that passes."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Never

from tracker.bookkeeping import Books, Why, failure_of
from tracker.event import ANONYMOUS
from tracker.exchange import Exchange, HttpExchange, Receive, Scope, Send, SocketExchange
from tracker.identity import Identify
from tracker.lifespan import refuse_to_start, watch_lifespan
from tracker.notes import KEY, Notes
from tracker.recorder import Recorder, Unverified
from tracker.setup import Setup

App = Callable[[Scope, Receive, Send], Awaitable[None]]
log = logging.getLogger("tracker")

IDENTIFY_SECONDS = 2.0
"""How long an async `identify` may take."""


class UsageTrackingMiddleware:
    """Records who used which feature, and what failed: `app.add_middleware(UsageTrackingMiddleware, database=…)`.

    `database` is the file, `guardian.db` or `sqlite:///guardian.db`; it is made when the first request comes. Every
    argument is told in docs/tracker.md. Identity is only what was verified: by `identify` (scope → name or None, plain
    or async), by the app itself (`note_user`, `scope["user"]`, `request.state`, a session under `session_user_key`), by
    a JWT checked against `jwt_key` or `jwks` (file or URL), or by `gateway_header`, which must only be set where a
    trusted gateway overwrites that header. Everybody else is `anonymous`. All middlewares of a process that name the
    same file share one recorder; `recorder` takes its place, and whoever made it closes it.

    HTTP and WebSocket are recorded, but for CORS preflights. An exception is a 500 and goes on unchanged; so is a
    response that breaks off while its client is there. Where the client leaves, the status already sent stands, or 499.
    Lifespan passes through, and its shutdown stores what waits; all else passes untouched. Nothing that goes wrong in
    here reaches the app.

    Nothing is raised for a wrong setting, since Starlette makes its middleware when the first request comes, and each
    request would be an error then. `problem` says what is wrong, None for nothing: the start of the app fails with that
    sentence; where there is no lifespan, the app goes on without what could not be set up, and the log says so once.
    """

    def __init__(
        self,
        app: App,
        database: str | os.PathLike[str] = "guardian.db",
        *,
        features: Mapping[str, str] | None = None,
        feature_names: str | None = None,
        skip: Iterable[str] = (),
        skip_defaults: bool = True,
        routes: Iterable[str] | None = None,
        identify: Identify | None = None,
        jwt_key: str | bytes | None = None,
        jwks: str | None = None,
        jwt_algorithms: Iterable[str] | None = None,
        jwt_audience: str | Iterable[str] | None = None,
        jwt_issuer: str | None = None,
        jwt_leeway: float = 60.0,
        jwt_user_claim: str | Iterable[str] | None = None,
        jwt_cookie: str | None = None,
        jwt_query: str | None = None,
        jwt_subprotocol: bool = False,
        session_user_key: str | None = None,
        gateway_header: str | None = None,
        buffer_size: int = 10_000,
        flush_interval: float = 1.0,
        recorder: Recorder | None = None,
        **unknown: Never,
    ) -> None:
        self.app = app
        setup = Setup(unknown)
        self._hold = None if recorder is not None else setup.recorder(database, buffer_size, flush_interval)
        self.recorder = recorder or (self._hold.recorder if self._hold is not None else None)
        self._skips = setup.skips(skip, skip_defaults)
        self._places = setup.places(features, feature_names, routes)
        tokens = setup.tokens(
            self._tell,
            key=jwt_key, jwks=jwks, algorithms=jwt_algorithms, audience=jwt_audience, issuer=jwt_issuer,
            leeway=jwt_leeway, claims=jwt_user_claim, cookie=jwt_cookie, query=jwt_query, subprotocol=jwt_subprotocol,
        )  # fmt: skip
        self.identity = setup.identity(
            identify=identify,
            tokens=tokens,
            session_key=session_user_key,
            gateway_header=gateway_header,
            tell=self._tell,
        )
        self._books = None if self.recorder is None else Books(self.recorder)
        self.problem = setup.problem
        self._warned = self.problem is None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on to the app."""
        kind = scope.get("type")
        exchange: HttpExchange | SocketExchange | None = None
        if kind == "http" or kind == "websocket":
            exchange = self._begun(scope, receive, send)
        elif kind == "lifespan":
            if self.problem is not None:
                await refuse_to_start(receive, send, self.problem)
            elif self._hold is not None:
                await watch_lifespan(self.app, scope, receive, send, self._hold.recorder)
            else:
                await self.app(scope, receive, send)
            return
        if exchange is None:
            await self.app(scope, receive, send)
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.raised(error)
            raise
        else:
            exchange.returned()
        finally:
            if exchange.pending is not None:
                await self._identify(exchange)

    def _begun(self, scope: Scope, receive: Receive, send: Send) -> HttpExchange | SocketExchange | None:
        """The exchange to watch; None for one that is not recorded."""
        try:
            if not self._warned:
                self._warn()
            if self._books is None or self._skips(scope):
                return None
            if self._places.root is None:
                self._places.root = scope.get("app") or self.app
            notes = scope.get(KEY)
            if type(notes) is not Notes:
                notes = Notes()
            elif notes.measured:
                # An app around this one is tracked too: a request is one row.
                if notes.inner is None and self.identity.knows:
                    notes.inner = self.identity
                return None
            notes.measured = True
            if scope["type"] == "websocket":
                return SocketExchange(scope, receive, send, self, notes)
            if scope["method"] == "OPTIONS" and _is_preflight(scope):
                return None
            return HttpExchange(scope, receive, send, self, notes)
        except Exception as error:
            self.fault(error)
            return None

    def finished(self, exchange: Exchange, status: int, took: int, why: Why, message: str | None) -> Any:
        """Record an exchange. The failure that was handed to the recorder; an exception that follows completes it."""
        notes, scope = exchange.notes, exchange.scope
        if isinstance(exchange.text, Unverified):
            exchange.text.learn(failure_of(status, why))
            return None
        if notes.left_out or self._books is None:
            return None
        whole = scope if notes.host_route is not None else self._places.whole(scope, notes)
        endpoint, method, feature = self._places.find(
            whole, exchange.path, exchange.root_path, status, notes.host_route
        )
        failure = None
        if status >= 400 or notes.failed:
            if notes.host_error is not None and status >= 500 and not isinstance(why, BaseException):
                why = notes.host_error
            failure = failure_of(status, why, note=notes.text, noted=notes.failed, origin=whole.get("endpoint"))
            if message is not None and failure is not None:
                failure = failure._replace(message=message) if isinstance(failure, tuple) else failure
        latency = None if exchange.latency_ns is None else exchange.latency_ns // 1000
        entry = (endpoint, method, notes.feature or feature, status, took // 1000, failure, latency)
        if self.identity.waits:
            exchange.pending = (whole, entry)
            return failure
        user = self.identity.user(whole, notes, status)
        if self.identity.waits:  # it turns out only now that identify has to be awaited
            exchange.pending = (whole, entry)
            return failure
        if user is ANONYMOUS and notes.inner is not None:
            user = notes.inner.user(whole, notes, status)
        self._books.enter(exchange.at_us, user, *entry)
        return failure

    async def _identify(self, exchange: Exchange) -> None:
        """Record an exchange whose user is to be asked for: after its last byte, at the end of our own call."""
        (scope, entry), exchange.pending = exchange.pending, None
        try:
            given = await self.identity.ask(scope, IDENTIFY_SECONDS)
        except BaseException:
            given = None
            raise
        finally:
            try:
                user = self.identity.user(scope, exchange.notes, entry[3], given)
                if self._books is not None:
                    self._books.enter(exchange.at_us, user, *entry)
            except Exception as error:
                self.fault(error)

    def fault(self, error: BaseException) -> None:
        """Count a request that could not be recorded."""
        if self._books is not None:
            self._books.fault(error)

    def _tell(self, kind: str, sentence: str) -> None:
        if self.recorder is not None:
            self.recorder.note(kind, sentence)

    def _warn(self) -> None:
        self._warned = True
        log.error("The tracker is not set up as it should be, and goes on without that: %s", self.problem)
        self._tell("setting", str(self.problem))


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks for permission (Fetch standard, CORS-preflight request): nobody used anything."""
    return any(name == b"access-control-request-method" for name, _ in scope.get("headers") or ())
