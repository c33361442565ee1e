"""What an address of Firestore means: `firestore://PROJECT`, or `firestore://PROJECT/DATABASE`."""

from __future__ import annotations

import re
from typing import NamedTuple

SCHEME = "firestore://"
DEFAULT = "(default)"
"""The database that a project has first."""
_PART = re.compile(r"[A-Za-z0-9(][A-Za-z0-9_.:()-]*")


class Address(NamedTuple):
    """A database of a project on Google Cloud."""

    project: str
    database: str = DEFAULT

    def __str__(self) -> str:
        return f"{SCHEME}{self.project}" + ("" if self.database == DEFAULT else f"/{self.database}")


def is_firestore(database: str) -> bool:
    """Whether the address is one of Firestore."""
    return database.startswith(SCHEME)


def parse(database: str) -> Address:
    """The parts of an address. Raises ValueError, with the cure, for what is none."""
    project, _, name = database.removeprefix(SCHEME).rstrip("/").partition("/")
    if not is_firestore(database) or not all(_PART.fullmatch(part) for part in (project, name or DEFAULT)):
        raise ValueError(
            "database is no address of Firestore: write firestore://PROJECT, or firestore://PROJECT/DATABASE"
        )
    return Address(project, name or DEFAULT)
