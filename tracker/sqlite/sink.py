"""A SQLite file as a sink of the recorder, with errors classified by what to do about them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from tracker.address import why_not_opened
from tracker.event import Event
from tracker.pseudonyms import NoKey, key_path, make_key
from tracker.sink import Beat, Unavailable, Unusable
from tracker.source import Source
from tracker.sqlite.migrations import NewerDatabase
from tracker.sqlite.writer import Writer

LOCK_SECONDS = 0.05
"""How long one attempt waits for another process's lock; a fork of the host waits just as long."""


class SqliteSink:
    """A Sink that is a Writer on a file. Raises Unavailable and Unusable when it is opened."""

    def __init__(self, path: str, *, pseudonymous: bool = False, made_by: Source | None = None) -> None:
        self._path = path
        with self._translated():
            key = _key(path) if pseudonymous else None
            self._writer = Writer(path, timeout=LOCK_SECONDS, key=key, made_by=made_by, rushing=True)

    def write(
        self,
        events: Iterable[Event],
        *,
        heartbeat: Beat | None = None,
        notes: Iterable[tuple[str, str, int]] = (),
        between: Callable[[], bool] | None = None,
    ) -> int:
        """See Sink."""
        with self._translated():
            return self._writer.write(events, heartbeat=heartbeat, notes=notes, between=between)

    def moved(self) -> bool:
        """See Sink."""
        return self._writer.moved()

    def leave(self) -> None:
        """See Sink."""
        with suppress(sqlite3.Error):
            self._writer.leave()

    def close(self) -> None:
        """See Sink."""
        with suppress(sqlite3.Error):
            self._writer.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            # Locked, full, not there yet. Unless it is only locked, it is to be opened anew.
            if _is_busy(error):
                raise Unavailable(str(error), reopen=False) from error
            why = why_not_opened(os.path.abspath(self._path))
            raise Unavailable(f"{error}, since {why}" if why else str(error)) from error
        except (sqlite3.DatabaseError, NewerDatabase) as error:
            if _is_hopeless(error):
                raise Unusable(str(error)) from error
            raise


def _key(path: str) -> bytes:
    """The pseudonym key. Without it nothing is stored, since real names would stay in the file."""
    try:
        return make_key(path)
    except NoKey as error:
        raise Unusable(str(error)) from error
    except OSError as error:
        raise Unavailable(f"the key of the pseudonyms, {key_path(path)}: {error.strerror}") from error


def _is_hopeless(error: Exception) -> bool:
    """Whether the file is not a database, is corrupt, or is of a newer version.

    sqlite3 raises DatabaseError itself, not one of its subclasses, for SQLITE_CORRUPT and SQLITE_NOTADB.
    """
    return isinstance(error, NewerDatabase) or type(error) is sqlite3.DatabaseError


def _is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has the lock that was wanted; a Python error of sqlite3's own has no code."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
