"""What may be stored of an error's text: only words that the app's author wrote, nothing that a client sent."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from types import CodeType
from typing import Any

from tracker.tracebacks import code_of, is_library

NOTED_TEXT = "noted as failed"
"""The message for a request that the app marked as failed, without a text that may be stored."""
MAX_TEXT = 200
"""The most characters of a text that is stored."""
READ_SECONDS, REST_SECONDS = 0.15, 0.5
"""How long reading the app's modules may take at a time, and the pause before it may start again."""
_KEYS = ("detail", "error", "message")
_FRAMEWORKS = frozenset(("starlette", "fastapi", "tracker"))


def candidate_text(content_type: bytes | None, chunk: bytes) -> str | None:
    """The text of a small error answer: the `detail`, `error` or `message` of its JSON (also nested, as in `{"error":
    {"message": …}}`), or its plain text; else None. The text is not verified yet: see `AuthoredTexts`. Never raises.
    """
    try:
        kind = (content_type or b"").partition(b";")[0].strip().lower()
        if kind.endswith(b"json"):
            found = _said(json.loads(chunk))
        elif kind == b"text/plain":
            found = chunk.decode("utf-8")
        else:
            return None
    except Exception:  # odd answers, or a host's replacement for json, cost only the text
        return None
    return found if found is not None and 0 < len(found) <= MAX_TEXT else None


def _said(body: Any) -> str | None:
    for _ in range(len(_KEYS)):
        if isinstance(body, str):
            return body
        if not isinstance(body, dict):
            return None
        body = next((body[key] for key in _KEYS if isinstance(body.get(key), str | dict)), None)
    return body if isinstance(body, str) else None


_RENAMED = {
    413: "Content Too Large", 414: "URI Too Long", 416: "Range Not Satisfiable", 422: "Unprocessable Content",
}  # fmt: skip


def reason_phrase(status: int) -> str:
    """The words of a status code (RFC 9110, 15; Python has them all from 3.13 on), or those of its class.

    With a status under 400: that the app marked the request as failed.
    """
    if status < 400:
        return NOTED_TEXT
    try:
        return _RENAMED.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Server Error" if status >= 500 else "Client Error"


class AuthoredTexts:
    """The string literals of the app's own code: modules outside the standard library and site-packages, `__main__`,
    and modules of the package that the endpoint comes from. Read from compiled code, never from variables, whose values
    may come from a client. For the writer thread: the first call may take a while, and so may one after the app has
    imported more modules."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._resting_until = 0.0
        self._texts: set[str] = set()
        self._read: set[str] = set()
        self._foreign: set[str] = set()
        self._packages: set[str] = set()
        self._seen: tuple[int, int] = (0, 0)

    def read_on(self) -> None:
        """Continue reading modules, if any are left; for when the thread is idle."""
        if self._packages or self._read:
            self._read_more()

    def message(self, candidate: str | None, status: int, endpoint: Any = None) -> str:
        """The candidate if it is a literal in the app's code, else the status's reason phrase."""
        if isinstance(candidate, str) and 0 < len(candidate) <= MAX_TEXT and self._is_literal(candidate, endpoint):
            return candidate
        return reason_phrase(status)

    def _is_literal(self, text: str, endpoint: Any) -> bool:
        if text not in self._texts:
            package = str(getattr(endpoint, "__module__", "") or "").partition(".")[0]
            if package not in sys.stdlib_module_names and package not in _FRAMEWORKS | self._packages:
                self._packages.add(package)
                self._read -= self._foreign  # some may turn out to be the app's own
                self._foreign.clear()
            self._read_module(str(getattr(endpoint, "__module__", "")))  # known from the first answer on
            if text not in self._texts:
                self._read_more()
        return text in self._texts

    def _read_more(self) -> None:
        """Read the modules that were not there the last time, those of the app's packages first, for a moment: an app
        may have thousands, and what waits to be stored waits meanwhile. What is left is read next time; till then a
        text is not known."""
        now = (len(sys.modules), len(self._packages))
        began = self._clock()
        if now == self._seen or began < self._resting_until:
            return
        for name in sorted(sys.modules, key=lambda name: name.partition(".")[0] not in self._packages):
            if name in self._read:
                continue
            if self._clock() - began > READ_SECONDS:
                self._resting_until = self._clock() + REST_SECONDS
                return
            self._read_module(name)
        self._seen = now

    def _read_module(self, name: str) -> None:
        if name in self._read or name not in sys.modules:
            return
        # Some modules load lazily (importlib.util.LazyLoader, a module's `__getattr__`): do not trigger that, and skip
        # a module whose reading fails.
        try:
            inside = object.__getattribute__(sys.modules[name], "__dict__")
            if self._is_own(name, inside):
                self._texts.update(_literals(inside))
            else:
                self._foreign.add(name)
        except Exception:
            self._foreign.add(name)
        self._read.add(name)

    def _is_own(self, name: str, inside: Mapping[str, Any]) -> bool:
        top, path = name.partition(".")[0], inside.get("__file__")
        return isinstance(path, str) and top != "tracker" and (top in self._packages or not is_library(path))


def _literals(inside: Mapping[str, Any]) -> Iterator[str]:
    """The string literals in a module's code; empty if it is an extension module, or cannot be read."""
    code = code_of(inside)
    if code is not None:
        yield from _strings(code.co_consts)


def _strings(constants: Any) -> Iterator[str]:
    for constant in constants:
        if isinstance(constant, str):
            if 0 < len(constant) <= MAX_TEXT:
                yield constant
        elif isinstance(constant, CodeType):
            yield from _strings(constant.co_consts)
        elif isinstance(constant, tuple | frozenset):
            yield from _strings(constant)
