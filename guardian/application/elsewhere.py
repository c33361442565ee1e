"""Finds out whether the app records into another file than Guardian reads, by looking at nearby files without writing
any."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from threading import Lock

from guardian.stores.opening import backend

ALIVE = timedelta(minutes=10)
"""An app with a heartbeat within this time counts as running; heartbeats come at least every 30 seconds."""
MOST_FILES, MOST_ENTRIES, MOST_PROCESSES = 200, 5_000, 2_000
"""The most databases, folder entries and processes examined, to keep this cheap."""

LOOKED_FOR = timedelta(minutes=1)
"""What was found serves whoever asks within this time: a look opens files and visits processes, for up to 50 ms."""


class LookedAround:
    """What `look` finds at a time, looked for once in `LOOKED_FOR`. Safe to use from several threads: who asks while it
    is being looked for waits for the same look."""

    def __init__(self, look: Callable[[datetime], Sequence[Path]]) -> None:
        self._look, self._lock = look, Lock()
        self._known: tuple[datetime, Sequence[Path]] | None = None

    def __call__(self, now: datetime) -> Sequence[Path]:
        """The files that were found less than `LOOKED_FOR` before `now`, or are now. Raises what `look` does."""
        with self._lock:
            # A clock that was set back makes nothing fresh for hours.
            if self._known is None or not timedelta() <= now - self._known[0] < LOOKED_FOR:
                self._known = now, self._look(now)
            return self._known[1]


def records_elsewhere(
    database: Path | str, folders: Iterable[Path], *, now: datetime, proc: Path = Path("/proc")
) -> list[Path]:
    """Other files that an app records into now, the latest sign of life first.

    Looked at are `*.db` in `folders` and beside `database`; where none is found, what processes of the same user hold
    open (on Linux; `proc` is where the kernel lists them). Files are opened for reading only; one that cannot be read
    is left out. None where `database` is no file: nobody records by mistake into a database that many machines share.
    """
    if isinstance(database, str):
        return []
    return _alive(_beside(database, folders), database, now) or _alive(_held_open(proc), database, now)


def _alive(paths: Iterable[Path], database: Path, now: datetime) -> list[Path]:
    """The files that an app records into, except `database` itself."""
    found: dict[Path, int] = {}
    for path in islice(paths, MOST_FILES):
        with suppress(OSError):
            real = path.resolve()
            own = database.exists() and real.samefile(database)
            if real not in found and not own and (seen := backend(real).last_sign(now, ALIVE)):
                found[real] = seen
    return sorted(found, key=lambda path: -found[path])


def _beside(database: Path, folders: Iterable[Path]) -> Iterator[Path]:
    for folder in dict.fromkeys((*folders, database.parent)):
        with suppress(OSError), os.scandir(folder) as entries:
            yield from [Path(each.path) for each in islice(entries, MOST_ENTRIES) if each.name.endswith(".db")]


def _held_open(proc: Path) -> Iterator[Path]:
    """The databases with a write-ahead log that processes of this user have open."""
    with suppress(OSError):
        for process in islice((each for each in proc.iterdir() if each.name.isdecimal()), MOST_PROCESSES):
            for file in _files_of(process):
                if file.startswith("/") and file.endswith("-wal"):
                    yield Path(file.removesuffix("-wal"))


def _files_of(process: Path) -> Iterator[str]:
    """What a process has open, as far as it is this user's and still runs."""
    with suppress(OSError):
        if process.stat().st_uid == os.geteuid():
            for handle in os.listdir(process / "fd"):
                with suppress(OSError):
                    yield os.readlink(process / "fd" / handle)
