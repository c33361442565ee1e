"""The lifespan protocol, passed through so that its shutdown can store what still waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]


async def drain_at_shutdown(
    app: Callable[..., Awaitable[None]],
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
    drain: Callable[[], object],
) -> None:
    """Run the app's lifespan; call `drain`, in a thread, before the server hears that the shutdown is complete.

    An app that turns lifespan away without a look is answered for: uvicorn ends itself with the signal that stopped
    it, so no code runs after its shutdown. What an app raises once it has looked goes on unchanged.
    """
    import asyncio  # costs more than all of `import tracker`, and a host that comes to this point has it

    asked = False

    async def watched_receive() -> Message:
        nonlocal asked
        asked = True
        return await receive()

    async def watched_send(message: Message) -> None:
        nonlocal asked
        asked = True
        if message["type"].startswith("lifespan.shutdown."):
            await asyncio.to_thread(drain)
        await send(message)

    try:
        await app(scope, watched_receive, watched_send)
    except Exception:
        if asked:
            raise
    while not asked:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            asked = True
            await watched_send({"type": "lifespan.shutdown.complete"})
