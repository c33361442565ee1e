"""Errors of a damaged SQLite file, in one sentence with the cure."""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from guardian.core.storage import StorageError

UNREADABLE = (sqlite3.Error, zlib.error, ValueError, LookupError, TypeError, ArithmeticError)
"""What reading a row can raise: SQLite's errors, and what happens with values that Guardian cannot have written."""

RESTORE = "stop the app and Guardian, and restore a backup (docs/operations.md)"
CURE = f"see 'guardian check', {RESTORE}"


def unreadable(path: str | os.PathLike[str], error: Exception) -> StorageError:
    """The error to raise for one of UNREADABLE. It tells nothing about an unreadable row, which may contain a name."""
    if not isinstance(error, sqlite3.Error):
        kind = type(error).__name__
        return StorageError(f"the database {os.fspath(path)} does not answer: a row is damaged ({kind}); {CURE}")
    cure = f"; {CURE}" if is_damage(error) else ""
    return StorageError(f"the database {os.fspath(path)} does not answer: {said(error)}{cure}")


@contextmanager
def readable(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the errors of a damaged row into StorageError."""
    try:
        yield
    except UNREADABLE as error:
        raise unreadable(path, error) from error


def said(error: sqlite3.Error) -> str:
    """SQLite's message on one line; for a damaged schema it quotes bytes of the file."""
    return " ".join("".join(each if each.isprintable() else " " for each in str(error)).split())


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the error means a damaged database, rather than a lock, a disk problem or missing permissions."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_CORRUPT or "decode to UTF-8" in str(error)
