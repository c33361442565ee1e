"""Which id belongs to which address, checked row by row. Pure."""

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
"""The most rows taken from a source: about 150 MB of names."""


@dataclass(frozen=True)
class Aliases:
    """`addresses` maps each id directly to the person's name. With a `key`, people are recorded under pseudonyms made
    with it (see tracker.pseudonyms); then the pseudonyms of all known ids and addresses are mapped too. `problems` has
    a sentence with the cure for each kind of row that could not be used.
    """

    addresses: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    key: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, rows: Iterable[Any], most: int = MAX_ROWS, *, key: bytes | None = None) -> Aliases:
        """The aliases from (id, address) pairs; with a `key`, also from addresses alone. Rows without an address are
        skipped, which is no error. Ids may be text, whole numbers and UUIDs; names are cleaned as in the tracker. An id
        with two addresses, and ids that form a circle, are dropped: a guess could show one person's errors as
        another's.
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
        """The name of the person recorded as `name`; `name` itself if no alias is known."""
        return self.addresses.get(name, name)

    def recorded(self, name: str) -> list[str]:
        """The names by which a person of this id or address may have been recorded."""
        return [name] if self.key is None else [name, pseudonym(self.key, name)]

    def names_of(self, name: str) -> list[str]:
        """Every name of the person with this id or address: the address first, then the ids and pseudonyms."""
        address = self.person(name)
        known = [address, *(each for each, whose in self.addresses.items() if whose == address)]
        return known if self.key is None else list(dict.fromkeys((*known, pseudonym(self.key, name))))

    def of_lower(self, name: str) -> str | None:
        """The person of an id that an old version stored in lower case; None where no id or several match."""
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
    """An id as the text that an app would pass to the tracker; databases also hold numbers and UUIDs."""
    return str(value) if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)) else value


def _ids(count: int, one: str, many: str) -> str:
    return f"1 id {one}" if count == 1 else f"{count:,} ids {many}"


def _end(name: str, found: Mapping[str, str]) -> str | None:
    """The name at the end of the chain from this id, since an address may have been replaced by another. None for a
    circle."""
    seen = {name}
    while (name := found.get(name, "")) in found:
        if name in seen:
            return None
        seen.add(name)
    return name


def _as_uuid(name: str) -> str | None:
    """A UUID in the tracker's form (dashes, lower case); None for other text, and for a UUID already in that form.
    Databases without a UUID type store 32 digits, some return capitals (SQLAlchemy, "Uuid"; RFC 9562, 4).
    """
    if len(name) not in (32, 36, 38):
        return None
    try:
        text = str(UUID(name))
    except ValueError:
        return None
    return text if text != name else None
