"""One database of Firestore as Guardian's own state uses it: whole commits, tried again under contention, one error."""

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
"""Documents of META: the last numbers that were given, how many erasures there were, and the layout's version; and who
leads what."""
VERSION = 1
PATIENCE_SECONDS = 30.0
"""How long a change is tried that others get in the way of."""
_CHANGED = ("FailedPrecondition", "AlreadyExists", "NotFound", "Aborted")
_UNKNOWN = ("DeadlineExceeded", "ServiceUnavailable", "InternalServerError", "Unknown", "Cancelled")


def name_of(*parts: object) -> str:
    """The name of a document that is known by these values: any text may be in them, and none can be read from it."""
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
        """Begin on the database, and make what has to be there.

        Raises StorageError where it is not there, may not be used, or was written by a newer version.
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
        """See StateStore: an address always means the same database."""

    async def reopen(self) -> None:
        """See StateStore: there is nothing to open."""

    async def close(self) -> None:
        """See StateStore. The client stays: it is the process'."""
        self._closed = True

    async def client(self) -> Any:
        """The client. Raises StorageError once this was closed."""
        if self._closed:
            raise StorageError(f"the database {self.address} is closed")
        return await client_of(self.address)

    async def read(self, work: Callable[[Draft], Awaitable[T]]) -> T:
        """What `work` reads; it writes nothing."""
        client = await self.client()
        async with answering(self.address):
            return await work(Draft(client))

    async def find(self, query: Query) -> list[Fields]:
        """The documents that a query gives."""
        return [fields for _, fields in await self.read(lambda draft: draft.find(query))]

    async def transact(self, work: Callable[[Draft], Awaitable[T]], *, token: int | None = None) -> T:
        """Let `work` read and change documents, commit all of it, and give back its result; an exception of it undoes
        everything. Where others were faster it is done again, so it must change nothing else.

        Raises LeaseLost where there is something to commit, `token` is not None, and it is no longer that of a lease.
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
        """A key that Guardian makes for itself, once; without `make` "" where there is none yet."""

        async def work(draft: Draft) -> str:
            return await secret(draft, name, make=make)

        return await self.transact(work)

    async def renew_secret(self, name: str) -> None:
        """Put a new key in the place of one."""

        async def work(draft: Draft) -> None:
            draft.force(SECRETS, name, {"value": secrets.token_urlsafe(32)})

        await self.transact(work)


async def secret(draft: Draft, name: str, *, make: bool = True) -> str:
    """The same in a draft."""
    found = await draft.get(SECRETS, name)
    if found is None and make:
        found = {"value": secrets.token_urlsafe(32)}
        draft.put(SECRETS, name, found)
    return "" if found is None else str(found["value"])


async def next_number(draft: Draft, field: str, many: int) -> int:
    """The first of so many numbers that nobody had before: of mails or of reports."""
    state = await meta(draft)
    draft.put(META, STATE, {**state, field: state[field] + many})
    return int(state[field]) + 1


async def meta(draft: Draft) -> Fields:
    """The document META/STATE. Whoever writes it has its commit fail where a person was erased since."""
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
    """Whether it was committed; False where others were faster. Raises what else Google's library raises."""
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
