"""From where people came, in Firestore (`tracker.firestore.clients`): read for an export, gone with the person."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from guardian.stores.firestore.documents import Documents, Found, in_pieces
from guardian.stores.firestore.export import Seen
from tracker.firestore.clients import CLIENTS

_IN = 30
"""How many values a condition of Firestore may name."""


def read_clients(documents: Documents, names: Mapping[int, str]) -> list[Seen]:
    """What is known of these people, by the names of their ids."""
    return [
        Seen(
            names[each.fields["person"]],
            int(each.fields["at_us"]),
            each.fields["ip_address"],
            each.fields["user_agent"],
        )
        for each in _of(documents, names)
    ]


def forget_clients(documents: Documents, people: Iterable[int], *, until_us: int = 2**62) -> None:
    """Delete what is known of these people up to this moment."""
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
