"""The lifespan protocol, passed through so that its shutdown can store what still waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Protocol

from tracker.loops import in_a_thread

Message = MutableMapping[str, Any]

FLUSH_SECONDS = 2.0
"""The end of a request waits at most this long for what is to be stored, where it waits at all."""


class Drained(Protocol):
    """What is asked of a recorder."""

    def open(self) -> None:
        """An app starts that will say when it ends."""

    def release(self) -> None:
        """The app has ended: what comes now is stored at once."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be stored."""

    @property
    def ending(self) -> float:
        """How many seconds a shutdown waits at most for what is to be stored."""

    def drain(self) -> bool:
        """Store what waits; whether that could be done."""

    def flush(self, timeout: float) -> bool:
        """Store what waits now, within so many seconds; whether that could be done."""


async def watch_lifespan(
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
    recorder: Drained,
) -> None:
    """Run the app's lifespan; what waits is stored before the server hears that the shutdown is complete.

    Where an app refuses lifespan outright, as Django does with a ValueError and many with an assertion, the server is
    answered in its place: uvicorn ends itself with the signal that stopped it, so no code runs after its shutdown.
    Anything else that an app raises goes on unchanged.
    """
    asked = False

    async def watched_receive() -> Message:
        nonlocal asked
        asked = True
        return await receive()

    async def watched_send(message: Message) -> None:
        nonlocal asked
        asked = True
        with suppress(Exception):  # nothing of ours keeps the host from starting or ending
            kind = message.get("type")
            if kind == "lifespan.startup.complete":
                recorder.open()
            elif isinstance(kind, str) and kind.startswith("lifespan.shutdown."):
                if not recorder.idle:
                    await in_a_thread(recorder.drain, recorder.ending + 0.5)
                recorder.release()
        await send(message)

    try:
        await app(scope, watched_receive, watched_send)
    except (AssertionError, NotImplementedError, ValueError):
        if asked:
            raise
    while not asked:
        message = await receive()
        if message["type"] == "lifespan.startup":
            recorder.open()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            asked = True
            await watched_send({"type": "lifespan.shutdown.complete"})


async def refuse_to_start(
    receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]], why: str
) -> None:
    """Make the start of the app fail with one sentence (ASGI, lifespan.startup.failed).

    Raises ValueError with it afterwards, as Starlette's own lifespan does: Starlette's TestClient looks for that, and
    would go on to a shutdown that nobody answers. Of the servers, only Granian logs it, too.
    """
    await receive()
    message = f"UsageTrackingMiddleware: {why}"
    await send({"type": "lifespan.startup.failed", "message": message})
    raise ValueError(message)


async def flush_now(recorder: Drained) -> None:
    """Store what waits before the call of a request ends, for hosts that stop a process between two requests: in a
    thread, and for FLUSH_SECONDS at most. What could not be stored then is stored at the end of the next request."""
    if not recorder.idle:
        await in_a_thread(lambda: recorder.flush(FLUSH_SECONDS), FLUSH_SECONDS)
