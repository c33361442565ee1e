"""Checking a SQLite file, and making a checked copy while it is being written to."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from guardian.core.storage import StorageError
from guardian.stores.sqlite.damage import RESTORE, UNREADABLE, is_damage, unreadable

Progress = Callable[[float], None]
"""Called with the fraction of the work done, 0 to 1."""

_STEPS = 50_000
"""How many SQLite VM steps lie between two looks at the clock: some milliseconds."""


def find_damage(path: Path, *, seconds: float) -> str | None:
    """The result of `PRAGMA quick_check` in one sentence; None if no damage was found. Gives up after `seconds`, with
    what was found by then. Blocks. Raises StorageError if the file cannot be read at all, TimeoutError if time ran out
    and nothing was found.
    """
    deadline = time.monotonic() + seconds
    found: list[str] = []
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=10.0)) as db:
            db.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
            for (line,) in db.execute("PRAGMA quick_check(10)"):
                found.append(str(line))
    except UNREADABLE as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT and not found:
            raise TimeoutError from error
        if not found and isinstance(error, sqlite3.Error) and not is_damage(error):
            raise unreadable(path, error) from error
        found = found or [str(error)]
    if found in (["ok"], []):
        return None
    first = " ".join(found[0].split())
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{path} is damaged ({first}{more}): {RESTORE}"


def copy_checked(path: Path, copy: Path, *, progress: Progress) -> int:
    """Make a compact copy of the database as it is now, readable only by its owner; returns its size in bytes. The copy
    gets its name only when it is complete and checked. Blocks. Raises StorageError where the database cannot be read,
    FileExistsError where the name is taken, other OSErrors where it cannot be written.
    """
    if copy.exists() or copy.is_symlink():
        raise _taken(copy)
    if not copy.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {copy.parent}: make it, or name a file elsewhere")
    handle, name = tempfile.mkstemp(prefix=f".{copy.name}.", dir=copy.parent)  # 0600
    os.close(handle)
    part = Path(name)
    try:
        _vacuum(path, part, progress)
        damage = find_damage(part, seconds=86_400)
        if damage:
            raise StorageError(f"the copy is not sound, and was deleted: {damage}")
        with part.open("rb") as written:
            os.fsync(written.fileno())
        _name(part, copy)
    finally:
        for left in (name, f"{name}-journal", f"{name}-wal", f"{name}-shm"):
            with suppress(FileNotFoundError):
                os.unlink(left)
    return copy.stat().st_size


def _vacuum(path: Path, part: Path, progress: Progress) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)) as db:
            pages, free, size = (
                db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
            )
            whole = max(1, (pages - free) * size)

            def look() -> int:
                progress(min(1.0, part.stat().st_size / whole))
                return 0

            db.set_progress_handler(look, _STEPS)
            db.execute("VACUUM INTO ?", (str(part),))
    except UNREADABLE as error:
        raise unreadable(path, error) from error
    progress(1.0)


def _name(part: Path, copy: Path) -> None:
    """Give the finished file its name, without overwriting a file that has it by now."""
    try:
        os.link(part, copy)
    except FileExistsError:
        raise _taken(copy) from None
    except OSError:  # no hard links on this file system
        os.replace(part, copy)


def _taken(copy: Path) -> FileExistsError:
    return FileExistsError(f"{copy} is there, and is not overwritten: name another file, or move that one away")
