"""Addresses and user agents of sessions in Firestore (`tracker.firestore.clients`): reading them for an export, and
deleting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from guardian.stores.firestore.documents import Documents, Found, in_pieces
from guardian.stores.firestore.export import Seen
from tracker.firestore.clients import CLIENTS

_IN = 30
"""How many values a Firestore condition may list."""


def read_clients(documents: Documents, names: Mapping[int, str]) -> list[Seen]:
    """What is stored about these people, under the names of their ids."""
    return [_seen(each.fields, names[each.fields["person"]]) for each in _of(documents, names)]


def read_clients_between(
    documents: Documents, start_us: int, end_us: int, names: Callable[[Iterable[int]], Mapping[int, str]]
) -> list[Seen]:
    """What is stored about everybody for [start, end); `names` gives the names of ids."""
    found = [each.fields for each in documents.query(CLIENTS, ("at_us", ">=", start_us), ("at_us", "<", end_us))]
    known = names(fields["person"] for fields in found)
    return [_seen(fields, known[fields["person"]]) for fields in found]


def forget_clients(documents: Documents, people: Iterable[int], *, until_us: int = 2**62) -> None:
    """Delete what is stored about these people up to this moment."""
    found = _of(documents, people)
    documents.delete(CLIENTS, [each.name for each in found if each.fields["at_us"] <= until_us])


def purge_clients(documents: Documents, before_us: int) -> None:
    """Delete what is older."""
    found = documents.query(CLIENTS, ("at_us", "<", before_us), fields=("at_us",))
    documents.delete(CLIENTS, [each.name for each in found])


def _of(documents: Documents, people: Iterable[int]) -> list[Found]:
    return [
        each
        for some in in_pieces(sorted(people), _IN)
        for each in documents.query(CLIENTS, ("person", "in", list(some)))
    ]


def _seen(fields: Mapping[str, Any], name: str) -> Seen:
    return Seen(name, int(fields["at_us"]), fields["ip_address"], fields["user_agent"])
