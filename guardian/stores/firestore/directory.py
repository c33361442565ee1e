"""The names behind the ids of people, and the ids behind a name.

Names are read when something shows them, few from people's own documents and many from lists of thousands
(guardian.stores.firestore.name_lists), and cached. Every erasure changes `guardian_meta/erased` in the same commit
(guardian.stores.firestore.unlinking); that document is read before each answer, and the cache is dropped if it has
changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from guardian.core.unlinked import first_name, is_unlinked, unlinked_name
from guardian.stores.firestore import name_lists, unlinking
from guardian.stores.firestore.documents import Change, Documents, Found, in_pieces
from guardian.stores.firestore.name_lists import Index, NameList
from guardian.stores.people.aliases import Aliases
from tracker.event import ANONYMOUS
from tracker.firestore.people import PEOPLE, SECRETS
from tracker.firestore.slices import NOBODY
from tracker.keyed import tombstone
from tracker.names import clean_name
from tracker.pseudonyms import pseudonym

_IN = 30
"""How many values a Firestore condition may list."""
_MOST_LISTED, _MOST_FIRST = 3_000, 20_000
"""How many names are put into lists at once, each read by itself, and how many where there is no list yet, read by one
query; the rest waits for the next time."""
_TRIES = 20


def person_of(aliases: Aliases, name: str) -> str:
    """The person behind a recorded name."""
    return first_name(name) if is_unlinked(name) else aliases.person(name)


class _Cache:
    """What was read while nobody was erased."""

    def __init__(self, index: Index, lists: Mapping[int, NameList]) -> None:
        self.index = index
        self.names: dict[int, str] = {NOBODY: ANONYMOUS}
        self.lists = dict(lists)
        self.erased: Mapping[int, str] | None = None

    def unread(self) -> list[int]:
        """The places of the lists that were not read, or have grown since."""
        there = enumerate(self.index.tokens)
        return [place for place, token in there if token and self._token(place) != token]

    def _token(self, place: int) -> int:
        return self.lists[place].token if place in self.lists else 0


class Directory:
    """The people of one database."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self._cache = _Cache(Index(), {})
        self._unlisted = set[int]()
        self._key: str | None = None

    def refresh(self) -> object:
        """Drop the cache if somebody was erased since it was filled. Returns a value that changes with each erasure."""
        return self._refreshed().index.epoch

    def _refreshed(self) -> _Cache:
        index, cache = name_lists.read_index(self._documents), self._cache
        if index.epoch != cache.index.epoch:
            same = {place: each for place, each in cache.lists.items() if each.token in index.tokens}
            cache = self._cache = _Cache(index, same)
        cache.index = index
        return cache

    def names(self, ids: Iterable[int]) -> dict[int, str]:
        """The names under which these ids were recorded; an id without a name gets one that leads nowhere."""
        wanted = set(ids)
        known = self._recorded(self._cache, wanted)
        return {number: known.get(number) or unlinked_name(f"{number:016x}") for number in sorted(wanted)}

    def _recorded(self, cache: _Cache, ids: Collection[int]) -> dict[int, str]:
        """The names that these ids have. What is read goes into this cache, and not into one that replaced it
        meanwhile: it may be of before an erasure."""
        missing = [number for number in ids if number not in cache.names]
        if missing:
            cache.names |= self._from_lists(cache, missing)
            missing = [number for number in missing if number not in cache.names]
            read = {int(each.fields["id"]): each.fields["name"] for each in self.documents_with(missing)}
            cache.names |= read
            if len(self._unlisted) < _MOST_LISTED:
                self._unlisted |= read.keys()
        return {number: cache.names[number] for number in ids if number in cache.names}

    def _from_lists(self, cache: _Cache, ids: Sequence[int]) -> dict[int, str]:
        """What lists say of these ids. Lists are read where they are fewer than the ids, since who is in none yet
        costs one more document."""
        wanted = np.array(ids, np.int64)
        found = {number: name for each in list(cache.lists.values()) for number, name in each.among(wanted).items()}
        unread = cache.unread()
        if 0 < len(unread) < len(ids) - len(found):
            new = name_lists.read_lists(self._documents, cache.index, unread)
            cache.lists |= new
            found |= {number: name for each in new.values() for number, name in each.among(wanted).items()}
        return found

    def list_names(self, ids: Iterable[int]) -> None:
        """Put the names of these ids into lists, as far as they are in none. Whoever seals does so with those whom the
        new hours and days have."""
        self._unlisted |= set(ids) - {NOBODY}
        if not self._unlisted:
            return
        for _ in range(_TRIES):
            cache = self._refreshed()
            cache.lists |= name_lists.read_lists(self._documents, cache.index, cache.unread())
            self._unlisted -= {number for each in list(cache.lists.values()) for number in each.ids.tolist()}
            names = {} if cache.index.tokens else self._first(cache)
            self._unlisted |= names.keys()
            some = sorted(self._unlisted - names.keys())[:_MOST_LISTED]
            if self._listed(cache, names | self._recorded(cache, some)):
                self._unlisted -= {*some, *names}
                return

    def _first(self, cache: _Cache) -> dict[int, str]:
        """The names of all people, or of many, from one query."""
        found = self._documents.query(PEOPLE, limit=_MOST_FIRST)
        names = {int(each.fields["id"]): str(each.fields["name"]) for each in found}
        cache.names |= names
        return names

    def _listed(self, cache: _Cache, names: Mapping[int, str]) -> bool:
        """Whether these names are in lists now, and nobody was erased or listed in between."""
        left = list(names.items())
        while left:
            index = cache.index
            place = max(len(index.tokens) - 1, 0)
            last = cache.lists.get(place)
            if not (many := name_lists.fitting(last, left)) or (last is None and index.tokens):
                place, last = len(index.tokens), None
                many = name_lists.fitting(None, left)
            whole = {**({} if last is None else last.all()), **dict(left[:many])}
            made = NameList.of(unlinking.new_token(), whole)
            tokens = (*index.tokens[:place], made.token)
            groups = unlinking.groups_of(self._documents, index)
            strays = [] if index.tokens else self._documents.names(name_lists.NAMES, name_lists.name_of(1), "~")
            written = [index._replace(tokens=tokens, groups=groups).change(), made.change(place)]
            if not self._documents.commit([*written, *(Change(name_lists.NAMES, each, None) for each in strays)]):
                return False
            left = left[many:]
            cache.lists[place] = made
            if left and (self._refreshed() is not cache or cache.index.tokens != tokens):
                return False
        return True

    def erased(self) -> Mapping[int, str]:
        """The ids of erased people who had several, and maybe of others, with the unlinkable names they have now."""
        cache = self._cache
        if cache.erased is None:
            cache.erased = (
                cache.index.groups
                if cache.index.groups is not None
                else dict(unlinking.renamed_documents(self._documents))
            )
        return cache.erased

    def documents_with(self, ids: Iterable[int]) -> list[Found]:
        """The documents of these ids."""
        return [
            each
            for some in in_pieces(sorted(ids), _IN)
            for each in self._documents.query(PEOPLE, ("id", "in", list(some)))
        ]

    def everyone(self) -> list[Found]:
        """The documents of all people, in the order in which they were first seen."""
        cache, found = self._cache, self._documents.query(PEOPLE)
        cache.names |= {int(each.fields["id"]): each.fields["name"] for each in found}
        return sorted(found, key=lambda each: (each.fields.get("seen", 0), each.name))

    def documents_of(self, names: Iterable[str], aliases: Aliases) -> list[Found]:
        """The documents of all ids of these people, who are given by name, id or address (in any case)."""
        wanted = {person_of(aliases, known) for name in names for known in aliases.recorded(clean_name(name) or name)}
        erased = {name for name in wanted if is_unlinked(name)}
        if erased:
            return [each for each in self.everyone() if person_of(aliases, each.fields["name"]) in wanted]
        recorded = sorted({each for name in wanted for each in aliases.names_of(name)})
        hashes = [self._hash(each) for each in recorded]
        found = self._documents.get_all(PEOPLE, hashes)
        return sorted(found, key=lambda each: (each.fields.get("seen", 0), each.name))

    def ids_of(self, names: Iterable[str], aliases: Aliases) -> dict[str, list[int]]:
        """The ids of each of these people, keyed by `person_of`; without erased people. Reads only people who are not
        cached yet or may have several ids.
        """
        found: dict[str, set[int]] = {name: set() for name in names}
        for number, name in list(self._cache.names.items()):
            if (ids := found.get(person_of(aliases, name))) is not None:
                ids.add(number)
        others: dict[str, list[str]] = {}
        for known, name in aliases.addresses.items():
            others.setdefault(name, []).append(known)
        missing = [name for name, ids in found.items() if not ids or name in others]
        recorded = {known for name in missing for known in (name, *others.get(name, ()))}
        if aliases.key is not None:
            recorded |= {pseudonym(aliases.key, name) for name in missing}
        hashes = [self._hash(known) for known in sorted(recorded)]
        for each in self._documents.get_all(PEOPLE, hashes) if hashes else ():
            if (theirs := found.get(person_of(aliases, each.fields["name"]))) is not None:
                theirs.add(int(each.fields["id"]))
        return {name: sorted(ids) for name, ids in found.items()}

    def _hash(self, name: str) -> str:
        if self._key is None:
            found = self._documents.get(SECRETS, "tombstones")
            if found is None:
                return "none"  # nobody was ever recorded
            self._key = str(found.fields["value"])
        return tombstone(name, self._key).hex()
