"""Guardian inside the host app: `app.mount("/guardian", guardian.app())`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from os import PathLike
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from guardian.application.root import open_application
from guardian.application.scheduler import running
from guardian.core.storage import StorageError
from guardian.settings.loading import load_settings
from guardian.settings.schema import Settings
from guardian.web.api import create_app
from guardian.web.endpoint import Refusal, refuse
from tracker.notes import leave_out

log = logging.getLogger("guardian.web")

RETRY_SECONDS = 5.0
"""How long after a failure to open requests are refused without another attempt."""


class MountedGuardian:
    """The API as an ASGI app that opens the application itself and runs the daemon's steps beside it.

    Mounted apps get no lifespan events from Starlette, so the host says when: `Starlette(lifespan=this.lifespan)`, or
    `async with this.lifespan():` inside a lifespan of its own. Else Guardian starts with the first request that it
    gets, and no report goes out before. Run by itself (`uvicorn module:name`) it takes the server's lifespan events.
    With several workers one leads and sends; all of them answer. A failure to start never stops the host: requests
    are answered with 503, and the log says why.
    """

    is_guardian = True  # for a tracker around the host app: what happens here is no use of that app

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._task: asyncio.Task[None] | None = None
        self._api: asyncio.Future[Starlette] | None = None
        self._stop = asyncio.Event()
        self._failed_at = -RETRY_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or connection. A tracker around the host app does not record it as use of that app."""
        if scope["type"] == "lifespan":
            await self._serve_lifespan(receive, send)
            return
        leave_out(scope)
        api = await self._start()
        if api is not None:
            await api(scope, receive, send)
        elif scope["type"] == "http":
            await refuse(Refusal(503, "Guardian could not be started: the log says why"))(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1013})

    @asynccontextmanager
    async def lifespan(self, host: Any = None) -> AsyncIterator[None]:
        """Guardian runs while the context is open; `host` is what Starlette passes to a lifespan, and not used."""
        await self._start()
        try:
            yield
        finally:
            await self._end()

    async def _serve_lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with self.lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _start(self) -> Starlette | None:
        """The API, opened by the first request in this event loop; None if that failed."""
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            if time.monotonic() - self._failed_at < RETRY_SECONDS:
                return None
            self._api, self._stop = loop.create_future(), asyncio.Event()
            # A task of its own opens and closes, since the first request must not own the connections.
            self._task = loop.create_task(self._run(self._api, self._stop), name="guardian")
        assert self._api is not None
        either: list[asyncio.Future[Any]] = [self._api, self._task]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return self._api.result() if self._api.done() and not self._api.cancelled() else None

    async def _run(self, api: asyncio.Future[Starlette], stop: asyncio.Event) -> None:
        try:
            async with open_application(self.settings) as application, running(application):
                api.set_result(create_app(application))
                await stop.wait()
        except (StorageError, ValueError) as error:
            log.error("Guardian could not be started: %s", error)
        finally:
            if not api.done():
                self._failed_at = time.monotonic()

    async def _end(self) -> None:
        if self._task is not None:
            self._stop.set()
            await asyncio.wait([self._task])


def app(settings: Settings | str | PathLike[str] | None = None) -> MountedGuardian:
    """Guardian as an ASGI app for a host app to mount; nothing is opened yet.

    `settings` is the path of a settings file, None for ./guardian.toml, or the settings themselves. Raises
    SettingsError with everything that is wrong with them.
    """
    if not isinstance(settings, Settings):
        settings = load_settings(None if settings is None else Path(settings))
    return MountedGuardian(settings)
