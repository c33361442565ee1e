"""Atomic writing of files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

AT_ONCE = 1_048_576
"""So many bytes are handed to the system at a time. Python lets go of the GIL for each. A thread that does so every
0.3 ms, as with the usual 8 kB, and takes it back before another one has woken, keeps an event loop waiting for 80 ms:
the time after which the loop may insist on its turn begins anew each time."""
_UNFINISHED = ".new-"
UNFINISHED = f"{_UNFINISHED}*"
"""The names of files that are being written, or were when their process was killed."""


@contextmanager
def private(path: Path) -> Iterator[TextIO]:
    """As `replacing`, for a file that a user names: only its owner can read it afterwards, whatever its mode was.

    A link is followed to its file; a pipe or a terminal is written to as it is.
    """
    path = Path(os.path.realpath(path))
    if path.exists() and not path.is_file():
        with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        return
    with replacing(path) as file:
        yield file


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """A UTF-8 file to write; it takes the place of `path` when the block ends, and only its owner can read it.

    Where the block raises, or the disk is full, `path` stays as it was and nothing is left beside it. Half of a
    surrogate pair, which UTF-8 cannot hold, is written as an escape. Raises OSError where the folder cannot be written.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)  # with mode 0600
    try:
        with open(handle, "w", buffering=AT_ONCE, encoding="utf-8", errors="backslashreplace") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # otherwise the rename may reach the disk before the content
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
