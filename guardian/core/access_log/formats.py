"""The supported formats, and detecting the format of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from functools import partial
from typing import Protocol

from guardian.core.access_log.columns import ONE_BY_ONE, Columns, Refused, Requests, read_all
from guardian.core.access_log.combined import Combined
from guardian.core.access_log.json_lines import Caddy, Traefik
from guardian.core.access_log.line import LONGEST, Request, Times, Unreadable
from guardian.core.access_log.uvicorn import Uvicorn, looks_like


class _Format(Protocol):
    def __call__(self, line: bytes) -> Request: ...

    def quick(self, lines: Sequence[bytes]) -> tuple[Columns, Sequence[int]]: ...


COMBINED = "combined"
"""nginx or Apache: the lines tell which, where that matters."""
_MAKERS: dict[str, Callable[[Times], _Format]] = {
    "nginx": partial(Combined, starts=False),
    "apache": partial(Combined, starts=True),
    COMBINED: partial(Combined, starts=None),
    "caddy": Caddy,
    "traefik": Traefik,
    "uvicorn": Uvicorn,
}
FORMATS = tuple(_MAKERS)
_TRIED = (COMBINED, "caddy", "traefik")


def parser(name: str, zone: tzinfo) -> Callable[[bytes], Request]:
    """The parser of a format: it takes a line without its line end and returns the request, or raises Unreadable.

    `zone` applies to times that name none. Raises ValueError for an unknown format.
    """
    return _checked(_made(name, zone))


def reader(name: str, zone: tzinfo) -> Callable[[Sequence[bytes]], tuple[Requests, Refused]]:
    """The same of many lines: what `parser` says of each (`read_all`)."""
    format = _made(name, zone)
    parse = _checked(format)

    def quick(lines: Sequence[bytes]) -> tuple[Columns, Sequence[int]]:
        if max(map(len, lines)) > LONGEST:
            raise Unreadable(ONE_BY_ONE)
        return format.quick(lines)

    return lambda lines: read_all(lines, parse, quick)


def _made(name: str, zone: tzinfo) -> _Format:
    if name not in _MAKERS:
        raise ValueError(f"--format {name!r} is not known: it is one of {', '.join(FORMATS)}")
    return _MAKERS[name](Times(zone))


def _checked(parse: Callable[[bytes], Request]) -> Callable[[bytes], Request]:
    def checked(line: bytes) -> Request:
        if len(line) > LONGEST:
            raise Unreadable("the line is longer than any server writes one")
        return parse(line)

    return checked


def detect(lines: Iterable[bytes], zone: tzinfo) -> str | None:
    """The format of most of these lines; None if none has a known format."""
    votes: dict[str, int] = {}
    parsers = {name: parser(name, zone) for name in _TRIED}
    for line in lines:
        for name, parse in parsers.items():
            try:
                parse(line)
            except Unreadable:
                continue
            votes[name] = votes.get(name, 0) + 1
            break
        else:
            if len(line) <= LONGEST and looks_like(line):
                votes["uvicorn"] = votes.get("uvicorn", 0) + 1
    return max(votes, key=lambda name: votes[name], default=None)
