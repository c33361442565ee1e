"""Which exception it was, and where the app's code raised it: names that the app's author gave."""

from __future__ import annotations

import os
import sysconfig
from collections import deque
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

MAX_NAME = 200
"""Characters of a class' name: a longer one is cut."""
MAX_FRAMES = 20
_INSTALLED = ("site-packages", "dist-packages")
_ELSEWHERE = ("<", *{sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib")})
_PLACES = tuple(
    {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib")}
    | {os.path.dirname(os.path.realpath(__file__)) + os.sep}
)


class Frame(NamedTuple):
    """One line of a traceback, as it lies in memory: nothing is looked up to make it."""

    file: str
    module: str
    line: int
    function: str


def kind_of(error: BaseException) -> str:
    """The name of an exception's class. A group of one exception only, as task groups raise it, stands for that one."""
    return type(_alone(error)).__name__[:MAX_NAME]


def frames_of(error: BaseException) -> tuple[Frame, ...]:
    """Where an exception was raised, the innermost frame last: those that may be the app's own, 20 at most, and the
    innermost of all. Quick, for the host's event loop, and small, for the buffer: see `location_of`."""
    own: deque[Frame] = deque(maxlen=MAX_FRAMES + 1)
    trace = _alone(error).__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename
        if trace.tb_next is None or not (file.startswith(_ELSEWHERE) or any(part in file for part in _INSTALLED)):
            module = trace.tb_frame.f_globals.get("__name__")
            own.append(Frame(file, module if type(module) is str else "", trace.tb_lineno, code.co_name))
        trace = trace.tb_next
    return tuple(own)


def location_of(frames: Sequence[Frame]) -> str:
    """A line `file:line function` a frame, the innermost last: those of the app's own code, 20 at most; the innermost
    of all where the app has none. A file is named by its module, `app/chat.py`, wherever it lies. Asks the file system
    what lies where, so it is for the writer thread.
    """
    own = [frame for frame in frames if not is_library(frame.file)][-MAX_FRAMES:]
    return "\n".join(_line(frame) for frame in own or frames[-1:])


def _alone(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _line(frame: Frame) -> str:
    path = frame.file.replace(os.sep, "/")
    stem = frame.module.replace(".", "/")
    names = (name for name in (f"{stem}.py", f"{stem}/__init__.py") if path.endswith("/" + name))
    return f"{next(names, path.rpartition('/')[2])}:{frame.line} {frame.function}"


@lru_cache(maxsize=4096)
def is_library(filename: str) -> bool:
    """Whether a file is not the app's own: of the standard library, installed, of the tracker, or no file at all."""
    path = os.path.realpath(filename)
    return (
        filename.startswith("<") or path.startswith(_PLACES) or any(part in path.split(os.sep) for part in _INSTALLED)
    )
