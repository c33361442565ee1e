"""The common and the combined log format, as nginx, Apache, gunicorn and Hypercorn write them.

    127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /path?q HTTP/1.1" 200 2326 "referer" "user agent"

nginx writes a line at the end of a request, with the time of that; Apache writes the time of its beginning. How long it
took is read where it stands behind the rest: a number with three decimals as nginx' $request_time is seconds, also with
a name before it (`rt=0.123`), a whole number at the very end is microseconds as Apache's %D.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast

from guardian.core.access_log.columns import ONE_BY_ONE, Columns, statuses_of, without_nobody
from guardian.core.access_log.line import Request, Times, Unreadable, micros_of, status_of

_HEAD = rb'^(?:\S+:\d+ (?=[0-9a-fA-F:.]+ ))?\S+ \S+ ([^"\[]*|[^"]*?) \[([^\]"]{20,40})\] "'
_USUAL = re.compile(_HEAD + rb'([A-Za-z_-]+) ([^" ?]+)(?:\?[^" ]*)? HTTP/\d(?:\.\d)?" (\d{3}) (?:\d+|-)')
_ANY = re.compile(_HEAD + rb'([^"\\]*(?:\\.[^"\\]*)*)" (\d{3}) (?:\d+|-)(?![^ ])')
_REQUEST = re.compile(rb"([A-Za-z_-]+) ([^ ?]+)(?:\?.*)?(?: HTTP/\d(?:\.\d)?)?", re.DOTALL)
_SECONDS = re.compile(rb"(?:^| )(?:rt=|request_time=|urt=)?(\d{1,7}\.\d{3})(?= |$)")
_MICROS = re.compile(rb" ?(\d{1,13})")
NO_REQUEST = b"-"
"""The method and target that servers log for something that was not an HTTP request."""


class Combined:
    """Parses lines. `starts` tells that times are those of a request's beginning, None to see that from the line."""

    def __init__(self, times: Times, *, starts: bool | None) -> None:
        self._times, self._starts = times, starts

    def __call__(self, line: bytes) -> Request:
        """The request of a line without its end. Raises Unreadable."""
        found = _USUAL.match(line)
        if found is None:
            return self._other(line)
        name, time, method, target, status = found.groups()
        return self._request(name, time, method, target, status, line, found.end())

    def quick(self, lines: Sequence[bytes]) -> tuple[Columns, Sequence[int]]:
        """See Quick."""
        matches = [*map(_USUAL.match, lines)]
        odd = [place for place, found in enumerate(matches) if found is None] if None in matches else []
        usual = [found for found in matches if found is not None] if odd else cast(list[re.Match[bytes]], matches)
        if not usual:
            raise Unreadable(ONE_BY_ONE)
        names, times, methods, targets, statuses = zip(*map(re.Match.groups, usual), strict=True)
        known = {time: self._times.clf(time) for time in dict.fromkeys(times)}
        at = [*map(known.__getitem__, times)]
        took: list[int | None] = [None] * len(at)
        for place, found in enumerate(usual):
            if found.string[-1:] != b'"':
                took[place], began = _duration(found.string, found.end())
                at[place] += took[place] or 0 if (began if self._starts is None else self._starts) else 0
        return (at, without_nobody(names), methods, targets, statuses_of(statuses), took), odd

    def _other(self, line: bytes) -> Request:
        found = _ANY.match(line)
        if found is None:
            raise Unreadable("the line does not have the fields of this format")
        name, time, asked, status = found.groups()
        request = _REQUEST.fullmatch(asked)
        method, target = request.groups() if request else (NO_REQUEST, NO_REQUEST)
        return self._request(name, time, method, target, status, line, found.end())

    def _request(
        self, name: bytes, time: bytes, method: bytes, target: bytes, status: bytes, line: bytes, end: int
    ) -> Request:
        at_us = self._times.clf(time)
        took, began = (None, False) if line[-1:] == b'"' else _duration(line, end)
        if took and (began if self._starts is None else self._starts):
            at_us += took
        who = None if name == b"-" or not name else name
        return Request(at_us, who, method, target, status_of(int(status)), took)


def _duration(line: bytes, end: int) -> tuple[int | None, bool]:
    """The duration behind the fields that end at `end`, and whether it is written as Apache does."""
    rest = line[max(end, line.rfind(b'"') + 1) :]
    seconds = _SECONDS.search(rest)
    if seconds is not None:
        return micros_of(float(seconds[1]), 1_000_000), False
    whole = _MICROS.fullmatch(rest)
    return (micros_of(int(whole[1]), 1), True) if whole else (None, False)
