"""Turns each finished exchange into an event for the recorder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from time import time_ns
from typing import Any

from tracker.bookkeeping import Faults, Why, failure_of
from tracker.event import ANONYMOUS, Client, Event
from tracker.exchange import Exchange, Scope
from tracker.identity import Identity
from tracker.places import Places
from tracker.recorder import Recorder
from tracker.routes import OWN
from tracker.tracebacks import frames_of, kind_of

IDENTIFY_SECONDS = 2.0
"""How long an async `identify` may take."""
_event = tuple.__new__  # Event(…) without the call to Python that a NamedTuple makes


class EventKeeper:
    """Records exchanges with `recorder`: `places` says where they went, `identity` who sent them, and `client`, where
    that is wanted, where they came from.

    `plain` says that `identity` need not be asked for every request. See Keeper for what exchanges report.
    """

    def __init__(
        self,
        recorder: Recorder,
        places: Places,
        identity: Identity,
        *,
        plain: bool,
        client: Callable[[Scope], Client | None] | None = None,
    ) -> None:
        self._recorder, self._places, self._identity, self._client = recorder, places, identity, client
        self._plain = plain and client is None
        self._add = recorder.add
        self._known = places.seen
        self._faults = Faults(recorder)

    def finished(self, exchange: Exchange, status: int, took: int, why: Why, message: str | None) -> Any:
        """Record an exchange. The failure that was handed to the recorder; an exception that follows completes it."""
        scope = exchange.scope
        route = scope.get("route")
        if route is None or "fastapi" in scope or getattr(route, "endpoint", None) is not scope.get("endpoint"):
            place = self._places.known(scope)
        else:  # inlined from Places.known: the call would cost as much
            place = self._known.get((
                route if type(route) is str else id(route),
                scope["method"] if scope["type"] == "http" else "WEBSOCKET",
                scope.get("root_path", ""),
            ))  # fmt: skip
        if place is None or status >= 400 or not self._plain or exchange.touched or exchange.latency_ns is not None:
            return self._finished(exchange, status, took, why, message, place)
        # The common case: a known route, a good answer, and no notes by the app.
        user = self._identity.user(scope, None, status)
        if user is ANONYMOUS and (whole := self._places.whole(scope, exchange, status)) is not scope:
            user = self._identity.user(whole, None, status)
        endpoint, method, feature, _ = place
        self._add(
            _event(Event, (time_ns() // 1000, user, endpoint, method, feature, status, took // 1000, None, None, None))
        )
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
            self._recorder.note(
                "name_refused", "name_feature was given something that is no name of 1 to 100 characters"
            )
        user, asks = self._user(exchange, scope, status, error)
        latency = exchange.latency_ns
        event = _event(Event, (
            time_ns() // 1000, user, endpoint, method, exchange.feature or feature, status, took // 1000, failure,
            None if latency is None else latency // 1000, None if self._client is None else self._client(scope),
        ))  # fmt: skip
        if asks is not None:
            exchange.pending = (scope, event, asks)
        else:
            self._add(event)
        return failure

    def _user(
        self, exchange: Exchange, scope: Scope, status: int, error: BaseException | None
    ) -> tuple[str, Identity | None]:
        """The user of an exchange, and the async identity that still has to be asked; None if there is none."""
        for identity in (self._identity, exchange.inner):
            if identity is None:
                continue
            if not identity.waits:
                user = identity.user(scope, exchange, status)
                if user is ANONYMOUS and scope is exchange.scope and status != 401:
                    # Authentication may have set the user on a copy of the scope, made by any middleware, even a
                    # route's own.
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
        """A request was cancelled, maybe because the server stops: its event must be stored at once."""
        with suppress(Exception):  # the event is recorded already
            self._recorder.hurry()

    async def identify(self, exchange: Exchange) -> None:
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
        self._faults.count(error)
