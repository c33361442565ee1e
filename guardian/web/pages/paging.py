"""Long lists a page at a time, by links. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Paged:
    """The `rows` of page `number` of `pages` (both at least 1), of `total` rows from `first` to `last`, counted from 1;
    0 and 0 where there is none."""

    rows: Sequence[Any]
    number: int
    pages: int
    total: int
    first: int
    last: int


def paged(rows: Sequence[Any], query: Mapping[str, str], size: int) -> Paged:
    """The page that the address asks for by `page`; the nearest one where it is none."""
    pages = max(1, -(-len(rows) // size))
    asked = query.get("page", "1")
    number = min(max(1, int(asked[:9])), pages) if asked.isascii() and asked.isdecimal() else 1
    begin = (number - 1) * size
    shown = rows[begin : begin + size]
    return Paged(shown, number, pages, len(rows), begin + 1 if shown else 0, begin + len(shown))
