"""Which id stands for which address, checked row by row. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any
from uuid import UUID

from tracker.names import clean_name
from tracker.pseudonyms import pseudonym

MAX_ROWS = 500_000
"""How many rows of a source are taken: about 150 MB of names."""


@dataclass(frozen=True)
class Aliases:
    """`addresses` leads from each id to the name of the person behind it, at one step.

    With a `key`, people are recorded by their pseudonyms under it (see tracker.pseudonyms): those of all ids and
    addresses that are known lead to the person as well.

    `problems` has a sentence, with the cure, for each kind of row that could not be used.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rows: Iterable[Any], most: int = MAX_ROWS, *, key: bytes | None = None) -> Aliases:
        """The aliases that these (id, address) pairs tell; with a `key`, also addresses alone.

        A row without an address is passed over: nobody has to have one. Text, whole numbers and UUIDs are ids; names
        are cleaned as the tracker cleans them. An id that stands for two addresses, and ids that lead round in a
        circle, stand for nobody: a guess could show one person's errors as another's.
        """
        given: dict[str, str] = {}
        torn: set[str] = set()
        bad, rows = 0, iter(rows)
        for row in islice(rows, most):
            pair = row if isinstance(row, tuple | list) and len(row) == 2 else (None, None)
            if key is not None and isinstance(row, tuple | list) and len(row) == 1:
                pair = (row[0], row[0])
            if pair[0] is not None and (pair[1] is None or pair[1] == ""):
                continue
            name, address = clean_name(_text(pair[0])), clean_name(pair[1])
            if name is None or address is None:
                bad += 1
            elif given.setdefault(name, address) != address:
                torn.add(name)
        for name, address in list(given.items()):
            if (plain := _as_uuid(name)) is not None and given.setdefault(plain, address) != address:
                torn.add(plain)
        found = {name: address for name, address in given.items() if name not in torn and name != address}
        ends = {name: _end(name, found) for name in found}
        circles = sum(end is None for end in ends.values())
        problems = []
        if torn:
            problems.append(
                f"{_ids(len(torn), 'stands', 'stand')} for two addresses and is shown as it is: keep one row"
            )
        if bad:
            what = "1 row is" if bad == 1 else f"{bad:,} rows are"
            problems.append(f"{what} no id and address, each a text of 1 to 320 characters: correct or remove them")
        if circles:
            problems.append(f"{_ids(circles, 'leads', 'lead')} round in a circle: let each lead to an address")
        if next(rows, None) is not None:
            problems.append(f"only the first {most:,} rows are read: leave out people who do not use the app")
        if found and not any("@" in address for address in found.values()):
            problems.append("none of the addresses has an @: the id comes first, then the address")
        people = {name: end for name, end in ends.items() if end is not None}
        if key is not None:
            known = {name for name in (*given, *given.values()) if name not in torn and ends.get(name, "") is not None}
            people |= {pseudonym(key, name): people.get(name, name) for name in known}
        return cls(people, tuple(problems), key)

    def person(self, name: str) -> str:
        """The name of the person who was recorded as `name`; the same where nothing else is known."""
        return self.addresses.get(name, name)

    def recorded(self, name: str) -> list[str]:
        """The names by which a person of this id or address may have been recorded."""
        return [name] if self.key is None else [name, pseudonym(self.key, name)]

    def names_of(self, name: str) -> list[str]:
        """Every name of the person of this id or address: the address first, then the ids and pseudonyms."""
        address = self.person(name)
        known = [address, *(each for each, whose in self.addresses.items() if whose == address)]
        return known if self.key is None else list(dict.fromkeys((*known, pseudonym(self.key, name))))

    def of_lower(self, name: str) -> str | None:
        """The person of an id that was stored in lower case once; None where none or several ids fit."""
        return self._lower.get(name)

    @cached_property
    def _lower(self) -> dict[str, str]:
        found: dict[str, str | None] = {}
        for name, address in self.addresses.items():
            lower = name.lower()
            found[lower] = address if found.get(lower, address) == address else None
        return {name: address for name, address in found.items() if address is not None}


NO_ALIASES = Aliases()


def _text(value: Any) -> Any:
    """An id as the text that an app would give the tracker; databases hold numbers and UUIDs too."""
    return str(value) if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)) else value


def _ids(count: int, one: str, many: str) -> str:
    return f"1 id {one}" if count == 1 else f"{count:,} ids {many}"


def _end(name: str, found: Mapping[str, str]) -> str | None:
    """Where the way from this id ends: an address may have become another one. None for a circle."""
    seen = {name}
    while (name := found.get(name, "")) in found:
        if name in seen:
            return None
        seen.add(name)
    return name


def _as_uuid(name: str) -> str | None:
    """A UUID as the tracker writes it, with dashes and in small letters; None for what is none, or written so.

    Databases without a type for them keep 32 letters, others give capitals (SQLAlchemy, "Uuid"; RFC 9562, 4).
    """
    if len(name) not in (32, 36, 38):
        return None
    try:
        text = str(UUID(name))
    except ValueError:
        return None
    return text if text != name else None
