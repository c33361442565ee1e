"""Derives route templates from request targets: by given templates, otherwise by replacing values in the path.

`/api/threads/7f3a/messages/12?q=x` is `/api/threads/{id}/messages/{id}`. Only words that an author may have written
stay; where very many different words follow the same prefix, they count as values too, such as names or titles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote_to_bytes

from tracker.event import UNMATCHED
from tracker.templates import NOWHERE, Templates

MOST_WORDS = 40
"""With more different words than this at one position of a path, they are values."""
_DEEPEST = 12
_LONGEST_PATH = 2_048
_KNOWN = 50_000
_KNOWN_SEGMENTS = 2_000  # words come again and again
_ID, _VALUE = "{id}", "{value}"
_MOST_PLACES = 5_000
_NONE: frozenset[str] = frozenset()
_TELL_NOTHING = frozenset((301, 308, 400, 401, 403, 404, 408, 410, 414, 421, 429, 431, 444, 499))
"""Statuses that a server may answer for any made-up path."""
_WORD = re.compile(
    r"v\d{1,2}|[._]?[a-z]+(?:[-_][a-z]+){0,3}\d?(?:\.(?:html?|php|json|xml|aspx?|jsp|cgi))?", re.IGNORECASE
)
_LONGEST_WORD = 32
_HEX = re.compile(r"(?:0x)?[0-9a-f]+", re.IGNORECASE)
_NUMBER = re.compile(rb"/\d+(?=/|\Z)")
_UUID = re.compile(r"\{?[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}?", re.IGNORECASE)
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{6}", re.IGNORECASE)
_TURNS = re.compile(r"[a-z][A-Z]")


class Places:
    """Finds templates. Raises ValueError for `routes` that are none.

    The words are learned from answers that tell of the app. Give those of many requests to `learn` before asking for
    the first template: then no word that turns out to be a value has been kept.
    """

    def __init__(self, routes: Iterable[str] = ()) -> None:
        routes = list(routes)
        self._templates = Templates(routes)
        self._shaped = not routes  # a template of the owner's may have a number of its own
        self._shapes: dict[bytes, str] = {}
        self._words: dict[tuple[str, ...], set[str] | None] = {}
        self._known: dict[bytes, str] = {}
        self._strange: set[bytes] = set()
        self._cleared = 0  # how often what is known had to be forgotten

    def learn_all(self, targets: Sequence[bytes], statuses: Sequence[int]) -> None:
        """`learn` of each, in their order."""
        cleared, learned = self._cleared, set[tuple[bytes, int]]()
        for pair in zip(targets, statuses, strict=True):
            if pair not in learned:
                self.learn(*pair)
                if cleared != self._cleared:
                    cleared, learned = self._cleared, set()
                learned.add(pair)

    def find_all(self, targets: Sequence[bytes], statuses: Sequence[int]) -> list[str]:
        """`find` of each, in their order."""
        found: list[str] = []
        while len(found) < len(targets):
            # Those that are known are known until what is known is forgotten, by one that is not.
            cleared, first = self._cleared, len(found)
            for place, known in enumerate([*map(self._known.get, islice(targets, first, None))], first):
                found.append(self.find(targets[place], statuses[place]) if known is None else known)
                if cleared != self._cleared:
                    break
        return found

    def learn(self, target: bytes, status: int) -> None:
        """Note the words of what was asked for, if the answer tells that the app has it."""
        if status not in _TELL_NOTHING:
            self.find(target, status)

    def find(self, target: bytes, status: int) -> str:
        """The template of what was asked for; UNMATCHED for what is no path, and for words that no answer has shown to
        be the app's."""
        known = self._known.get(target)
        if known is not None:
            return known
        teaches = status not in _TELL_NOTHING
        if not teaches and target in self._strange:
            return UNMATCHED
        shape = shape_of(target) if self._shaped else target
        found = self._shapes.get(shape)
        if found is None:
            found = self._sought(shape, teaches)
            if found is not None and shape != target:
                if len(self._shapes) >= _KNOWN:
                    self._shapes.clear()
                self._shapes[shape] = found
        if found is None:
            if len(self._strange) < _KNOWN:
                self._strange.add(target)
            return UNMATCHED
        if len(self._known) >= _KNOWN:
            self._forget()
        self._known[target] = found
        return found

    def _forget(self) -> None:
        self._known.clear()
        self._cleared += 1

    def _sought(self, target: bytes, teaches: bool) -> str | None:
        path = path_of(target)
        place = NOWHERE if path is None else self._templates.find(path)
        if place is not NOWHERE:
            return place.template
        return self._collapsed(target, teaches) if path else UNMATCHED

    def _collapsed(self, target: bytes, teaches: bool) -> str | None:
        parts: list[str] = []
        segments = _segments(target)
        for segment in segments[:_DEEPEST]:
            part = kind_of(segment) or self._word(tuple(parts), segment, teaches)
            if part is None:
                return None
            parts.append(part)
        if len(segments) > _DEEPEST:
            parts.append("*")
        return "/" + "/".join(parts)

    def _word(self, before: tuple[str, ...], segment: str, teaches: bool) -> str | None:
        """The word, `{value}` where there are too many of them, None where it is not known."""
        words = self._words.get(before, _NONE)
        if words is None:
            return _VALUE
        if segment in words:
            return segment
        if not teaches:
            return None
        if len(words) >= MOST_WORDS or (not words and len(self._words) >= _MOST_PLACES):
            self._words[before] = None
            self._forget()
            self._shapes.clear()
            return _VALUE
        self._words[before] = {*words, segment}
        self._strange.clear()
        return segment


def shape_of(target: bytes) -> bytes:
    """What was asked for with 0 in the place of every segment that is a number: all of that shape is of one template
    where nobody named any, and is a file or a health check or not."""
    return _NUMBER.sub(b"/0", target) if len(target) <= _LONGEST_PATH else target


def path_of(target: bytes) -> str | None:
    """The path of what was asked for, without scheme, host, query and fragment, with its escapes read; None for none.

    An absolute form (RFC 9112, 3.2.2) has scheme and host; `*` and `host:port` are no paths. Bytes that are not UTF-8
    are replaced.
    """
    raw = _raw_path(target)
    return None if raw is None else _unquoted(raw)


def _unquoted(raw: bytes) -> str:
    return (unquote_to_bytes(raw) if b"%" in raw else raw).decode("utf-8", "replace")


def _raw_path(target: bytes) -> bytes | None:
    if len(target) > _LONGEST_PATH:
        return None
    if b"?" in target or b"#" in target:
        target = re.split(rb"[?#]", target, maxsplit=1)[0]
    if target[:1] != b"/":
        found = re.match(rb"https?://[^/]*", target, re.IGNORECASE)
        if found is None:
            return None
        target = target[found.end() :] or b"/"
    return target


def _segments(target: bytes) -> list[str]:
    raw = _raw_path(target) or b"/"
    # What follows a semicolon is a parameter of the segment, such as a session's id (RFC 3986, 3.3).
    parts = (part.partition(b";")[0] for part in raw.split(b"/"))
    return [_unquoted(part) for part in parts if part]


def kind_of(segment: str) -> str | None:
    """`{id}` for a number, a UUID, a hash or a token, `{value}` for what no author names a route; None for a word."""
    return _ID if segment.isdecimal() else _kind_of(segment)


@lru_cache(_KNOWN_SEGMENTS)
def _kind_of(segment: str) -> str | None:
    if _UUID.fullmatch(segment):
        return _ID
    if _HEX.fullmatch(segment) and len(segment) >= 6 and (len(segment) >= 16 or re.search(r"\d", segment)):
        return _ID
    if len(segment) > _LONGEST_WORD or not segment.isascii():
        return _ID if re.fullmatch(r"[\w.~=+-]+", segment, re.ASCII) else _VALUE
    if not _WORD.fullmatch(segment):
        return _ID if re.fullmatch(r"[\w.~=+-]*\d[\w.~=+-]*", segment, re.ASCII) else _VALUE
    if _CONSONANTS.search(segment) or len(_TURNS.findall(segment)) > 3:
        return _ID  # a token that happens to have no digit
    return None
