"""Which exception it was, and where the app's code raised it: names that the app's author gave.

A class, a file and a function can be made while the app runs, and named by what a client sent. So a name is only stored
if an imported module has it. Classes and exceptions are read without running any of their own code.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any, NamedTuple

MAX_NAME = 200
"""Characters of a class' name: a longer one is cut."""
UNKNOWN = "(unknown)"
"""Stands for the name of a function that its module's code does not have."""
MAX_FRAMES = 20
_INSTALLED = ("site-packages", "dist-packages")
_ELSEWHERE = ("<", *{sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_PLACES = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")}
    | {os.path.dirname(os.path.realpath(__file__)) + os.sep}
)
# The raw descriptors, which bypass overrides in a class, its metaclass or an exception.
_bases = type.__dict__["__mro__"].__get__
_names = type.__dict__["__dict__"].__get__
_qualname = type.__dict__["__qualname__"].__get__
_parts = BaseExceptionGroup.__dict__["exceptions"].__get__
_trace = BaseException.__dict__["__traceback__"].__get__


class Frame(NamedTuple):
    """One line of a traceback, as it lies in memory: nothing is looked up to make it, and nothing of it is checked."""

    file: str
    module: str
    line: int
    function: str


def kind_of(error: BaseException) -> str:
    """The name of an exception's class. A group of one exception only, as task groups raise it, stands for that one."""
    return class_name(type(_alone(error)))


def class_name(kind: type) -> str:
    """The name of a class as its module has it; where the module has no such class, as of one that was made in a
    function or by `type()`, the name of the nearest base that its own module has."""
    return next((name for each in _bases(kind) if (name := _known_name(each)) is not None), "object")


def _known_name(kind: type) -> str | None:
    names = _names(kind)
    module, qualname = names.get("__module__", "builtins"), _qualname(kind)
    if type(module) is not str or type(qualname) is not str:
        return None
    found: Any = sys.modules.get(module)
    inside: Any = inside_of(found)
    for part in qualname.split("."):
        found = inside.get(part)
        inside = _names(found) if issubclass(type(found), type) else {}
    return qualname.rpartition(".")[2][:MAX_NAME] if found is kind else None


def inside_of(module: Any) -> Mapping[str, Any]:
    """What a module has, without a call of its own code: some load themselves when they are asked."""
    try:
        found = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}
    return found if type(found) is dict else {}


def frames_of(error: BaseException) -> tuple[Frame, ...]:
    """Where an exception was raised, the innermost frame last: those that may be the app's own, 20 at most, and the
    innermost of all. Quick, for the host's event loop, and small, for the buffer: see `location_of`."""
    own: deque[Frame] = deque(maxlen=MAX_FRAMES + 1)
    trace = _trace(_alone(error))
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename
        if trace.tb_next is None or not (file.startswith(_ELSEWHERE) or any(part in file for part in _INSTALLED)):
            module = dict.get(trace.tb_frame.f_globals, "__name__")
            own.append(Frame(file, module if type(module) is str else "", trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    return tuple(own)


def location_of(frames: Sequence[Frame]) -> str:
    """A line `file:line function` a frame, the innermost last: those of the app's own code, 20 at most; the innermost
    of all where the app has none. Frames whose file no imported module has are left out; a function that is not in its
    module's code is `(unknown)`. A file is named by its module, `app/chat.py`, wherever it lies. Asks the file system
    what lies where, so it is for the writer thread.
    """
    imported = [frame for frame in frames if _is_imported(frame)]
    own = [frame for frame in imported if not is_library(frame.file)][-MAX_FRAMES:]
    return "\n".join(_line(frame) for frame in own or imported[-1:])


def _alone(error: BaseException) -> BaseException:
    while issubclass(type(error), BaseExceptionGroup) and len(parts := _parts(error)) == 1:
        error = parts[0]
    return error


def _is_imported(frame: Frame) -> bool:
    file = inside_of(sys.modules.get(frame.module)).get("__file__")
    if type(file) is not str or type(frame.file) is not str:
        return False
    # Bytecode shipped without its source still has the source's original path.
    same = file == frame.file or (file.endswith(".pyc") and _stem(file) == _stem(frame.file))
    return same or os.path.realpath(file) == os.path.realpath(frame.file)


def _stem(file: str) -> str:
    return os.path.basename(file).rpartition(".")[0]


def _line(frame: Frame) -> str:
    path = frame.file.replace(os.sep, "/")
    stem = frame.module.replace(".", "/")
    names = (name for name in (f"{stem}.py", f"{stem}/__init__.py") if path.endswith("/" + name))
    function = frame.function if frame.function in _functions(frame.module, frame.file) else UNKNOWN
    return f"{next(names, path.rpartition('/')[2])}:{frame.line} {function}"


@lru_cache(maxsize=256)
def _functions(module: str, file: str) -> frozenset[str]:
    """The names of all functions in a module's code; none where that cannot be read."""
    code = code_of(inside_of(sys.modules.get(module)))
    return frozenset() if code is None else frozenset(_code_names(code))


def _code_names(code: CodeType) -> Iterator[str]:
    yield code.co_name
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_names(constant)


def code_of(inside: Mapping[str, Any]) -> CodeType | None:
    """The compiled code of a module that has these names; None where it has only machine code, or cannot be read."""
    try:
        spec = inside.get("__spec__")
        if spec is not None and hasattr(spec.loader, "get_code"):
            code: CodeType | None = spec.loader.get_code(spec.name)
            return code
        with open(inside["__file__"], "rb") as file:  # __main__, run as a script
            return compile(file.read(), inside["__file__"], "exec", dont_inherit=True)
    except (KeyError, OSError, ImportError, SyntaxError, ValueError):
        return None


@lru_cache(maxsize=4096)
def is_library(filename: str) -> bool:
    """Whether a file is not the app's own: of the standard library, installed, of the tracker, or no file at all."""
    path = os.path.realpath(filename)
    return (
        filename.startswith("<") or path.startswith(_PLACES) or any(part in path.split(os.sep) for part in _INSTALLED)
    )
