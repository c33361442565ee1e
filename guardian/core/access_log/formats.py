"""The supported formats, and detecting the format of a log."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import tzinfo

from guardian.core.access_log.combined import Combined
from guardian.core.access_log.json_lines import caddy, traefik
from guardian.core.access_log.line import LONGEST, Request, Times, Unreadable
from guardian.core.access_log.uvicorn import looks_like, uvicorn

Parser = Callable[[bytes], Request]
COMBINED = "combined"
"""nginx or Apache: the lines tell which, where that matters."""
_MAKERS: dict[str, Callable[[Times], Parser]] = {
    "nginx": lambda times: Combined(times, starts=False),
    "apache": lambda times: Combined(times, starts=True),
    COMBINED: lambda times: Combined(times, starts=None),
    "caddy": caddy,
    "traefik": traefik,
    "uvicorn": uvicorn,
}
FORMATS = tuple(_MAKERS)
_TRIED = (COMBINED, "caddy", "traefik")


def parser(name: str, zone: tzinfo) -> Parser:
    """The parser of a format: it takes a line without its line end and returns the request, or raises Unreadable.

    `zone` applies to times that name none. Raises ValueError for an unknown format.
    """
    if name not in _MAKERS:
        raise ValueError(f"--format {name!r} is not known: it is one of {', '.join(FORMATS)}")
    parse = _MAKERS[name](Times(zone))

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
