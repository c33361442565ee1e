"""Finds the copies that middleware has made of a request's scope, by a mark that copies carry."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, MutableMapping
from types import FrameType
from typing import Any

Scope = MutableMapping[str, Any]

_MOST_FRAMES = 200
_MOST_OBJECTS = 20_000
_NAME = "scope"  # what ASGI apps call it


def copies_of(scope: Scope, key: str, mark: object, error: BaseException | None = None) -> list[dict[str, Any]]:
    """The other dictionaries with `mark` under `key`, as far as they can be found cheaply. While an app is sending,
    they are in the calling frames; after an exception, in the frames of its traceback. If it sends from another task,
    they are among the newest objects.
    """
    found: dict[int, dict[str, Any]] = {}
    frames = _of_error(error) if error is not None else _above()
    for frame in frames:
        if _NAME in frame.f_code.co_varnames or _NAME in frame.f_code.co_freevars or _NAME in frame.f_code.co_cellvars:
            each = frame.f_locals.get(_NAME)
            if type(each) is dict and each is not scope and each.get(key) is mark:
                found[id(each)] = each
    return list(found.values()) or _young(scope, key, mark)


def _above() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(2)
    for _ in range(_MOST_FRAMES):
        if frame is None:
            return
        yield frame
        frame = frame.f_back


def _of_error(error: BaseException) -> Iterator[FrameType]:
    trace = error.__traceback__
    for _ in range(_MOST_FRAMES):
        if trace is None:
            return
        yield trace.tb_frame
        trace = trace.tb_next


def _young(scope: Scope, key: str, mark: object) -> list[dict[str, Any]]:
    """The matches among the objects that the garbage collector has seen at most once."""
    for generation in (0, 1):
        if gc.get_count()[generation] * (gc.get_threshold()[0] if generation else 1) > _MOST_OBJECTS:
            return []
        found = [
            each
            for each in gc.get_objects(generation)
            if type(each) is dict and each is not scope and each.get(key) is mark
        ]
        if found:
            return found
    return []
