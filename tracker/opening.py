"""Opens the store of a recorder, with the release and the instance that its events come from."""

from __future__ import annotations

import weakref

from tracker.sink import Sink, opener
from tracker.source import Source, cleaned
from tracker.version import version_of


class Opening:
    """Opens the store of an address, in the thread that writes. Before the first time it looks for the release of the
    app that was noted, where `source` has none. Raises ValueError for an address that cannot be."""

    def __init__(self, database: str, pseudonymous: bool, source: Source) -> None:
        self._database, self._pseudonymous, self._source = database, pseudonymous, source
        self._open = opener(database, pseudonymous=pseudonymous, made_by=source)
        self._app: weakref.ref[object] | None = None
        self._opened = False

    def note(self, app: object) -> None:
        """This is the app; the first counts."""
        if self._app is None and not self._opened and not self._source.release:
            try:
                self._app = weakref.ref(app)
            except TypeError:  # an object that cannot be referred to so
                return

    def __call__(self) -> Sink:
        """See tracker.sink.Opener."""
        app = None if self._app is None or self._opened else self._app()
        self._opened = True  # what Firestore still waits for belongs to what was opened first
        if app is not None and (release := cleaned(version_of(app))):
            source = self._source._replace(release=release)
            self._open = opener(self._database, pseudonymous=self._pseudonymous, made_by=source)
        return self._open()
