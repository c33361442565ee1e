"""The recorders of a process: one a file, for as long as a middleware needs it."""

from __future__ import annotations

import os
import threading
import weakref

from tracker.recorder import Recorder


class Hold:
    """A reference to a file's shared recorder. When the last middleware with one is gone, the recorder ends."""

    __slots__ = ("__weakref__", "recorder")

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        weakref.finalize(self, recorder.abandon).atexit = False


_shared: weakref.WeakValueDictionary[tuple[int, str, bool], Hold] = weakref.WeakValueDictionary()
_sharing = threading.Lock()


def shared_recorder(
    database: str,
    buffer_size: int,
    flush_interval: float | None,
    *,
    pseudonymous: bool = False,
    release: str | None = None,
) -> Hold:
    """The one recorder that this process has for a file, by its absolute path; the first who asks decides on its size
    and its release. A pseudonymous one is separate.

    Frameworks that make a middleware for each route, and a parent app beside a mounted one, share it. Raises ValueError
    for a size or an interval that cannot be.
    """
    with _sharing:
        key = (os.getpid(), _followed(database), pseudonymous)
        hold = _shared.get(key)
        if hold is None:
            recorder = Recorder(
                database,
                buffer_size=buffer_size,
                flush_interval=flush_interval,
                pseudonymous=pseudonymous,
                release=release,
            )
            hold = Hold(recorder)
            _shared[key] = hold
        return hold


def _followed(path: str) -> str:
    """The path with links resolved; the path itself if that may not be asked (see tracker.address)."""
    try:
        return os.path.realpath(path)
    except Exception:
        return path
