"""The ASGI middleware: measures each request and hands one event to the recorder. It changes nothing that passes."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from logging import ERROR
from time import time_ns
from typing import TYPE_CHECKING, Any

from tracker.bookkeeping import Faults, Why, failure_of
from tracker.error_text import frames_of, kind_of
from tracker.event import ANONYMOUS, Event
from tracker.exchange import Exchange, HttpExchange, Receive, Scope, Send, SocketExchange
from tracker.identity import Identify, Identity
from tracker.lifespan import refuse_to_start, watch_lifespan
from tracker.notes import KEY
from tracker.recorder import Recorder
from tracker.routes import OWN
from tracker.saying import say
from tracker.setup import Setup, forgiving

App = Callable[[Scope, Receive, Send], Awaitable[None]]

_event = tuple.__new__  # Event(…) without the call to Python that a NamedTuple makes
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
    ) -> None:
        self.app = app
        setup = Setup(*getattr(self, "_misplaced", ((), {})))
        given = setup.given_recorder(recorder)
        self._hold = None if given is not None else setup.recorder(database, buffer_size, flush_interval)
        self.recorder: Recorder | None = given or (self._hold.recorder if self._hold is not None else None)
        paths = setup.paths(skip, skip_defaults)
        self._skips, self._paths = paths.skips, paths.known
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
        self._faults = None if self.recorder is None else Faults(self.recorder)
        # Without a recorder nothing is looked at, so nothing is added either.
        self._add: Any = None if self.recorder is None else self.recorder.add
        self.problem = setup.problem
        self._ready = False
        self._plain = identify is None
        self._known = self._places.seen

    if not TYPE_CHECKING:  # a type checker tells of a misplaced argument by itself
        __init__ = forgiving(__init__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on to the app."""
        exchange: Exchange | None = None
        try:
            kind = scope["type"]
            if kind == "http" or kind == "websocket":
                # A path that was seen before is looked up here: a call costs as much as the look.
                skipped = None if scope.get("root_path") else self._paths.get(scope["path"])
                if skipped is None:
                    skipped = self._skips(scope)
                if skipped is not True:
                    if kind != "http" or skipped or not self._ready or KEY in scope or scope["method"] == "OPTIONS":
                        exchange = self._looked_at(scope, receive, send)
                        if exchange is not None and skipped:
                            exchange.touched = exchange.doubtful = True
                    else:
                        exchange = HttpExchange(scope, receive, send, self)
        except Exception as error:
            self.fault(error)
        if exchange is None:
            await self._passed(scope, receive, send)
            return
        try:
            await self.app(scope, exchange.receive, exchange.send)
        except BaseException as error:
            exchange.raised(error)
            raise
        else:
            if not exchange.over:
                exchange.returned()
        finally:
            if exchange.pending is not None:
                await self._identify(exchange)
            exchange.scope = None  # it holds the exchange: nothing is left to the garbage collector

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on that is not recorded."""
        kind = scope.get("type") if isinstance(scope, MutableMapping) else None
        if type(kind) is not str:
            await self.app(scope, receive, send)
        elif kind == "lifespan" and self.problem is not None:
            await refuse_to_start(receive, send, self.problem)
        elif kind == "lifespan" and self._hold is not None:
            await watch_lifespan(self.app, scope, receive, send, self._hold.recorder)
        else:
            await self.app(scope, receive, send)

    def _looked_at(self, scope: Scope, receive: Receive, send: Send) -> Exchange | None:
        """The exchange to watch where something is to be asked first; None for one that is not recorded."""
        if not self._ready:
            if self._add is None:
                return None
            self._ready = True
            self._places.root = scope.get("app") or self.app
            if self.problem is not None:
                say(ERROR, "The tracker is not set up as it should be, and goes on without that: %s", self.problem)
                self._tell("setting", self.problem)
        outer = scope.get(KEY)
        if isinstance(outer, Exchange):
            # An app around this one is tracked too: a request is one row.
            if outer.inner is None and self.identity.knows:
                outer.inner, outer.touched = self.identity, True
            return None
        if scope["type"] == "websocket":
            return SocketExchange(scope, receive, send, self)
        if scope["method"] == "OPTIONS" and _is_preflight(scope):
            return None
        return HttpExchange(scope, receive, send, self)

    def finished(self, exchange: Exchange, status: int, took: int, why: Why, message: str | None) -> Any:
        """Record an exchange. The failure that was handed to the recorder; an exception that follows completes it."""
        scope = exchange.scope
        route = scope.get("route")
        if route is None or "fastapi" in scope or getattr(route, "endpoint", None) is not scope.get("endpoint"):
            place = self._places.known(scope)
        else:  # as in Places.known, once more: a call costs as much as the look
            place = self._known.get((
                route if type(route) is str else id(route),
                scope["method"] if scope["type"] == "http" else "WEBSOCKET",
                scope.get("root_path", ""),
            ))  # fmt: skip
        if place is None or status >= 400 or not self._plain or exchange.touched or exchange.latency_ns is not None:
            return self._finished(exchange, status, took, why, message, place)
        # What nearly every request is: a known route, a good answer, and nothing that the app has said of it.
        user = self.identity.user(scope, None, status)
        if user is ANONYMOUS:
            return self._finished(exchange, status, took, why, message, place)
        endpoint, method, feature, _ = place
        self._add(_event(Event, (time_ns() // 1000, user, endpoint, method, feature, status, took // 1000, None, None)))
        return None

    def _finished(self, exchange: Exchange, status: int, took: int, why: Why, message: str | None, place: Any) -> Any:
        scope = exchange.scope
        error = why if isinstance(why, BaseException) else None
        if place is None or status == 405:
            if exchange.host_route is None and not self._places.is_settled(scope):
                scope = self._places.whole(scope, exchange, status, error)
            place = self._places.find(scope, exchange.path, exchange.root_path, status, exchange.host_route)
        endpoint, method, feature, _ = place
        failure = None
        if status >= 400 or exchange.failed:
            failure = self._failure(scope, exchange, status, why, message)
        if exchange.left_out or endpoint == OWN or (exchange.doubtful and "{" not in endpoint):
            return None
        if exchange.misnamed:
            self._tell("name_refused", "name_feature was given something that is no name of 1 to 100 characters")
        user, asks = self._user(exchange, scope, status, error)
        latency = exchange.latency_ns
        event = _event(Event, (
            time_ns() // 1000, user, endpoint, method, exchange.feature or feature, status, took // 1000, failure,
            None if latency is None else latency // 1000,
        ))  # fmt: skip
        if asks is not None:
            exchange.pending = (scope, event, asks)
        else:
            self._add(event)
        return failure

    def _user(
        self, exchange: Exchange, scope: Scope, status: int, error: BaseException | None
    ) -> tuple[str, Identity | None]:
        """The user of an exchange, and the identity that has to be asked for them yet; None where none has."""
        for identity in (self.identity, exchange.inner):
            if identity is None:
                continue
            if not identity.waits:
                user = identity.user(scope, exchange, status)
                if user is ANONYMOUS and scope is exchange.scope and status != 401:
                    # An authentication may lie behind a copy of the scope, also one that a route's middleware makes.
                    whole = self._places.whole(scope, exchange, status, error)
                    user = user if whole is scope else identity.user(whole, exchange, status)
                if user is not ANONYMOUS:
                    return user, None
            if identity.waits:  # which may turn out only now
                return ANONYMOUS, identity
        return ANONYMOUS, None

    def _failure(self, scope: Scope, notes: Exchange, status: int, why: Why, message: str | None) -> Any:
        if notes.host_error is not None and status >= 500 and not isinstance(why, BaseException):
            why = notes.host_error
        return failure_of(
            status, why, note=notes.text, noted=notes.failed, origin=scope.get("endpoint"), message=message
        )

    def completed(self, exchange: Exchange, error: BaseException) -> None:
        """Add an exception that has come after the answer to the failure that was recorded."""
        exchange.said.learn(kind_of(error), frames_of(error))

    def cancelled(self) -> None:
        """A request was given up, maybe because the server stops: what is known of it must not wait."""
        if self.recorder is not None:
            with suppress(Exception):  # the event is recorded already
                self.recorder.hurry()

    async def _identify(self, exchange: Exchange) -> None:
        """Record an exchange whose user is to be asked for: after its last byte, at the end of our own call."""
        (scope, event, identity), exchange.pending = exchange.pending, None
        try:
            given = await identity.ask(scope, IDENTIFY_SECONDS)
        except BaseException:
            given = None
            raise
        finally:
            try:
                user = identity.user(scope, exchange, event.status, given)
                self._add(event._replace(user=user))
            except Exception as error:
                self.fault(error)

    def fault(self, error: BaseException) -> None:
        """Count a request that could not be recorded."""
        if self._faults is not None:
            self._faults.count(error)

    def _tell(self, kind: str, sentence: str) -> None:
        if self.recorder is not None:
            self.recorder.note(kind, sentence)


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks for permission (Fetch standard, CORS-preflight request): nobody used anything."""
    return any(name == b"access-control-request-method" for name, _ in scope.get("headers") or ())
