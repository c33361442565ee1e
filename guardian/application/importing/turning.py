"""From the request of a line to an event, as the tracker would have recorded it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from guardian.application.importing.outcome import Outcome
from guardian.core.access_log.line import Request
from guardian.core.access_log.places import Places, path_of, shape_of
from tracker.error_text import reason_phrase
from tracker.event import ANONYMOUS, NOT_MEASURED, UNMATCHED, Event, Failure
from tracker.features import FeatureNames
from tracker.names import PLACEHOLDERS, clean_name
from tracker.routes import METHODS
from tracker.skipping import PathFilter

MOST_PATHS = 10_000
"""The most different paths counted for a template."""
_SWITCHED = 101
_OPENED = b"\n"
"""The method of a WebSocket; no log line has it."""
_KNOWN = 50_000
_REFUSED = frozenset((401, 407))
_FILE = re.compile(
    r"/[^/]+\.(?:css|m?js|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|wasm)", re.IGNORECASE
)
_ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})|\\(.)")


class _Kind(NamedTuple):
    """What the requests of a template and a method have in common: the method as it is counted, the feature, and the
    different paths that became the template; None for those of no template."""

    called: str
    feature: str
    paths: set[int] | None


class Turning:
    """Makes events, and notes in the outcome what they are."""

    def __init__(self, places: Places, outcome: Outcome, *, people: bool) -> None:
        self._places, self._outcome, self._people = places, outcome, people
        self._features = FeatureNames()
        self._usual = PathFilter(defaults=True)
        self._skips: dict[bytes, bool] = {}
        self._names: dict[bytes, str] = {}
        self._methods: dict[bytes, str] = {}
        self._kinds: dict[tuple[str, bytes], _Kind] = {}
        self._failures: dict[int, Failure] = {}

    def skips(self, target: bytes) -> bool:
        """Whether it is a health check, a page of documentation or a file, which is no use of the app."""
        known = self._skips.get(target)
        if known is None:
            shape = shape_of(target)
            known = self._skips.get(shape)
            if known is None:
                path = path_of(shape)
                known = path is not None and (bool(self._usual(path)) or _FILE.search(path[-300:]) is not None)
            if len(self._skips) >= _KNOWN:
                self._skips.clear()
            self._skips[shape] = self._skips[target] = known
        return known

    def event(self, request: Request) -> Event:
        """The event of a request."""
        at_us, name, method, target, status, took = request
        outcome = self._outcome
        endpoint = self._places.find(target, status)
        if status == _SWITCHED:
            method = _OPENED
        kind = self._kinds.get((endpoint, method))
        if kind is None:
            kind = self._kind(endpoint, method)
        user = ANONYMOUS if name is None or status in _REFUSED or not self._people else self._user(name)
        latency: int | None
        if took is None or took > at_us:
            latency, took = NOT_MEASURED, 0
        else:
            outcome.timed += 1
            latency = NOT_MEASURED if status == _SWITCHED else None
        called, feature, paths = kind
        if paths is not None and len(paths) < MOST_PATHS:
            paths.add(hash(target))
        failure = None if status < 400 else self._failure(status)
        return Event(at_us, user, endpoint, called, feature, status, took, failure, latency)

    def note(self, events: Sequence[Event]) -> None:
        """Note in the outcome what many events together are."""
        outcome = self._outcome
        outcome.imported += len(events)
        outcome.places.update([(event.endpoint, event.method) for event in events])
        outcome.anonymous += [event.user for event in events].count(ANONYMOUS)
        moments = [event.at_us for event in events]
        if outcome.first_us is not None and outcome.last_us is not None:
            moments += outcome.first_us, outcome.last_us
        outcome.first_us, outcome.last_us = min(moments, default=None), max(moments, default=None)

    def _kind(self, endpoint: str, method: bytes) -> _Kind:
        called = "WEBSOCKET" if method is _OPENED else self._method(method)
        paths = self._outcome.paths.setdefault(endpoint, set())
        feature = self._features.name(called, endpoint)
        kind = _Kind(called, feature, None if endpoint == UNMATCHED else paths)
        if len(self._kinds) < _KNOWN:
            self._kinds[endpoint, method] = kind
        return kind

    def _method(self, method: bytes) -> str:
        known = self._methods.get(method)
        if known is None:
            text = method.decode("latin-1")
            known = text if text in METHODS else "OTHER"
            if len(self._methods) < _KNOWN:
                self._methods[method] = known
        return known

    def _user(self, name: bytes) -> str:
        known = self._names.get(name)
        if known is None:
            known = _name(name)
            if len(self._names) >= _KNOWN:
                self._names.clear()
            self._names[name] = known
            if known != ANONYMOUS:
                self._outcome.people.add(known)
        return known

    def _failure(self, status: int) -> Failure:
        known = self._failures.get(status)
        if known is None:
            known = self._failures[status] = Failure(f"HTTP {status}", reason_phrase(status))
        return known


def _name(written: bytes) -> str:
    """The name that a server wrote; `anonymous` for one that the tracker would not take, and for a placeholder."""

    def read(escape: re.Match[bytes]) -> bytes:
        return bytes([int(escape[1], 16)]) if escape[1] else escape[2]

    try:
        name = clean_name(_ESCAPE.sub(read, written).decode())
    except UnicodeDecodeError:
        return ANONYMOUS
    return ANONYMOUS if name is None or name.lower() in PLACEHOLDERS else name
