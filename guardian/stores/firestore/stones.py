"""Tombstones in Firestore: who was erased and when, as keyed hashes, so that events queued before do not bring them
back."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from guardian.core.off_loop import off_loop
from guardian.stores.firestore.database import META, STATE, meta, secret
from guardian.stores.firestore.draft import Draft
from guardian.stores.firestore.queries import Query
from tracker.firestore.people import TOMBSTONES
from tracker.keyed import tombstone

KEY = "tombstones"
"""The secret with the key of the hashes."""


async def bury(draft: Draft, people: Iterable[str], at_us: int) -> None:
    """Record that these people were erased at this moment. Makes commits fail that looked up erased people before."""
    key = await secret(draft, KEY)
    for name in people:
        draft.force(TOMBSTONES, tombstone(name, key).hex(), {"erased_us": at_us})
    draft.put(META, STATE, {"erasures": (await meta(draft))["erasures"] + 1})


async def buried(draft: Draft, people: Collection[str], since_us: int) -> set[str]:
    """The people among these who were erased at this moment or later. The draft's commit fails if somebody is erased in
    between."""
    if not people or not (await meta(draft))["erasures"]:
        return set()
    found = await draft.find(Query(TOMBSTONES, (("erased_us", ">=", since_us),)))
    stones = {name for name, _ in found}
    if not stones:
        return set()
    key = await secret(draft, KEY)
    return await off_loop(lambda: {name for name in people if tombstone(name, key).hex() in stones})
