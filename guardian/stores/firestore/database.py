"""One Firestore database as Guardian's own state uses it: atomic commits, retried under contention, and a single error
type."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Any, Self, TypeVar

from guardian.core.storage import StorageError
from guardian.stores.firestore.client import answering, client_of
from guardian.stores.firestore.draft import Draft, Fields
from guardian.stores.firestore.queries import Query
from guardian.stores.state import LeaseLost
from tracker.firestore.address import Address

T = TypeVar("T")

META, SECRETS = "guardian_meta", "guardian_secret"
STATE, LEASES = "state", "leases"
"""The documents of META. One holds the last numbers given out, the number of erasures and the layout version; the other
the leases."""
VERSION = 1
PATIENCE_SECONDS = 30.0
"""How long a change is retried while others interfere."""
_CHANGED = ("FailedPrecondition", "AlreadyExists", "NotFound", "Aborted")
_UNKNOWN = ("DeadlineExceeded", "ServiceUnavailable", "InternalServerError", "Unknown", "Cancelled")


def name_of(*parts: object) -> str:
    """A document name derived from these values by hashing: they may be any text, and cannot be read from it."""
    text = "\0".join(map(str, parts))
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class StateDatabase:
    """Guardian's documents; every method raises StorageError where the database cannot answer."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._closed = False
        self._mine = asyncio.Lock()

    @classmethod
    async def open(cls, address: Address) -> Self:
        """Open the database, and create what must be there. Raises StorageError if it does not exist, access is denied,
        or a newer version wrote it.
        """
        database = cls(address)
        version = await database.transact(_begin)
        if version > VERSION:
            raise StorageError(
                f"the database {address} has the layout {version}, which this version of Guardian does not know: "
                "install a newer one"
            )
        return database

    def check_file(self) -> None:
        """See StateStore: a Firestore address always means the same database, so nothing can have moved."""

    async def reopen(self) -> None:
        """See StateStore: there is nothing to open."""

    async def close(self) -> None:
        """See StateStore. The client stays open: the process shares it."""
        self._closed = True

    async def client(self) -> Any:
        """The client. Raises StorageError after `close`."""
        if self._closed:
            raise StorageError(f"the database {self.address} is closed")
        return await client_of(self.address)

    async def read(self, work: Callable[[Draft], Awaitable[T]]) -> T:
        """The result of `work`, which only reads."""
        client = await self.client()
        async with answering(self.address):
            return await work(Draft(client))

    async def find(self, query: Query) -> list[Fields]:
        """The documents that a query finds."""
        return [fields for _, fields in await self.read(lambda draft: draft.find(query))]

    async def transact(self, work: Callable[[Draft], Awaitable[T]], *, token: int | None = None) -> T:
        """Let `work` read and change documents, commit everything, and return its result. If it raises, nothing is
        written. It is called again if others changed the documents meanwhile, so it must have no other effects.

        Raises LeaseLost if there is something to commit and `token`, if given, no longer belongs to a lease.
        """
        client = await self.client()
        async with self._mine, answering(self.address):
            return await self._tried(client, work, token)

    async def _tried(self, client: Any, work: Callable[[Draft], Awaitable[T]], token: int | None) -> T:
        ends, tries = time.monotonic() + PATIENCE_SECONDS, 0
        while True:
            draft = Draft(client)
            done = False
            try:
                result = await work(draft)
                if draft.writes:
                    await _check(draft, token)
                    done = await _committed(draft)
                else:
                    done = True
            finally:
                if not done and draft.parts:
                    await draft.clear_parts()
            if done:
                return result
            if time.monotonic() > ends:
                raise StorageError(f"others kept changing the database {self.address}: this is tried again")
            tries += 1
            await asyncio.sleep(random.uniform(0, min(1.0, 0.01 * 2**tries)))

    async def secret(self, name: str, *, make: bool = True) -> str:
        """A secret that Guardian makes for itself, once. Without `make`: "" if there is none yet."""

        async def work(draft: Draft) -> str:
            return await secret(draft, name, make=make)

        return await self.transact(work)

    async def renew_secret(self, name: str) -> None:
        """Replace a secret."""

        async def work(draft: Draft) -> None:
            draft.force(SECRETS, name, {"value": secrets.token_urlsafe(32)})

        await self.transact(work)


async def secret(draft: Draft, name: str, *, make: bool = True) -> str:
    """The same within a draft."""
    found = await draft.get(SECRETS, name)
    if found is None and make:
        found = {"value": secrets.token_urlsafe(32)}
        draft.put(SECRETS, name, found)
    return "" if found is None else str(found["value"])


async def next_number(draft: Draft, field: str, many: int) -> int:
    """Reserves `count` new numbers, for mails or reports; returns the first."""
    state = await meta(draft)
    draft.put(META, STATE, {**state, field: state[field] + many})
    return int(state[field]) + 1


async def meta(draft: Draft) -> Fields:
    """The document META/STATE. A commit that writes it fails if a person was erased since it was read."""
    found = await draft.get(META, STATE)
    return dict(version=VERSION, mails=0, reports=0, erasures=0) if found is None else found


async def _begin(draft: Draft) -> int:
    found = await draft.get(META, STATE)
    if found is None:
        found = await meta(draft)
        draft.put(META, STATE, found)
    return int(found["version"])


async def _check(draft: Draft, token: int | None) -> None:
    if token is None:
        return
    leases = await draft.get(META, LEASES)
    if leases is None or all(lease["token"] != token for lease in leases["held"].values()):
        raise LeaseLost("another daemon leads now")
    draft.check(META, LEASES)


async def _committed(draft: Draft) -> bool:
    """Whether the draft was committed; False if others changed a document first. Other errors of Google's library are
    raised."""
    try:
        await draft.commit()
    except Exception as error:
        kind = type(error).__name__
        if kind in _UNKNOWN or isinstance(error, TimeoutError):
            if not await draft.took_place():
                raise
        elif kind in _CHANGED:
            return False
        else:
            raise
    return True
