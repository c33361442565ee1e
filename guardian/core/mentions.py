"""Where a text names people, so that one of them can be removed later without searching the text. Pure.

While a mail is being written, each name stands between two marks that occur in no other text (`marked_name`). They pass
through templates, filters and translations. At the end `unmarked` removes them and says where the names are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

ERASED = "(erased)"
"""The replacement for an erased person's name."""
# Signs of Linear A (Unicode, 10600 to 1077F), a writing that nobody can read: printable, and letters for every filter.
_OPEN, _MIDDLE, _CLOSE = "\U00010760", "\U00010761", "\U00010762"
_SIGNS = re.compile(f"[{_OPEN}{_MIDDLE}{_CLOSE}]")
_MARK = re.compile(f"{_OPEN}([^{_OPEN}{_MIDDLE}{_CLOSE}]*)(?:{_MIDDLE}([^{_OPEN}{_MIDDLE}{_CLOSE}]*))?{_CLOSE}")


class Span(NamedTuple):
    """The characters [start, end) of a text show this name, in part or whole."""

    start: int
    end: int
    name: str


class Mention(NamedTuple):
    """One place where a part of a message names somebody: the characters [start, end).

    `part` is "subject", a key of a channel's message, "Reply-To" for the header (both numbers are 0), or the place of
    the MIME part among all of them.
    """

    name: str
    part: str
    start: int
    end: int


def marked_name(name: str) -> str:
    """The name between its marks."""
    return f"{_OPEN}{name if name.isascii() else _SIGNS.sub('', name)}{_CLOSE}"


def plain(text: str) -> str:
    """The text without the marks around names."""
    return unmarked(text)[0] if _OPEN in text else text


def unmarked(text: str, read: Callable[[str], str] = str) -> tuple[str, list[Span]]:
    """The text without the marks, and where it names people. `read` decodes a name from the text, such as HTML."""
    spans: list[Span] = []
    pieces: list[str] = []
    length = at = 0
    for found in _MARK.finditer(text):
        before = text[at : found.start()]
        shown, name = found.group(1), found.group(2)
        start = length + len(before)
        spans.append(Span(start, start + len(shown), read(shown if name is None else name)))
        pieces += (before, shown)
        length, at = start + len(shown), found.end()
    pieces.append(text[at:])
    # A mark whose partner was cut off must be removed too.
    whole = "".join(pieces)
    return (whole, spans) if not _SIGNS.search(whole) else (_SIGNS.sub("", whole), _moved(whole, spans))


def _moved(text: str, spans: Iterable[Span]) -> list[Span]:
    """The spans as they are when single signs are taken out of the text."""
    gone = [found.start() for found in _SIGNS.finditer(text)]

    def moved(at: int) -> int:
        return at - sum(each < at for each in gone)

    return [Span(moved(start), moved(end), name) for start, end, name in spans]


def remarked(text: str, spans: Iterable[Span]) -> str:
    """The text with the marks put back; the spans are in order."""
    pieces: list[str] = []
    at = 0
    for start, end, name in spans:
        shown = text[start:end]
        kept = "" if shown == name else _MIDDLE + "".join(sign for sign in name if sign.isprintable())
        pieces += (text[at:start], f"{_OPEN}{shown}{kept}{_CLOSE}")
        at = end
    return "".join([*pieces, text[at:]])


def shortening(text: str, change: Callable[[str], str]) -> str:
    """What `change`, which takes something out of the middle or the end, makes of the text; names stay marked."""
    if _OPEN not in text:
        return change(text)
    old, spans = unmarked(text)
    new = change(old)
    same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    longer = len(old) - len(new)

    def moved(at: int) -> int:
        return at if at <= same else max(same, at - longer)

    return remarked(new, [Span(moved(start), moved(end), name) for start, end, name in spans])


def wrapping(text: str, change: Callable[[str], str]) -> str:
    """What `change`, which only moves the white space, makes of the text; names stay marked."""
    if _OPEN not in text:
        return change(text)
    old, spans = unmarked(text)
    new = change(old)
    places = [at for at, sign in enumerate(new) if not sign.isspace()]
    counts = [0]
    for sign in old:
        counts.append(counts[-1] + (not sign.isspace()))

    def moved(span: Span) -> Span:
        first, last = counts[span.start], counts[span.end]
        return Span(places[first], places[last - 1] + 1, span.name) if last > first else Span(0, 0, span.name)

    return remarked(new, [each for each in map(moved, spans) if each.end])


def without(
    text: str, spans: Iterable[Span | Mention], people: Collection[str]
) -> tuple[str, list[tuple[str, int, int]]]:
    """The text with `ERASED` in the place of each span that names one of these people.

    And the others, as (name, start, end), where they are now. The spans are in order.
    """
    pieces: list[str] = []
    left: list[tuple[str, int, int]] = []
    at = moved = 0
    for each in spans:
        name, start, end = each.name, each.start, each.end
        if name in people:
            pieces += (text[at:start], ERASED)
            moved, at = moved + len(ERASED) - (end - start), end
        else:
            left.append((name, start + moved, end + moved))
    return "".join([*pieces, text[at:]]), left
