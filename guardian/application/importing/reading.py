"""Reads a log: from its lines to requests with marks. A large file is read by a process of its own, since reading is
half of the work of an import.

That process gets what to do on its standard input, and writes what it has read to its standard output. It ends with the
import, also where that is killed: then nobody reads what it writes. Where it ends before it is done, the rest is read
here, and what is wrong with the file is said here.
"""

from __future__ import annotations

import gc
import marshal
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Generator, Sequence
from datetime import tzinfo
from itertools import islice
from typing import IO, NamedTuple

from guardian.application.importing.logs import STDIN, opened
from guardian.application.importing.marks import marks_of
from guardian.core.access_log.columns import Refused, Requests
from guardian.core.access_log.formats import detect, reader

LARGE = 8 << 20
"""Files of at least so many bytes are read by a process of their own, which takes 0.1 s to start."""
_PROBE = 200
"""How many lines are examined to detect the format."""
_FUTURE = "the time lies in the future: is it in the right time zone?"
_LENGTH = struct.Struct("<Q")
_AT_WORK = (
    "import pickle, sys; sys.path[:] = pickle.load(sys.stdin.buffer); "
    "from guardian.application.importing.reading import work; work()"
)


class How(NamedTuple):
    """How a log is read: its format, None to tell it from the first lines; the zone of times that name none; the
    moment from which on times are refused, in Unix microseconds; and the key of the marks."""

    format: str | None
    zone: tzinfo
    now_us: int
    key: bytes


class Read(NamedTuple):
    """What some lines of a log are.

    `format` is that of the log; `lines` is how many were not blank; `requests` have marks in the place of their lines;
    `refused` are the numbers of bad lines in the log, from 1 on and in order, and why; `read_bytes` is how far the file
    was read.
    """

    format: str
    lines: int
    requests: Requests
    refused: Refused
    read_bytes: int


def read(name: str, how: How) -> Generator[Read, None, None]:
    """The lines of a log, many at a time. Close it. Raises ValueError for a file of no known format or a damaged one,
    OSError for one that cannot be read."""
    large = name != STDIN and os.path.getsize(name) >= LARGE and (os.cpu_count() or 1) > 1
    return _read_aside(name, how) if large and sys.executable else _read_here(name, how)


def _read_here(name: str, how: How) -> Generator[Read, None, None]:
    format, number = how.format, 0
    with opened(name) as log:
        read_lines = None
        for lines in log.blocks():
            if read_lines is None:
                format = format or _detected(name, lines, how.zone)
                read_lines = reader(format, how.zone)
            numbers: Sequence[int] = range(number + 1, number + 1 + len(lines))
            number += len(lines)
            lines = [line[:-1] if line[-1:] == b"\r" else line for line in lines]
            if not all(lines) or any(line.isspace() for line in lines):
                numbers = [place for place, line in zip(numbers, lines, strict=True) if line and not line.isspace()]
                lines = [line for line in lines if line and not line.isspace()]
            requests, refused = read_lines(lines)
            requests, bad = _without_future(requests, refused, numbers, how.now_us)
            requests = requests._replace(line=marks_of(how.key, requests.line))
            yield Read(format or "", len(lines), requests, bad, log.read_bytes)


def _without_future(
    requests: Requests, refused: Refused, numbers: Sequence[int], now_us: int
) -> tuple[Requests, Refused]:
    """The requests that ended by now, and all refused lines by their numbers."""
    bad = [(numbers[place], why) for place, why in refused]
    if max(requests.at_us, default=0) > now_us:
        gone = {place for place, _ in refused}
        there = [number for place, number in enumerate(numbers) if place not in gone]
        bad += [(number, _FUTURE) for number, at in zip(there, requests.at_us, strict=True) if at > now_us]
        requests = requests.only([at <= now_us for at in requests.at_us])
    return requests, sorted(bad)


def _detected(name: str, lines: Sequence[bytes], zone: tzinfo) -> str:
    probe = list(islice((line.rstrip(b"\r") for line in lines if line.strip()), _PROBE))
    found = detect(probe, zone)
    if found is None and probe:
        raise ValueError(f"{name} has no known format in its first lines: name it with --format")
    return found or "combined"


def _read_aside(name: str, how: How) -> Generator[Read, None, None]:
    """The same by a process of its own."""
    done, complete = 0, False
    try:
        task = pickle.dumps(sys.path) + pickle.dumps((name, how))
        # Isolated, so that a file of the current folder is not taken for a module; an interrupt is for us alone.
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", _AT_WORK],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    except (OSError, pickle.PicklingError, TypeError):
        yield from _read_here(name, how)
        return
    try:
        assert child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(task)
            child.stdin.close()
        except BrokenPipeError:
            pass  # it could not start
        while (found := _received(child.stdout)) is not None:
            done += 1
            yield found
        complete = child.wait() == 0
    finally:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                pipe.close()
    if not complete:
        yield from islice(_read_here(name, how), done, None)


def work() -> None:
    """What the process of its own does."""
    gc.disable()
    name, how = pickle.load(sys.stdin.buffer)
    for format, lines, requests, refused, read_bytes in _read_here(name, how):
        body = marshal.dumps((format, lines, [*requests], refused, read_bytes))
        sys.stdout.buffer.write(_LENGTH.pack(len(body)) + body)
        sys.stdout.buffer.flush()


def _received(pipe: IO[bytes]) -> Read | None:
    """The next that was read; None where nothing more comes."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = pipe.read(length)
    if len(body) < length:
        return None
    format, lines, columns, refused, read_bytes = marshal.loads(body)
    return Read(format, lines, Requests._make(columns), refused, read_bytes)
