"""Passes the lifespan protocol through, and stores waiting events at shutdown."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Protocol

from tracker.loops import in_a_thread

Message = MutableMapping[str, Any]

FLUSH_SECONDS = 2.0
"""The longest that the end of a request waits for events to be stored, if it waits at all."""


class Drained(Protocol):
    """The methods of a recorder that are used here."""

    def open(self) -> None:
        """An app starts that will say when it ends."""

    def release(self) -> None:
        """The app has ended: later events are stored at once."""

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be stored."""

    @property
    def ending(self) -> float:
        """How many seconds a shutdown waits at most for what is to be stored."""

    def drain(self) -> bool:
        """Store what waits; whether that could be done."""

    def flush(self, timeout: float) -> bool:
        """Store what waits now; False if `timeout` seconds were not enough."""


async def watch_lifespan(
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
    recorder: Drained,
) -> None:
    """Run the app's lifespan, and store waiting events before the server is told that shutdown is complete.

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
        with suppress(Exception):  # our faults must not keep the host from starting or stopping
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
    """Store waiting events before a request's call ends, for hosts that freeze or stop the process between requests.
    Runs in a thread, for at most FLUSH_SECONDS; the rest is stored at the end of the next request."""
    if not recorder.idle:
        await in_a_thread(lambda: recorder.flush(FLUSH_SECONDS), FLUSH_SECONDS)
