"""A slice: some events of at most 5 minutes as the fields of one document.

    v          the version of this layout, 1
    start      when the first event ended, µs; all events are of one 5 minutes, counted from 1970
    end        when the last one ended, µs
    count      how many events there are
    body       their columns (`tracker.firestore.columns`), in the order of time: at_us, user, route, outcome,
               duration_us, latency_us (-2 where it is the duration), failure (-1 for none)
    names      what those numbers mean: zlib (RFC 1950) of the JSON object {people: [id], routes: [[feature, endpoint,
               method]], failures: [[kind, message, location]]}
    texts      whether a failure says more than its kind
    written    when it was stored, by Firestore's clock
    expires    when Firestore may delete it (`tracker.firestore.expiry`); not there where that is never

A person is an id, a random number of 62 bits (`tracker.firestore.people`); 0 is somebody who was not verified.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import index
from typing import Any

from tracker.event import NOT_MEASURED, Event
from tracker.firestore.columns import pack

VERSION = 1
SPAN_US = 300 * 1_000_000
"""No slice reaches over a full 5 minutes: those that are older than they may be go as they are."""
MOST_BYTES = 900_000
"""A document holds a MiB at most."""
MOST_EVENTS = 20_000
IS_DURATION = -2
"""The latency of an event whose latency is its duration."""
NOBODY = 0
"""The id of somebody who was not verified."""
_MAX_US, _MAX_STATUS = 2**53, 999


def storable(event: Event) -> bool:
    """Whether an event can be stored: its texts are texts, its numbers those of a request."""
    try:
        at, _, _, _, _, status, duration, failure, latency, _ = event
        "".join([*event[1:5], *(failure or ())]).encode()
        if not 0 <= index(duration) <= index(at) <= _MAX_US or not 0 <= index(status) <= _MAX_STATUS:
            return False
        return latency is None or NOT_MEASURED <= index(latency) <= duration
    except (TypeError, ValueError):
        return False


def slices_of(events: Iterable[Event], person: Callable[[Event], int]) -> Iterator[dict[str, Any]]:
    """The documents of these events, all of them storable, in the order of time; `person` gives whose id it is."""
    ordered, first = sorted(events, key=lambda event: event.at_us), 0
    for place, event in enumerate(ordered):
        full = place - first == MOST_EVENTS
        if full or event.at_us // SPAN_US != ordered[first].at_us // SPAN_US:
            yield from _fitting(ordered[first:place], person)
            first = place
    if first < len(ordered):
        yield from _fitting(ordered[first:], person)


def _fitting(events: Sequence[Event], person: Callable[[Event], int]) -> Iterator[dict[str, Any]]:
    document = _document(events, person)
    if len(document["body"]) + len(document["names"]) <= MOST_BYTES or len(events) == 1:
        yield document
        return
    half = len(events) // 2
    yield from _fitting(events[:half], person)
    yield from _fitting(events[half:], person)


class _Codes(dict[Any, int]):
    """A dictionary that numbers what it is asked for."""

    def __missing__(self, name: Any) -> int:
        self[name] = code = len(self)
        return code


def _document(events: Sequence[Event], person: Callable[[Event], int]) -> dict[str, Any]:
    people, routes, failures = _Codes(), _Codes(), _Codes()
    rows = [
        (
            event.at_us,
            people[person(event)],
            routes[event.feature, event.endpoint, event.method],
            event.outcome,
            event.duration_us,
            IS_DURATION if event.latency_us is None else event.latency_us,
            -1 if event.failure is None else failures[tuple(event.failure)],
        )
        for event in events
    ]
    return {
        "v": VERSION,
        "start": events[0].at_us,
        "end": events[-1].at_us,
        "count": len(events),
        "body": pack(list(zip(*rows, strict=True))),
        "names": packed_names(list(people), list(routes), list(failures)),
        "texts": any(message != kind or location for kind, message, location in failures),
    }


def packed_names(people: Sequence[int], routes: Sequence[Any], failures: Sequence[Any]) -> bytes:
    """The field `names`."""
    text = json.dumps({"people": people, "routes": routes, "failures": failures}, ensure_ascii=False)
    return zlib.compress(text.encode(), 6)
