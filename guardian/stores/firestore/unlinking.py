"""Taking the names of people away: out of their own documents, and out of the lists that repeat these
(guardian.stores.firestore.name_lists), in one commit."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from guardian.core.storage import StorageError
from guardian.core.unlinked import AMONG, first_name, further_name, is_unlinked, unlinked_name
from guardian.stores.firestore import name_lists
from guardian.stores.firestore.documents import COMMIT_BYTES, Change, Documents, Found, in_pieces
from guardian.stores.firestore.name_lists import Index, NameList
from tracker.firestore.expiry import META
from tracker.firestore.people import PEOPLE

_PEOPLE = 100
"""So many people are given new names in one commit."""
_TRIES = 20


class _Renamed(NamedTuple):
    """The changes of people's documents, the new names of their ids (None: the id leads nowhere), and the new names of
    the ids of those who had several."""

    changes: list[Change]
    names: dict[int, str | None]
    several: dict[int, str]


def unlink(documents: Documents, people: Sequence[Sequence[Found]]) -> None:
    """Give each person (a list of documents) an unlinkable name, in all documents and lists at once. Who was erased
    since these were read, or came back, stays as they are now."""
    for some in in_pieces(people, _PEOPLE):
        _rename(documents, some, _unlinked)


def remove(documents: Documents, found: Sequence[Found]) -> None:
    """Delete these documents of people, as far as they are there as they were read: their ids lead nowhere from now
    on."""
    for some in in_pieces(found, 2 * _PEOPLE):
        _rename(documents, [[each] for each in some], _removed)


def doubted() -> Change:
    """The change after which nobody believes any list, nor who of the erased people had several ids; for who writes
    documents of erased people from outside."""
    return Change(META, name_lists.ERASED, {"epoch": secrets.token_hex(8)})


def tidy(documents: Documents) -> None:
    """Delete the lists that nobody believes: they may say whom an earlier version of this program has erased."""
    index = name_lists.read_index(documents)
    believed = {name_lists.name_of(place) for place, token in enumerate(index.tokens) if token}
    there = documents.names(name_lists.NAMES, name_lists.name_of(0), "~")
    if strays := [Change(name_lists.NAMES, name, None) for name in there if name not in believed]:
        documents.commit([*strays, index.change()])  # where somebody has written a list meanwhile, the next one does it


def _unlinked(people: Sequence[Sequence[Found]]) -> _Renamed:
    changes, new, several = list[Change](), dict[int, str | None](), dict[int, str]()
    for found in people:
        names = erased_names(found)
        for each, name in zip(found, names, strict=True):
            changes.append(Change(PEOPLE, each.name, None))
            changes.append(Change(PEOPLE, name, {**each.fields, "name": name}))
            new[int(each.fields["id"])] = name
        if len(found) > 1:
            several |= {int(each.fields["id"]): names[0] for each in found}
    return _Renamed(changes, new, several)


def _removed(people: Sequence[Sequence[Found]]) -> _Renamed:
    gone = [each for found in people for each in found]
    changes = [Change(PEOPLE, each.name, None) for each in gone]
    return _Renamed(changes, {int(each.fields["id"]): None for each in gone}, {})


def _still_there(documents: Documents, people: Sequence[Sequence[Found]]) -> list[list[Found]]:
    """The documents of each person that have the same id as when they were read, without people of whom none has."""
    now = {each.name: each for each in documents.get_all(PEOPLE, [each.name for found in people for each in found])}
    same = [
        [now[each.name] for each in found if each.name in now and now[each.name].fields["id"] == each.fields["id"]]
        for found in people
    ]
    return [found for found in same if found]


def _rename(
    documents: Documents,
    people: Sequence[Sequence[Found]],
    renamed: Callable[[Sequence[Sequence[Found]]], _Renamed],
) -> None:
    """Commit what `renamed` says of the people who are still there, with all that follows for the lists and those who
    had several ids."""
    for _ in range(_TRIES):
        # Whoever erases changes the index: so what is read after it is still so when the commit succeeds.
        index = name_lists.read_index(documents)
        if not (left := _still_there(documents, people)):
            return
        changes, new, several = renamed(left)
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
    return {number: stem for number, stem in stems.items() if ids[stem] > 1}


def renamed_documents(documents: Documents) -> dict[int, str]:
    """The unlinkable names of all who have such a one, by id. Reads a document for each."""
    found = documents.query(PEOPLE, ("name", ">=", AMONG[0]), ("name", "<", AMONG[1]))
    return {int(each.fields["id"]): name for each in found if is_unlinked(name := str(each.fields["name"]))}


def erased_names(found: Sequence[Found]) -> list[str]:
    """A new name for each document of a person who is erased."""
    stem = unlinked_name(secrets.token_hex(8))
    return [further_name(stem, place) for place in range(len(found))]


def _rewritten(lists: Mapping[int, NameList], new: Mapping[int, str | None]) -> tuple[dict[int, NameList], list[int]]:
    """The lists that change with these names, and the places of those that are to be deleted since too many do."""
    made, gone, size = dict[int, NameList](), list[int](), 0
    wanted = np.array([*new], np.int64)
    for place, each in lists.items():
        if np.isin(each.ids, wanted).any():
            names = {number: new.get(number, name) for number, name in each.all().items()}
            after = NameList.of(new_token(), {number: name for number, name in names.items() if name is not None})
            if size + after.sent() > COMMIT_BYTES:
                gone.append(place)
                continue
            made[place] = after
            size += after.sent()
    return made, gone


def new_token() -> int:
    """A token for a list."""
    return secrets.randbits(62) + 1
