"""The access log of uvicorn, with a time in front.

    2026-03-02 13:30:00,123 INFO:     127.0.0.1:50000 - "GET /path?q HTTP/1.1" 200 OK

uvicorn's own format has no time: a log configuration, systemd (`journalctl -o short-iso`) or Docker (`docker logs -t`)
puts one in front. It names no users, and does not say how long a request took.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from guardian.core.access_log.line import Request, Times, Unreadable, leading_time, status_of

_REQUEST = (
    rb' - "([A-Za-z_-]+|WebSocket) ([^" ?]+)(?:\?[^"]*?)?(?: HTTP/\d(?:\.\d)?)?" '
    rb"(?:(\d{3})(?: .*)?|\[?(accepted)\]?)$"
)
# From the first quotation mark back to the address is a few steps; from the left to it, one a letter.
_USUAL = re.compile(rb'^[^"]*(?:\S:\d+|None|-)' + _REQUEST)
_LINE = re.compile(rb'^[^"]*?(?:\S+:\d+|None|-)' + _REQUEST)
NO_TIME = "the line has no time: see docs/install.md for how uvicorn's access log gets one"


def uvicorn(times: Times) -> Callable[[bytes], Request]:
    """The parser of uvicorn's lines. It raises Unreadable."""

    def parse(line: bytes) -> Request:
        found = _USUAL.match(line) or _LINE.match(line)
        if found is None:
            raise Unreadable("the line does not have the fields of this format")
        time = leading_time(line)
        if time is None:
            raise Unreadable(NO_TIME)
        method, target, status, _ = found.groups()
        number = 101 if status is None else status_of(int(status))
        return Request(times.iso(time), None, b"GET" if method == b"WebSocket" else method, target, number, None)

    return parse


def looks_like(line: bytes) -> bool:
    """Whether a line is one of uvicorn's access log, with a time or without."""
    return _LINE.match(line) is not None
