"""Reads lines of JSON by the shape that earlier lines had: the same keys in the same order, values of the same kinds.

A server writes a few shapes. A regular expression of one finds the values that are wanted without making objects of all
the others, in less than half of the time. It matches nothing but JSON by its grammar (RFC 8259), in ASCII and without
an escape, whose keys stand in it by name, each once: so the values are those that `json.loads` finds. Whatever no shape
fits has to be read by that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from typing import Any

MOST = 12
"""So many shapes are learned; making one takes as long as reading some hundred lines."""
_PATIENCE = 100
"""After so many lines in a row that have no shape none is looked for any more."""
TEXT = rb'"([ !#-\[\]-~]*+)"'
"""What a wanted value may be: a text; a number; a whole number of at most 15 digits."""
NUMBER = rb"(-?+(?:0|[1-9]\d{0,99}+)(?:\.\d{1,99}+)?+(?:[eE][+-]?+\d{1,9}+)?+)"
WHOLE = rb"(0|[1-9]\d{0,14}+)"
_KEY = re.compile(r"[ !#-\[\]-~]*")
_TEXT, _NUMBER = TEXT.replace(b"(", b"").replace(b")", b""), NUMBER[1:-1]
_LIST = rb"\[(?:%b(?:,%b)*+)?+\]" % (_TEXT, _TEXT)
_HEADERS = rb"\{(?:%b:%b(?:,%b:%b)*+)?+\}" % (_TEXT, _LIST, _TEXT, _LIST)
Path = tuple[str, ...]


class _NoShape(Exception):
    """A line of which no shape can be made."""


class Skeletons:
    """Finds `wanted`: the path of a value, by the names of its keys, and what it has to be."""

    def __init__(self, wanted: Mapping[Path, bytes]) -> None:
        self._wanted = wanted
        self._patience = _PATIENCE
        self._known: list[tuple[Callable[[bytes], re.Match[bytes] | None], Callable[[Any], Any]]] = []

    def read(self, lines: Sequence[bytes]) -> tuple[list[tuple[bytes, ...]], list[int]]:
        """The wanted values of each line that has a known shape, in the order of `wanted`; the places of the others."""
        values: list[tuple[bytes, ...]] = []
        others: list[int] = []
        for place, line in enumerate(lines):
            for number, (match, values_of) in enumerate(self._known):
                found = match(line)
                if found is not None:
                    values.append(values_of(found))
                    if number:  # the next line is probably of the same shape
                        self._known.insert(0, self._known.pop(number))
                    break
            else:
                if not self._learned(line):
                    others.append(place)
                    continue
                match, values_of = self._known[0]
                values.append(values_of(match(line)))
        return values, others

    def _learned(self, line: bytes) -> bool:
        """Whether the line's shape, which is not known yet, is known from now on."""
        if len(self._known) >= MOST or not self._patience:
            return False
        self._patience -= 1
        order: list[Path] = []
        try:
            shape = self._shape(json.loads(line, object_pairs_hook=_Pairs), (), order)
        except (ValueError, RecursionError, _NoShape):
            return False
        if set(order) != set(self._wanted):
            return False
        pattern = re.compile(shape)
        if pattern.fullmatch(line) is None:
            return False
        values_of = methodcaller("group", *(order.index(path) + 1 for path in self._wanted))
        self._known.insert(0, (pattern.fullmatch, values_of))
        self._patience = _PATIENCE
        return True

    def _shape(self, value: Any, path: Path, order: list[Path]) -> bytes:
        """The pattern of a value at this path; the wanted ones in it are noted in `order`."""
        wanted = self._wanted.get(path)
        if wanted is not None:
            order.append(path)
            return wanted
        if isinstance(value, _Pairs):
            return self._shape_of_object(value, path, order)
        if isinstance(value, str):
            return _TEXT
        if value is None or isinstance(value, bool):
            return rb"(?:true|false|null)"
        if isinstance(value, list):
            return _LIST
        return _NUMBER

    def _shape_of_object(self, pairs: _Pairs, path: Path, order: list[Path]) -> bytes:
        inside = any(each[: len(path)] == path for each in self._wanted)
        if not inside and all(isinstance(value, list) for _, value in pairs):
            return _HEADERS  # they differ from client to client
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys) or not all(map(_KEY.fullmatch, keys)):
            raise _NoShape
        shapes = [self._shape(value, (*path, key), order) for key, value in pairs]
        named = [b'"%b":%b' % (re.escape(key.encode()), shape) for key, shape in zip(keys, shapes, strict=True)]
        return rb"\{%b\}" % b",".join(named)


class _Pairs(list[tuple[str, Any]]):
    """The keys and values of an object, as they stand there."""
