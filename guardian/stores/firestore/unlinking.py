"""Taking the names of people away: out of their own documents, and out of the lists that repeat these
(guardian.stores.firestore.name_lists), in one commit."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from guardian.core.storage import StorageError
from guardian.core.unlinked import first_name, further_name, is_unlinked, unlinked_name
from guardian.stores.firestore import name_lists
from guardian.stores.firestore.documents import COMMIT_BYTES, Change, Documents, Found, in_pieces
from guardian.stores.firestore.name_lists import Index, NameList
from tracker.firestore.expiry import META
from tracker.firestore.people import PEOPLE

_PEOPLE = 100
"""So many people are given new names in one commit."""
_TRIES = 20


def unlink(documents: Documents, people: Sequence[Sequence[Found]]) -> None:
    """Give each person (a list of documents) an unlinkable name, in all documents and lists at once."""
    for some in in_pieces(people, _PEOPLE):
        new, several, changes = dict[int, str](), dict[int, str](), list[Change]()
        for found in some:
            names = erased_names(found)
            for each, name in zip(found, names, strict=True):
                changes.append(Change(PEOPLE, each.name, None))
                changes.append(Change(PEOPLE, name, {**each.fields, "name": name}))
                new[int(each.fields["id"])] = name
            if len(found) > 1:
                several |= {int(each.fields["id"]): names[0] for each in found}
        _rename(documents, new, several, changes)


def remove(documents: Documents, found: Sequence[Found]) -> None:
    """Delete these documents of people: their ids lead nowhere from now on."""
    for some in in_pieces(found, 2 * _PEOPLE):
        gone: dict[int, str | None] = {int(each.fields["id"]): None for each in some}
        _rename(documents, gone, {}, [Change(PEOPLE, each.name, None) for each in some])


def doubt(documents: Documents) -> None:
    """Have nobody believe the lists, or the note on who of the erased people had several ids, any more: documents of
    people were written without them."""
    documents.commit([Change(META, name_lists.ERASED, {"epoch": secrets.token_hex(8)})])


def _rename(
    documents: Documents,
    new: Mapping[int, str] | Mapping[int, str | None],
    several: Mapping[int, str],
    changes: Sequence[Change],
) -> None:
    """Commit these changes of documents with all that follow: the lists in which these ids have new names, or are
    no more where that is None, and those who had `several` ids."""
    for _ in range(_TRIES):
        index = name_lists.read_index(documents)
        lists, strays = name_lists.read_all(documents, index)
        made, gone = _rewritten(lists, new)
        tokens = {place: each.token for place, each in {**lists, **made}.items() if place not in gone}
        there = tuple(tokens.get(place, 0) for place in range(len(index.tokens)))
        after = Index(secrets.token_hex(8), there, {**groups_of(documents, index), **several}, index.version)
        written = [each.change(place) for place, each in made.items()]
        removed = [Change(name_lists.NAMES, name, None) for name in (*strays, *map(name_lists.name_of, gone))]
        if documents.commit([*changes, *written, *removed, after.change()]):
            return
    raise StorageError(
        f"somebody was not erased from {documents.address}, where others are erased all the time: try again"
    )


def groups_of(documents: Documents, index: Index) -> dict[int, str]:
    """The new name of each id of the erased people who had several, without the number behind it."""
    if index.groups is not None:
        return dict(index.groups)
    stems = {number: first_name(name) for number, name in renamed_documents(documents).items()}
    ids = Counter(stems.values())
    return {number: stem for number, stem in stems.items() if ids[stem] > 1 and is_unlinked(stem)}


def renamed_documents(documents: Documents) -> dict[int, str]:
    """The unlinkable names of all who have such a one, by id. Reads a document for each."""
    found = documents.query(PEOPLE, ("name", ">=", "erased-"), ("name", "<", "erased."))
    return {int(each.fields["id"]): str(each.fields["name"]) for each in found}


def erased_names(found: Sequence[Found]) -> list[str]:
    """A new name for each document of a person who is erased."""
    stem = unlinked_name(secrets.token_hex(8))
    return [further_name(stem, place) for place in range(len(found))]


def _rewritten(
    lists: Mapping[int, NameList], new: Mapping[int, str] | Mapping[int, str | None]
) -> tuple[dict[int, NameList], list[int]]:
    """The lists that change with these names, and the places of those that are to be deleted since too many do."""
    made, gone, size = dict[int, NameList](), list[int](), 0
    wanted = np.array([*new], np.int64)
    for place, each in lists.items():
        if np.isin(each.ids, wanted).any():
            names = {number: new.get(number, name) for number, name in each.all().items()}
            made[place] = NameList.of(new_token(), {number: name for number, name in names.items() if name is not None})
            size += made[place].size()
            if size > COMMIT_BYTES:
                del made[place]
                gone.append(place)
    return made, gone


def new_token() -> int:
    """A token for a list."""
    return secrets.randbits(62) + 1
