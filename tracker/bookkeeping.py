"""The event of a finished request, made of its scope and its outcome."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from time import time_ns
from typing import Any

from tracker.error_text import NOTE, candidate_text, failure_of_exception
from tracker.event import Event, Failure
from tracker.identity import Identity
from tracker.recorder import Recorder, Unverified
from tracker.routes import FeatureNames, chosen_route, method_name, route_template

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
log = logging.getLogger("tracker")

_PEEK = 4096
_ROUTE_CACHE = 4096
_event = tuple.__new__  # Event(…) without the call to Python that a NamedTuple makes


class Bookkeeper:
    """Tells `recorder` who used what, how it went and how long it took.

    `root` is the outermost app, whose routes tell what mounts stand for: while a request is under way, the scope holds
    a mounted app in its place.
    """

    def __init__(self, recorder: Recorder, identity: Identity, features: FeatureNames) -> None:
        self.root: Any = None
        self._recorder = recorder
        self._user = identity.user
        self._feature = features.name
        self._known: dict[tuple[int, str | None, str | None], tuple[str, str, str, Any]] = {}
        self._complained = False

    def record(
        self,
        scope: Scope,
        status: int,
        took: int,
        why: Failure | BaseException | str | None = None,
        message: str | None = None,
    ) -> None:
        """Hand the event of a finished request to the recorder; never raises.

        `took` is in nanoseconds. `why` counts for a status of 400 or more only: a failure as it is, an exception, or
        what the answer may say; `message` takes the place of an exception's reason phrase.
        """
        try:
            now = time_ns() // 1000
            route = chosen_route(scope)
            # A route object stays the same over requests; root_path tells by which mount it was reached.
            key = (id(route), scope.get("method"), scope.get("root_path"))
            known = self._known.get(key) if route is not None else None
            endpoint, method, feature, _ = known or self._place(scope, route, key)
            failure = None if status < 400 else self._failure(scope, status, why, message)
            self._recorder.add(
                _event(Event, (now, self._user(scope), endpoint, method, feature, status, took // 1000, failure, None))
            )
        except Exception as error:
            self._recorder.add_lost()
            if not self._complained:
                self._complained = True
                kind = type(error).__name__  # never its message, which may hold what a client sent
                log.error("The tracker could not record a request (%s); the app is not affected. Said once.", kind)

    def _place(self, scope: Scope, route: Any, key: tuple[int, str | None, str | None]) -> tuple[str, str, str, Any]:
        """Endpoint, method and feature of a request, and the route, which keeps its id from being given again."""
        endpoint, method = route_template(scope, self.root), method_name(scope)
        place = (endpoint, method, self._feature(method, endpoint), route)
        if route is not None:
            if len(self._known) >= _ROUTE_CACHE:
                self._known.clear()
            self._known[key] = place
        return place

    def _failure(
        self, scope: Scope, status: int, why: Failure | BaseException | str | None, message: str | None
    ) -> Failure | Unverified:
        if isinstance(why, Failure):
            return why
        note = scope.get(NOTE)
        if not isinstance(why, BaseException):
            return Unverified(f"HTTP {status:d}", note or why, scope.get("endpoint"))
        seen = failure_of_exception(why)
        if message is not None:
            return seen._replace(message=message)
        return Unverified(seen.kind, note, scope.get("endpoint"), seen.location) if note else seen


def answer_type(message: Message) -> bytes | None:
    """The content type of an answer; None where it names none or is compressed."""
    try:
        headers = {bytes(name).lower(): bytes(value) for name, value in message["headers"]}
    except (KeyError, TypeError, ValueError):
        return None
    return None if b"content-encoding" in headers else headers.get(b"content-type")


def answer_text(content_type: bytes, message: Message) -> str | None:
    """What the first chunk of a small error answer says, for now; see AuthoredTexts."""
    body = message.get("body", b"")
    return candidate_text(content_type, body) if isinstance(body, bytes) and len(body) <= _PEEK else None
