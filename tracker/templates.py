"""Templates of routes: `/threads/{id}` in place of a path, which may hold values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import NamedTuple

from tracker.event import UNMATCHED

MAX_TEMPLATE = 500
"""Characters: no author writes a longer template, so a longer one is a path."""
_CACHE_CAP = 10_000


class Place(NamedTuple):
    """The template of a route, and the methods that it has; None where it does not say."""

    template: str
    methods: Collection[str] | None = None


NOWHERE = Place(UNMATCHED)


class Templates:
    """The routes of an app without a router, as its author names them: `["/{db}/{table}"]`; the first that fits counts.

    `{name}` stands for one segment, `{name:path}` for any number of them; `{name:int}`, `{name:float}` and
    `{name:uuid}` for a segment of that form. Raises ValueError for what is no template.
    """

    def __init__(self, templates: Iterable[str]) -> None:
        if isinstance(templates, str):
            raise ValueError(f"routes = {templates!r} must be a list of templates, as in ['/threads/{{id}}']")
        self._places: list[tuple[re.Pattern[str], Place]] = []
        for template in templates:
            if not isinstance(template, str) or not template.startswith("/") or len(template) > MAX_TEMPLATE:
                raise ValueError(f"routes = {template!r} must start with a slash, as in '/threads/{{id}}'")
            if re.search(r"[{}\[\]()^$]", re.sub(_PARAMETER, "", template)):
                raise ValueError(f"routes = {template!r} must have its parameters in braces, as in '/threads/{{id}}'")
            self._places.append((compiled(template), Place(plain(template))))

    def find(self, path: str) -> Place:
        """The template that fits a path; NOWHERE where none does."""
        return next((place for pattern, place in self._places if pattern.fullmatch(path)), NOWHERE)


_PARAMETER = re.compile(r"(\{\w+(?::\w+)?\})")


@lru_cache(maxsize=1_000)
def compiled(template: str) -> re.Pattern[str]:
    """The pattern of the paths that a template stands for, with or without a slash at the end."""
    parts = _PARAMETER.split(template)
    pattern = "".join(_pattern(part) if index % 2 else re.escape(part) for index, part in enumerate(parts))
    return re.compile(pattern + "/?")


_SEGMENT = "[^/]+"
_FORMS = {
    "path": ".*",
    "int": r"[+-]?\d+",
    "float": r"[+-]?(?:\d+\.?\d*|\.\d+)",
    "uuid": "[0-9A-Fa-f]{8}(?:-?[0-9A-Fa-f]{4}){3}-?[0-9A-Fa-f]{12}",
}
"""What the convertors of routers have in common: a path that one of these refuses does not lead to its route."""


def _pattern(part: str) -> str:
    _, _, convertor = part[1:-1].partition(":")
    return _FORMS.get(convertor, _SEGMENT)


_CONVERTOR = re.compile(r":\w+}")


@lru_cache(maxsize=_CACHE_CAP)
def plain(path: str) -> str:
    """A template without convertors: {id:int} is {id}."""
    return _CONVERTOR.sub("}", path)
