"""The access log of uvicorn, with a time in front.

    2026-03-02 13:30:00,123 INFO:     127.0.0.1:50000 - "GET /path?q HTTP/1.1" 200 OK

uvicorn's own format has no time: a log configuration, systemd (`journalctl -o short-iso`) or Docker (`docker logs -t`)
puts one in front. It names no users, and does not say how long a request took.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from guardian.core.access_log.columns import ONE_BY_ONE, Columns, statuses_of
from guardian.core.access_log.line import ISO_TIME, Request, Times, Unreadable, leading_time, status_of

_REQUEST = (
    rb' - "([A-Za-z_-]+|WebSocket) ([^" ?]+)(?:\?[^"]*?)?(?: HTTP/\d(?:\.\d)?)?" '
    rb"(?:(\d{3})(?: .*)?|\[?(accepted)\]?)$"
)
# From the first quotation mark back to the address is a few steps; from the left to it, one a letter.
_USUAL = re.compile(rb'^[^"]*(?:\S:\d+|None|-)' + _REQUEST)
_LINE = re.compile(rb'^[^"]*?(?:\S+:\d+|None|-)' + _REQUEST)
_TIMED = re.compile(rb"\[?+(" + ISO_TIME + rb')[^"]*(?:\S:\d+|None|-)' + _REQUEST)
NO_TIME = "the line has no time: see docs/install.md for how uvicorn's access log gets one"


class Uvicorn:
    """Parses uvicorn's lines."""

    def __init__(self, times: Times) -> None:
        self._times = times

    def __call__(self, line: bytes) -> Request:
        """The request of a line without its end. Raises Unreadable."""
        found = _USUAL.match(line) or _LINE.match(line)
        if found is None:
            raise Unreadable("the line does not have the fields of this format")
        time = leading_time(line)
        if time is None:
            raise Unreadable(NO_TIME)
        method, target, status, _ = found.groups()
        number = 101 if status is None else status_of(int(status))
        return Request(self._times.iso(time), None, b"GET" if method == b"WebSocket" else method, target, number, None)

    def quick(self, lines: Sequence[bytes]) -> tuple[Columns, Sequence[int]]:
        """See Quick."""
        matches = [*map(_TIMED.match, lines)]
        odd = [place for place, found in enumerate(matches) if found is None] if None in matches else []
        usual = [found.groups() for found in matches if found is not None]
        if not usual:
            raise Unreadable(ONE_BY_ONE)
        times, methods, targets, statuses, _ = zip(*usual, strict=True)
        status = statuses_of([b"101" if each is None else each for each in statuses])
        at = [*map(self._times.iso, times)]
        if b"WebSocket" in methods:
            methods = tuple(b"GET" if method == b"WebSocket" else method for method in methods)
        nothing = [None] * len(at)
        return (at, nothing, methods, targets, status, nothing), odd


def looks_like(line: bytes) -> bool:
    """Whether a line is one of uvicorn's access log, with a time or without."""
    return _LINE.match(line) is not None
