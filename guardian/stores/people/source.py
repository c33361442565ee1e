"""The interface of sources of ids and addresses, and their error."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Protocol


class SourceError(Exception):
    """The source cannot be read; the message is one sentence with the cure, without a secret or anybody's name."""


class Source(Protocol):
    """Where (id, address) pairs come from."""

    @property
    def name(self) -> str:
        """Its name for use in sentences."""
        ...

    def read(self) -> Iterable[Any]:
        """Reads all pairs. Raises SourceError, possibly during iteration."""
        ...

    def version(self) -> Hashable:
        """A value that differs once the source has certainly changed; constant where that cannot be told."""
        ...
