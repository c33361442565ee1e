"""Waiting under whichever event loop runs: asyncio, or trio, which is never imported here."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")

_POLL = 0.005  # seconds


def _of(module: str, name: str) -> Any:
    """An attribute of an already loaded module, or None. Never triggers a lazy module."""
    try:
        return object.__getattribute__(sys.modules[module], "__dict__").get(name)
    except (KeyError, AttributeError):
        return None


def _trio() -> Any:
    """The trio module where trio runs this task; else None."""
    lowlevel = _of("trio", "lowlevel")
    try:
        lowlevel.current_task()
    except Exception:  # RuntimeError outside trio; anything if another module has that name
        return None
    return sys.modules["trio"]


def _asyncio() -> Any:
    """The asyncio module where asyncio runs this task; else None."""
    running = _of("asyncio", "_get_running_loop")
    return sys.modules["asyncio"] if running is not None and running() is not None else None


async def in_a_thread(work: Callable[[], object], seconds: float) -> None:
    """Run `work` in a thread of its own and return when it is done, or after `seconds`.

    The loop's own pool is not used, since the host may have filled or closed it. Without a known event loop, it blocks.
    """
    done = threading.Event()

    def run() -> None:
        try:
            work()
        finally:
            done.set()

    try:
        threading.Thread(target=run, name="usage-tracker-drain", daemon=True).start()
    except RuntimeError:  # no new threads: the host is at its limit or ending
        work()
        return
    end = time.monotonic() + seconds
    sleep = getattr(_trio() or _asyncio(), "sleep", None)
    if sleep is None:
        done.wait(seconds)
        return
    while not done.is_set() and time.monotonic() < end:
        await sleep(_POLL)


async def limited(waiting: Awaitable[T], seconds: float) -> T:
    """The result of an awaitable. Raises TimeoutError after `seconds`; under an unknown loop there is no limit."""
    if trio := _trio():
        with trio.move_on_after(seconds):
            return await waiting
        raise TimeoutError
    if asyncio := _asyncio():
        found: T = await asyncio.wait_for(waiting, seconds)
        return found
    return await waiting


def is_cancelled(error: BaseException) -> bool:
    """Whether the exception means that the request was cancelled from outside, by the server or with its task."""
    if isinstance(error, BaseExceptionGroup):
        return not isinstance(error, ExceptionGroup) and all(is_cancelled(each) for each in error.exceptions)
    if isinstance(error, Exception):
        return False
    kinds = (GeneratorExit, _of("asyncio", "CancelledError"), _of("trio", "Cancelled"))
    return isinstance(error, tuple(kind for kind in kinds if isinstance(kind, type)))


def waiting_message(receive: Callable[[], Awaitable[Any]]) -> Any:
    """The message that the server has ready for a cancelled app; None if that would mean waiting. Only under asyncio,
    where a coroutine that would wait can be closed.
    """
    if _asyncio() is None or _trio() is not None:
        return None
    coroutine: Any = receive()
    try:
        coroutine.send(None)
    except StopIteration as ready:
        return ready.value
    except (AttributeError, Exception):
        return None
    coroutine.close()
    return None
