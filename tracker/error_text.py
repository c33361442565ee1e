"""What may be kept of an error's text: words that the app's author wrote, and nothing that a client sent."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterator, MutableMapping
from http import HTTPStatus
from types import CodeType, ModuleType
from typing import Any

from tracker.event import Failure

NOTE = "guardian.note"
"""The key of `scope` under which an app's own note on an error travels."""
MAX_TEXT = 200
MAX_FRAMES = 20
_KEYS = ("detail", "error", "message")
_LIBRARY = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


def note_error(request: Any, text: str) -> None:
    """Say more of an error than its status does: `note_error(request, "quota used up")`.

    `request` is a Starlette request or the ASGI scope. The rule for error texts holds here too: only a text that is a
    literal in the app's own code is stored, so a text with a value in it is not.
    """
    scope: MutableMapping[str, Any] = request if isinstance(request, MutableMapping) else request.scope
    scope[NOTE] = text


def candidate_text(content_type: bytes, chunk: bytes) -> str | None:
    """What a small error answer says: the `detail`, `error` or `message` of its JSON, or its plain text; else None.

    Nobody has vouched for it yet: see `AuthoredTexts`.
    """
    try:
        if b"json" in content_type:
            body = json.loads(chunk)
            found = next((body[key] for key in _KEYS if isinstance(body.get(key), str)), None)
        elif content_type.startswith(b"text/plain"):
            found = chunk.decode("utf-8")
        else:
            return None
    except (ValueError, AttributeError, RecursionError):
        return None
    return found if found is not None and 0 < len(found) <= MAX_TEXT else None


def reason_phrase(status: int) -> str:
    """The words of a status code (RFC 9110, 15), or of its class where the code has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Server Error" if status >= 500 else "Client Error"


def failure_of_exception(error: BaseException) -> Failure:
    """The exception's class and where it was raised: a line `file:line function` a frame, the innermost last.

    Never its message, which may hold what a client sent. Paths are relative to the folder their module is imported
    from.
    """
    lines: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not _is_library(code.co_filename):
            lines.append(f"{_short(code.co_filename, trace.tb_frame.f_globals)}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return Failure(type(error).__name__[:MAX_TEXT], reason_phrase(500), "\n".join(lines[-MAX_FRAMES:]))


def _short(filename: str, names: dict[str, Any]) -> str:
    """app/chat.py for the module app.chat, wherever it lies."""
    module = names.get("__name__", "")
    depth = module.count(".") + (2 if os.path.basename(filename) == "__init__.py" else 1)
    return "/".join(filename.replace(os.sep, "/").split("/")[-depth:])


def _is_library(filename: str) -> bool:
    return filename.startswith("<") or os.path.realpath(filename).startswith(_LIBRARY)


_LIBRARY += (os.path.dirname(os.path.realpath(__file__)) + os.sep,)


class AuthoredTexts:
    """The string literals of the app's own code: modules outside the standard library and site-packages, `__main__`,
    and modules of the package that the endpoint comes from. Read from compiled code, never from variables, whose
    values may come from a client. For the writer thread: the first call may take a while."""

    def __init__(self) -> None:
        self._texts: set[str] = set()
        self._read: set[str] = set()
        self._loaded = 0

    def message(self, candidate: str | None, status: int, endpoint: Any = None) -> str:
        """The candidate if it is a literal of the app's code, else the status' reason phrase."""
        if candidate is not None and self._is_literal(candidate, endpoint):
            return candidate
        return reason_phrase(status)

    def _is_literal(self, text: str, endpoint: Any) -> bool:
        if text in self._texts:
            return True
        package = str(getattr(endpoint, "__module__", "") or "").partition(".")[0]
        if len(sys.modules) == self._loaded and package in self._read:
            return False
        self._loaded = len(sys.modules)
        for name, module in list(sys.modules.items()):
            if name not in self._read and module is not None and _is_own(name, module, package):
                self._read.add(name)
                self._texts.update(_literals(name, module))
        self._read.add(package)
        return text in self._texts


def _is_own(name: str, module: ModuleType, package: str) -> bool:
    top = name.partition(".")[0]
    if top == "tracker":
        return False
    path = getattr(module, "__file__", None)
    return bool(path) and (top == package or not _is_library(path))


def _literals(name: str, module: ModuleType) -> Iterator[str]:
    try:
        spec = getattr(module, "__spec__", None)
        if spec is not None and hasattr(spec.loader, "get_code"):
            code = spec.loader.get_code(spec.name)
        else:  # __main__, run as a script
            with open(str(module.__file__), "rb") as file:
                code = compile(file.read(), str(module.__file__), "exec", dont_inherit=True)
    except (OSError, ImportError, SyntaxError, ValueError):
        return
    if code is not None:
        yield from _strings(code)


def _strings(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            if 0 < len(constant) <= MAX_TEXT:
                yield constant
        elif isinstance(constant, CodeType):
            yield from _strings(constant)
        elif isinstance(constant, tuple | frozenset):
            yield from (item for item in constant if isinstance(item, str) and 0 < len(item) <= MAX_TEXT)
