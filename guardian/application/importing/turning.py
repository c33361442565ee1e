"""From the request of a line to an event, as the tracker would have recorded it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple, cast

from guardian.application.importing.outcome import Outcome
from guardian.core.access_log.columns import Requests
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
    """What the requests of a template and a method have in common: the method as it is counted, and the feature."""

    called: str
    feature: str


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

    def skips(self, targets: Sequence[bytes]) -> list[bool]:
        """Which of them are health checks, pages of documentation or files, which are no use of the app."""
        known = [*map(self._skips.get, targets)]
        return [self._skipped(target) if each is None else each for target, each in zip(targets, known, strict=True)]

    def _skipped(self, target: bytes) -> bool:
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

    def events(self, requests: Requests) -> list[Event]:
        """The events of requests."""
        _, at_us, names, methods, targets, statuses, took = requests
        outcome, different = self._outcome, set(statuses)
        endpoints = self._places.find_all(targets, statuses)
        if _SWITCHED in different:
            asked = zip(methods, statuses, strict=True)
            methods = [_OPENED if status == _SWITCHED else method for method, status in asked]
        kinds = self._kinds_of(endpoints, methods)
        if not self._people:
            names = [None] * len(at_us)
        elif different & _REFUSED:
            names = [None if status in _REFUSED else name for name, status in zip(names, statuses, strict=True)]
        users = [
            known if known is not None else ANONYMOUS if name is None else self._user(name)
            for name, known in zip(names, map(self._names.get, cast(Sequence[bytes], names)), strict=True)
        ]
        failing = {status: self._failure(status) for status in different if status >= 400}
        for endpoint, target in {*zip(endpoints, targets, strict=True)}:
            paths = outcome.paths[endpoint]
            if endpoint != UNMATCHED and len(paths) < MOST_PATHS:
                paths.add(hash(target))
        durations, latencies = self._timed(at_us, statuses, took)
        columns = (
            at_us, users, endpoints, [kind.called for kind in kinds], [kind.feature for kind in kinds], statuses,
            durations, map(failing.get, statuses), latencies, repeat(None),
        )  # fmt: skip
        # As `Event._make` does, in half of the time.
        return cast(list[Event], [*map(partial(tuple.__new__, Event), zip(*columns, strict=False))])

    def _kinds_of(self, endpoints: Sequence[str], methods: Sequence[bytes]) -> list[_Kind]:
        known = self._kinds.get
        return [known(pair) or self._kind(*pair) for pair in zip(endpoints, methods, strict=True)]

    def _timed(
        self, at_us: Sequence[int], statuses: Sequence[int], took: Sequence[int | None]
    ) -> tuple[Sequence[int], Sequence[int | None]]:
        """How long the requests took, 0 where the log does not say, and their latencies as in `Event`."""
        if took.count(None) == len(took):
            return [0] * len(took), [NOT_MEASURED] * len(took)
        durations: list[int] = []
        latencies: list[int | None] = []
        for at, status, each in zip(at_us, statuses, took, strict=True):
            timed = each is not None and each <= at
            self._outcome.timed += timed
            durations.append(each if each is not None and timed else 0)
            latencies.append(None if timed and status != _SWITCHED else NOT_MEASURED)
        return durations, latencies

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
        self._outcome.paths.setdefault(endpoint, set())
        kind = _Kind(called, self._features.name(called, endpoint))
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
