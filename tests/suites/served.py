"""The apps that servers.py has real servers serve: small, and each awkward for the tracker in one way.

SUITE_DATABASE is the tracker's file; without it the same apps are served bare.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

DATABASE = os.environ.get("SUITE_DATABASE")
JOBS = 6
JOB_SECONDS = 30


def tracked(app: Any) -> Any:
    """The app behind the tracker, or as it is."""
    if DATABASE is None:
        return app
    from tracker import UsageTrackingMiddleware

    return UsageTrackingMiddleware(app, database=DATABASE)


async def answer(request: Request) -> PlainTextResponse:
    """Answer at once."""
    return PlainTextResponse("ok")


async def slow(request: Request) -> PlainTextResponse:
    """Answer after half a minute, which the server does not wait for."""
    await anyio.sleep(30)
    return PlainTextResponse("late")


async def stream(request: Request) -> StreamingResponse:
    """Go on for half a minute."""

    async def words() -> AsyncIterator[str]:
        for _ in range(600):
            yield "data: again\n\n"
            await anyio.sleep(0.05)

    return StreamingResponse(words(), media_type="text/event-stream")


async def block(request: Request) -> PlainTextResponse:
    """Fill the loop's executor with jobs that last."""
    for _ in range(JOBS):
        asyncio.get_running_loop().run_in_executor(None, time.sleep, JOB_SECONDS)
    return PlainTextResponse("ok")


async def fork(request: Request) -> PlainTextResponse:
    """Fork, and answer how many milliseconds that took."""
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        os._exit(0)
    took = time.perf_counter() - began
    os.waitpid(child, 0)
    return PlainTextResponse(f"{took * 1000:.0f}")


async def socket(websocket: WebSocket) -> None:
    """Accept and wait for words."""
    await websocket.accept()
    async for _ in websocket.iter_text():
        pass


ROUTES = [
    Route("/x", answer),
    Route("/slow", slow),
    Route("/stream", stream),
    Route("/block", block),
    Route("/fork", fork),
    WebSocketRoute("/socket", socket),
]

plain = tracked(Starlette(routes=ROUTES))
mounted = Starlette(routes=[Mount("/", tracked(Starlette(routes=ROUTES)))])
"""Lifespan does not reach a mounted app."""

added = Starlette(routes=ROUTES)
if DATABASE is not None:
    from tracker import UsageTrackingMiddleware

    added.add_middleware(UsageTrackingMiddleware, database=DATABASE)


@contextlib.asynccontextmanager
async def closes_executor(app: Starlette) -> AsyncIterator[None]:
    """A tidy host."""
    yield
    await asyncio.get_running_loop().shutdown_default_executor()


closed = tracked(Starlette(routes=ROUTES, lifespan=closes_executor))

with contextlib.suppress(ImportError):
    from uvicorn_worker import UvicornWorker

    class NoLifespanWorker(UvicornWorker):
        """A worker that never sends lifespan."""

        CONFIG_KWARGS: ClassVar[dict[str, Any]] = {**UvicornWorker.CONFIG_KWARGS, "lifespan": "off"}
