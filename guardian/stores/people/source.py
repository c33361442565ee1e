"""What every source of ids and addresses can do, and how it fails."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any, Protocol


class SourceError(Exception):
    """The source cannot be read; the message is one sentence with the cure, without a secret or anybody's name."""


class Source(Protocol):
    """Where (id, address) pairs come from."""

    @property
    def name(self) -> str:
        """How it is called in sentences."""
        ...

    def read(self) -> Iterable[Any]:
        """All pairs, anew. Raises SourceError, also while they are iterated."""
        ...

    def version(self) -> Hashable:
        """Something that is another when the source has surely changed; always the same where nothing tells."""
        ...
