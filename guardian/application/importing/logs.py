"""The lines of log files: plain or compressed, by name, by pattern, or from standard input."""

from __future__ import annotations

import glob
import gzip
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

STDIN = "-"
_GZIP = b"\x1f\x8b"
_BLOCK = 1 << 20
MOST = 1 << 20
"""Bytes of a line that are held; of a longer one only so many are handed on."""


def found(names: Sequence[str]) -> list[str]:
    """The files of names and patterns, each once; "-" stays. Raises ValueError for a name of no file."""
    files: list[str] = []
    for name in names:
        if name == STDIN or os.path.isfile(name):
            files.append(name)
            continue
        fitting = sorted(each for each in glob.glob(os.path.expanduser(name), recursive=True) if os.path.isfile(each))
        if not fitting:
            what = (
                "is a folder: name the files in it, such as" if os.path.isdir(name) else "is not a file; a pattern is"
            )
            raise ValueError(f"{name} {what} '{os.path.join(name if os.path.isdir(name) else '', 'access.log*')}'")
        files += fitting
    return list(dict.fromkeys(files))


class Log:
    """One open log. `size` is its bytes on the disk, None for standard input; `read_bytes` how many were read of it."""

    def __init__(self, file: IO[bytes], size: int | None) -> None:
        self.size = size
        self._file = file
        start = file.peek(2)[:2] if hasattr(file, "peek") else b""
        self._data: IO[bytes] = gzip.GzipFile(fileobj=file, mode="rb") if start == _GZIP else file  # type: ignore[assignment]

    @property
    def read_bytes(self) -> int:
        """How far it was read."""
        return 0 if self.size is None else self._file.tell()

    def blocks(self) -> Iterator[list[bytes]]:
        """Its lines without their ends, many at a time. Raises ValueError where what is compressed is damaged."""
        rest = b""
        while block := self._read():
            lines = (rest + block).split(b"\n")
            rest = lines.pop()[:MOST]
            if lines:
                yield lines
        if rest:
            yield [rest]

    def _read(self) -> bytes:
        try:
            return self._data.read(_BLOCK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise ValueError("the compressed file is damaged or not whole") from error


@contextmanager
def opened(name: str) -> Iterator[Log]:
    """The log of a name. Raises OSError where it cannot be read."""
    if name == STDIN:
        yield Log(sys.stdin.buffer, None)
        return
    with Path(name).open("rb") as file:
        yield Log(file, os.fstat(file.fileno()).st_size)
