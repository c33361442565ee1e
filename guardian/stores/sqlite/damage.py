"""What SQLite and its rows say when a file is damaged, as one sentence with the cure."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from guardian.core.storage import StorageError

UNREADABLE = (sqlite3.Error, zlib.error, ValueError, LookupError, TypeError, ArithmeticError)
"""What reading a row can raise: SQLite itself, and whatever a value meets that nobody can have written."""

RESTORE = "stop the app and Guardian, and restore a backup (docs/operations.md)"
CURE = f"see 'guardian check', {RESTORE}"


def unreadable(path: str | os.PathLike[str], error: Exception) -> StorageError:
    """The error to raise in place of one of UNREADABLE. Of a row nothing is told but that it cannot be read: it may
    hold a name."""
    if not isinstance(error, sqlite3.Error):
        kind = type(error).__name__
        return StorageError(f"the database {os.fspath(path)} does not answer: a row is damaged ({kind}); {CURE}")
    cure = f"; {CURE}" if is_damage(error) else ""
    return StorageError(f"the database {os.fspath(path)} does not answer: {said(error)}{cure}")


@contextmanager
def readable(path: str | os.PathLike[str]) -> Iterator[None]:
    """Raises StorageError in place of what a damaged row meets inside."""
    try:
        yield
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def said(error: sqlite3.Error) -> str:
    """What SQLite says, on one line: of a damaged schema it quotes the text, as it stands in the file."""
    return " ".join("".join(each if each.isprintable() else " " for each in str(error)).split())


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file was a database and is damaged, rather than a lock, the disk or a right at fault."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_CORRUPT or "decode to UTF-8" in str(error)
