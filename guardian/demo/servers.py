"""The servers of the demo, on loopback: the mail server, the example app in a process of its own, and the inbox."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import uvicorn
from aiosmtpd.smtp import SMTP

from guardian.application.root import Application
from guardian.demo.inbox import Mailbox, create_inbox, free_port
from guardian.web import create_app
from guardian.web.daemon import Server

PAGES = "/guardian"
"""The path of the dashboard, beside the inbox."""


@asynccontextmanager
async def smtp_server(folder: Path) -> AsyncIterator[int]:
    """A real SMTP server on loopback that keeps what it gets; its port."""
    mailbox = Mailbox(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, hostname="localhost", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def example_app(environment: dict[str, str]) -> AsyncIterator[str]:
    """The example app in a process of its own; its URL, once it answers."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "guardian.demo.app:create", "--factory", "--host", "127.0.0.1",
        "--port", str(port), "--log-level", "critical", "--timeout-graceful-shutdown", "1",
        env={**os.environ, **environment}, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx2.AsyncClient() as client:
            await _answers(lambda: client.get(f"{url}/docs"), process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


async def _answers(ask: Callable[[], Awaitable[object]], process: asyncio.subprocess.Process) -> None:
    for _ in range(200):
        if process.returncode is not None:
            break
        try:
            await ask()
            return
        except httpx2.TransportError:
            await asyncio.sleep(0.1)
    raise OSError("the example app did not start")


@asynccontextmanager
async def inbox(folder: Path, app: Application, listener: socket.socket) -> AsyncIterator[None]:
    """The inbox page, and beside it the dashboard and the pages that the buttons of the mails lead to."""
    starlette = create_inbox(folder)
    pages = create_app(app)
    starlette.mount(PAGES, pages)
    starlette.mount("/", pages)
    server = Server(uvicorn.Config(starlette, log_level="critical", lifespan="off", timeout_graceful_shutdown=1))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
