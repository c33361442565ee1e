"""From the request of a line to an event, as the tracker would have recorded it."""

from __future__ import annotations

import re

from guardian.application.importing.outcome import Outcome
from guardian.core.access_log.line import Request
from guardian.core.access_log.places import Places, path_of
from tracker.error_text import reason_phrase
from tracker.event import ANONYMOUS, NOT_MEASURED, UNMATCHED, Event, Failure
from tracker.features import FeatureNames
from tracker.names import PLACEHOLDERS, clean_name
from tracker.routes import METHODS
from tracker.skipping import PathFilter

MOST_PATHS = 10_000
"""So many different paths of a template are told apart."""
_SWITCHED = 101
_KNOWN = 50_000
_REFUSED = frozenset((401, 407))
_FILE = re.compile(
    r"/[^/]+\.(?:css|m?js|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot|mp[34]|webm|wasm)", re.IGNORECASE
)
_ESCAPE = re.compile(rb"\\x([0-9A-Fa-f]{2})|\\(.)")


class Turning:
    """Makes events, and notes in the outcome what they are."""

    def __init__(self, places: Places, outcome: Outcome, *, people: bool) -> None:
        self._places, self._outcome, self._people = places, outcome, people
        self._features = FeatureNames()
        self._usual = PathFilter(defaults=True)
        self._skips: dict[bytes, bool] = {}
        self._names: dict[bytes, str] = {}
        self._methods: dict[bytes, str] = {}
        self._failures: dict[int, Failure] = {}

    def skips(self, target: bytes) -> bool:
        """Whether it is a health check, a page of documentation or a file, which is no use of the app."""
        known = self._skips.get(target)
        if known is None:
            path = path_of(target)
            known = path is not None and (bool(self._usual(path)) or _FILE.search(path[-300:]) is not None)
            if len(self._skips) >= _KNOWN:
                self._skips.clear()
            self._skips[target] = known
        return known

    def event(self, request: Request) -> Event:
        """The event of a request."""
        at_us, name, method, target, status, took = request
        outcome = self._outcome
        endpoint = self._places.find(target, status)
        called = "WEBSOCKET" if status == _SWITCHED else self._method(method)
        user = ANONYMOUS if name is None or status in _REFUSED or not self._people else self._user(name)
        if user == ANONYMOUS:
            outcome.anonymous += 1
        latency: int | None
        if took is None or took > at_us:
            latency, took = NOT_MEASURED, 0
        else:
            outcome.timed += 1
            latency = NOT_MEASURED if status == _SWITCHED else None
        if outcome.first_us is None or at_us < outcome.first_us:
            outcome.first_us = at_us
        if outcome.last_us is None or at_us > outcome.last_us:
            outcome.last_us = at_us
        outcome.places[endpoint, called] += 1
        self._note_path(endpoint, target)
        feature = self._features.name(called, endpoint)
        failure = None if status < 400 else self._failure(status)
        return Event(at_us, user, endpoint, called, feature, status, took, failure, latency)

    def _note_path(self, endpoint: str, target: bytes) -> None:
        paths = self._outcome.paths.get(endpoint)
        if paths is None:
            paths = self._outcome.paths[endpoint] = set()
        if endpoint != UNMATCHED and len(paths) < MOST_PATHS:
            paths.add(hash(target))

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
