"""The ASGI middleware: measures each request and hands one event to the recorder. Messages pass unchanged."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from logging import ERROR
from typing import TYPE_CHECKING

from tracker.exchange import Exchange, HttpExchange, Receive, Scope, Send
from tracker.identity import Identify
from tracker.keeper import EventKeeper
from tracker.lifespan import flush_now, refuse_to_start, watch_lifespan
from tracker.notes import KEY
from tracker.recorder import Recorder
from tracker.saying import say
from tracker.setup import Setup, forgiving
from tracker.websocket import SocketExchange

App = Callable[[Scope, Receive, Send], Awaitable[None]]


class UsageTrackingMiddleware:
    """Records who used which feature, and what failed: `app.add_middleware(UsageTrackingMiddleware, database=…)`.

    `database` is the file, `guardian.db` or `sqlite:///guardian.db`, or `firestore://PROJECT`. Every
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
        client_address: str | None = None,
        trusted_proxies: Iterable[str] = (),
        user_agent: str | None = None,
        pseudonymous: bool = False,
        release: str | None = None,
        buffer_size: int = 10_000,
        flush_interval: float | None = None,
        flush: str | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self.app = app
        setup = Setup(*getattr(self, "_misplaced", ((), {})))
        given = setup.given_recorder(recorder, pseudonymous, release)
        wanted = (database, buffer_size, flush_interval, pseudonymous, release)
        self._hold = None if given is not None else setup.recorder(*wanted)
        self.recorder: Recorder | None = given or (self._hold.recorder if self._hold is not None else None)
        self._flushes = setup.flushes(flush)
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
        # Without a recorder, requests just pass.
        client = setup.clients(client_address, user_agent, trusted_proxies)
        self._keeper: EventKeeper | None = None
        if self.recorder is not None:
            plain = identify is None
            self._keeper = EventKeeper(self.recorder, self._places, self.identity, plain=plain, client=client)
        self.problem = setup.problem
        self._ready = False

    if not TYPE_CHECKING:  # type checkers report misplaced arguments themselves
        __init__ = forgiving(__init__)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one connection on to the app."""
        exchange: Exchange | None = None
        keeper = self._keeper
        try:
            kind = scope["type"]
            if kind == "http" or kind == "websocket":
                # Known paths are looked up inline: a call would cost as much as the look-up.
                skipped = None if scope.get("root_path") else self._paths.get(scope["path"])
                if skipped is None:
                    skipped = self._skips(scope)
                if skipped is not True and keeper is not None:
                    if kind != "http" or skipped or not self._ready or KEY in scope or scope["method"] == "OPTIONS":
                        exchange = self._looked_at(scope, receive, send, keeper)
                        if exchange is not None and skipped:
                            exchange.touched = exchange.doubtful = True
                    else:
                        exchange = HttpExchange(scope, receive, send, keeper)
        except Exception as error:
            if keeper is not None:
                keeper.fault(error)
        if exchange is None or keeper is None:
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
                await keeper.identify(exchange)
            if self._flushes and self.recorder is not None:
                await flush_now(self.recorder)
            # Breaks two reference cycles: a server's `receive` and `send` lead to the scope too. Left to the collector,
            # they set it going every few dozens of requests, and the longest of its runs holds up all others.
            exchange.scope = None
            scope.pop(KEY, None)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a connection on that is not recorded."""
        kind = scope.get("type") if isinstance(scope, MutableMapping) else None
        if type(kind) is not str:
            await self.app(scope, receive, send)
        elif kind == "lifespan" and self.problem is not None:
            await refuse_to_start(receive, send, self.problem)
        elif kind == "lifespan" and self._hold is not None:
            self._hold.recorder.serves(scope.get("app") or self.app)
            await watch_lifespan(self.app, scope, receive, send, self._hold.recorder)
        else:
            await self.app(scope, receive, send)

    def _looked_at(self, scope: Scope, receive: Receive, send: Send, keeper: EventKeeper) -> Exchange | None:
        """The exchange to watch where something is to be asked first; None for one that is not recorded."""
        if not self._ready:
            self._ready = True
            self._places.root = root = scope.get("app") or self.app
            if self._hold is not None:
                self._hold.recorder.serves(root)
            if self.problem is not None:
                say(ERROR, "The tracker is not set up as it should be, and goes on without that: %s", self.problem)
                self._tell("setting", self.problem)
        outer = scope.get(KEY)
        if isinstance(outer, Exchange):
            # An outer app is tracked too, and records the request: it must count only once.
            if outer.inner is None and self.identity.knows:
                outer.inner, outer.touched = self.identity, True
            return None
        if scope["type"] == "websocket":
            return SocketExchange(scope, receive, send, keeper)
        if scope["method"] == "OPTIONS" and _is_preflight(scope):
            return None
        return HttpExchange(scope, receive, send, keeper)

    def _tell(self, kind: str, sentence: str) -> None:
        if self.recorder is not None:
            self.recorder.note(kind, sentence)


def _is_preflight(scope: Scope) -> bool:
    """Whether a browser asks for permission (Fetch standard, CORS-preflight request): nobody used anything."""
    return any(name == b"access-control-request-method" for name, _ in scope.get("headers") or ())
