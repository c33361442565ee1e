"""`AliasBook`: the aliases as they were last read, and when they are read again."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress

from guardian.core.report.model import NoteRow
from guardian.core.storage import StorageError
from guardian.stores.people.aliases import NO_ALIASES, Aliases
from guardian.stores.people.source import Source, SourceError
from tracker.pseudonyms import NoKey

log = logging.getLogger("guardian.people")

FRESH_SECONDS = 300
"""How long until the source is read again; a changed file is read at once."""
RETRY_SECONDS = 60
"""How long until it is read again after a failure."""
WAIT_SECONDS = 10.0
"""The longest that a report or a minute of alerting waits for a source; a later result counts for the next one."""


class AliasBook:
    """Hands out aliases and never raises: if the source fails, the last good ones stay. `trouble` is one sentence on
    why they are old or missing, None while all is well. Thread-safe. The source is read in its own thread, never twice
    at a time, and `current` holds no lock meanwhile.
    """

    def __init__(
        self,
        source: Source | None = None,
        *,
        key: Callable[[], bytes | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wait: float = WAIT_SECONDS,
    ) -> None:
        self._source = source
        self._key = key
        self._clock = clock
        self._wait = wait
        self._lock = threading.Lock()
        self._aliases: Aliases | None = None
        self._asked: float | None = None
        self._version: Hashable = None
        self._reading: threading.Thread | None = None
        self.trouble: str | None = None

    @property
    def name(self) -> str | None:
        """The source's name for sentences; None where there is no source."""
        return self._source.name if self._source else None

    def current(self) -> Aliases:
        """The current aliases; empty if nothing was ever read. May block for `wait` seconds, so call it in a thread and
        outside transactions.
        """
        if self._source is None:
            return self._without_source()
        with self._lock:
            started = self._is_due(self._source) and self._start(self._source)
            reading, known = self._reading, self._aliases is not None
        if reading is not None and (started or not known):
            reading.join(self._wait)
            late = f"{self._source.name} has not answered within {self._wait:g} s: look why it is slow"
            self._failed(late, still=reading)
        return self._aliases or NO_ALIASES

    def _without_source(self) -> Aliases:
        """With a pseudonym key, a person asked for by address is found even without a source."""
        with suppress(OSError, NoKey, StorageError):  # reported where names are read
            key = self._key()
            return NO_ALIASES if key is None else Aliases(key=key)
        return NO_ALIASES

    def _is_due(self, source: Source) -> bool:
        if self._reading is not None:
            return False
        if self._asked is None or source.version() != self._version:
            return True
        return self._clock() - self._asked >= (RETRY_SECONDS if self.trouble else FRESH_SECONDS)

    def _start(self, source: Source) -> bool:
        self._asked, self._version = self._clock(), source.version()
        self._reading = threading.Thread(target=self._read, args=(source,), name="guardian-alias", daemon=True)
        self._reading.start()
        return True

    def _read(self, source: Source) -> None:
        try:
            found, trouble = Aliases.of(source.read(), key=self._key()), None
        except (SourceError, NoKey, StorageError) as error:
            found, trouble = None, str(error)
        except Exception as error:  # whatever a driver raises, reports must go out
            found, trouble = None, f"{source.name} cannot be read ({type(error).__name__}): look at it"
        with self._lock:
            self._reading = None
            if found is not None:
                if self.trouble:
                    log.info("The names of people are read from %s again", source.name)
                self._aliases, self.trouble = found, None
        if trouble:
            self._failed(trouble)

    def _failed(self, trouble: str, *, still: threading.Thread | None = None) -> None:
        """Record and log the trouble; with `still`, only if that reading is still running."""
        with self._lock:
            if still is not None and self._reading is not still:
                return
            said, self.trouble = self.trouble == trouble, trouble
            kept = "the last names stay" if self._aliases else "ids are shown in their place"
        if not said:
            log.warning("The names of people cannot be read, so %s: %s", kept, trouble)


NO_BOOK = AliasBook()


def alias_note(book: AliasBook) -> NoteRow | None:
    """The entry for a report's `notes` if people's names could not be read; None while all is well."""
    if not book.trouble:
        return None
    what, _, cure = book.trouble.rpartition(": ")
    return NoteRow("alias", 1, None, f"ids may stand in place of names, since {what}", cure)
