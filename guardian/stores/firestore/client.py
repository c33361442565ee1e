"""The asynchronous connection of a process to Firestore.

A Google client belongs to the event loop that it is first used on, and does not survive a fork; making one for each
call would leak. So there is one for each process, loop and database, made on first use.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from guardian.core.storage import StorageError
from tracker.firestore.address import Address
from tracker.firestore.client import why

T = TypeVar("T")

SECONDS = 10.0
"""The time limit of one call. Google's library exceeds its own limit when it retries, so retries are switched off."""
_UNREADABLE = (zlib.error, ValueError, LookupError, TypeError, ArithmeticError)
_clients: dict[tuple[int, asyncio.AbstractEventLoop, Address], Any] = {}


async def client_of(address: Address) -> Any:
    """The `AsyncClient` of this process and event loop for a database. Raises StorageError where there are no
    credentials, or the library is missing."""
    key = (os.getpid(), asyncio.get_running_loop(), address)
    if key not in _clients:
        async with answering(address):
            made = await asyncio.to_thread(_made, address)
        for old in [each for each in _clients if each[1].is_closed()]:
            del _clients[old]
        _clients.setdefault(key, made)  # another task may have made it
    return _clients[key]


def _made(address: Address) -> Any:
    from google.cloud import firestore  # 0.7 s and 50 MB

    return firestore.AsyncClient(project=address.project, database=address.database)


@asynccontextmanager
async def answering(address: Address) -> AsyncIterator[None]:
    """Turns errors of Google's library into a StorageError of one sentence with the cure. Errors from reading a
    document that Guardian cannot have written become one too, without details, since the document may hold a name."""
    try:
        yield
    except (ImportError, TimeoutError) as error:
        raise unanswered(address, error) from error
    except Exception as error:
        if _is_googles(error):
            raise unanswered(address, error) from error
        if isinstance(error, _UNREADABLE):
            damaged = f"the database {address} does not answer: a document is damaged ({type(error).__name__})"
            raise StorageError(f"{damaged}; restore a backup (docs/operations.md)") from error
        raise


def unanswered(address: Address, error: BaseException) -> StorageError:
    """The sentence for an error of Google's library."""
    if isinstance(error, TimeoutError):
        return StorageError(f"the database {address} did not answer within {SECONDS:.0f} seconds: look at the network")
    return StorageError(f"the database {address} cannot be used: {why(error, address)}")


def _is_googles(error: BaseException) -> bool:
    return type(error).__module__.startswith(("google.", "grpc"))


async def within(call: Awaitable[T], seconds: float = SECONDS) -> T:
    """The result of the call. Raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        return await call
