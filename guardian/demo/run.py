"""`guardian demo`: app, traffic, Guardian and inbox together, on loopback, in one folder."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import uvicorn
from aiosmtpd.smtp import SMTP
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from guardian.application import Application, open_application
from guardian.config import Settings
from guardian.demo.inbox import Mailbox, create_inbox, free_port
from guardian.demo.traffic import history, visit
from guardian.reporting import send_report_now
from guardian.repository import StorageError

REQUESTS = 900
"""How many requests the demo sends before its first report."""
MARK = ".guardian-demo"
"""A folder with this file was made by the demo, which may empty it."""
COMPANION = {
    "status": "DEGRADED",
    "timestamp": "today, 06:00",
    "summary": {"checks_passed": 41, "checks_failed": 2, "slowest_check_seconds": 1.2},
    "recommendations": [
        {
            "priority": "MEDIUM",
            "action": "Add an index on threads.owner",
            "details": "Listing the threads of a busy user takes 1.2 s.",
        }
    ],
}
"""A companion report, as another tool would leave it in the reports folder."""


def run_demo(directory: Path, *, once: bool) -> int:
    """Run the demo in `directory`; the exit code.

    It leaves guardian.db, reports/usage_report.json and mail/*.eml there. With `once` it ends then, else it stays up,
    with the inbox in the browser and some traffic, until Ctrl-C. Raises ValueError for a folder that holds anything
    else than an earlier demo.
    """
    folder = directory.absolute()
    _prepare(folder)
    console = Console(stderr=False)
    try:
        asyncio.run(_run(folder, console, once))
    except (StorageError, OSError) as error:
        sys.stderr.write(f"guardian: the demo cannot go on: {error}\n")
        return 1
    return 0


def _prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / MARK).exists():
        raise ValueError(f"--dir {folder} holds other files: name an empty folder, or one of an earlier demo")
    (folder / MARK).touch()
    for pattern in ("guardian.db*", "mail/*.eml", "reports/*.json", "broken"):
        for path in folder.glob(pattern):
            path.unlink()


async def _run(folder: Path, console: Console, once: bool) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    key = secrets.token_urlsafe(32)
    database, broken = folder / "guardian.db", folder / "broken"
    async with AsyncExitStack() as stack:
        smtp_port = await stack.enter_async_context(_smtp_server(folder / "mail"))
        settings = _settings(folder, smtp_port)
        app = await stack.enter_async_context(open_application(settings))
        now = datetime.now(UTC)
        events = history(now)
        with console.status(f"Inventing a week of history: {len(events):,} requests …"):
            for first in range(0, len(events), 2_000):
                await app.repository.write(events[first : first + 2_000])
            await app.repository.seal(now)
        environment = {"DEMO_DATABASE": str(database), "DEMO_KEY": key, "DEMO_BROKEN": str(broken)}
        url = await stack.enter_async_context(_example_app(environment))
        console.print(f"The example app runs on {url}, tracked by one line of middleware.")
        await _send_traffic(console, url, key, broken)
        await _until_stored(app, REQUESTS // 2)
        with console.status("Writing and delivering the report …"):
            reports = settings.reports_dir
            reports.mkdir(exist_ok=True)
            (reports / "prod_report.json").write_text(json.dumps(COMPANION, indent=2), encoding="utf-8")
            result = await send_report_now(app, hours=2)
        _say(console, folder, result.fates)
        if once:
            return
        inbox = await stack.enter_async_context(_inbox(folder / "mail"))
        console.print(f"Inbox       [bold]{inbox}[/]   (Ctrl-C ends the demo)")
        if os.environ.get("DISPLAY") or sys.platform == "darwin":
            with suppress(webbrowser.Error):
                webbrowser.open(inbox)
        await _live(app, url, key, broken, stop)


def _settings(folder: Path, smtp_port: int) -> Settings:
    return Settings(
        database=folder / "guardian.db",
        reports_dir=folder / "reports",
        admins=("admin@example.com",),
        mail={"sender": "Guardian <guardian@example.com>",  # type: ignore[arg-type]
              "smtp": {"host": "127.0.0.1", "port": smtp_port, "security": "none"}},
    )  # fmt: skip


async def _send_traffic(console: Console, url: str, key: str, broken: Path) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("40 people use the app", total=REQUESTS)
        done = await visit(url, key, broken, requests=REQUESTS, progress=lambda: progress.advance(task))
    console.print(f"{done:,} requests were answered; for a while the chat's model was down.")


async def _until_stored(app: Application, at_least: int) -> None:
    """Wait until the tracker has written what it accepted: it says so in its heartbeat row."""
    for _ in range(100):
        recorders = await app.repository.recorders()
        if recorders and recorders[0].stored >= at_least and recorders[0].accepted == recorders[0].stored:
            return
        await asyncio.sleep(0.1)


def _say(console: Console, folder: Path, fates: dict[str, str]) -> None:
    sent = ", ".join(f"{to} ({fate})" for to, fate in fates.items())
    console.print(f"The report mail went over SMTP to {sent}.\n")
    console.print(f"Report      {folder / 'reports' / 'usage_report.json'}", soft_wrap=True, highlight=False)
    console.print(f"Mails       {folder / 'mail'}", soft_wrap=True, highlight=False)
    console.print(f"Database    {folder / 'guardian.db'}", soft_wrap=True, highlight=False)


async def _live(app: Application, url: str, key: str, broken: Path, stop: asyncio.Event) -> None:
    """A little traffic all the time, and a new report every minute, until `stop`."""
    seed = 10
    while not stop.is_set():
        with suppress(httpx2.HTTPError):
            await visit(url, key, broken, requests=60, seed=seed)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 60)
        if not stop.is_set():
            await send_report_now(app, hours=2)
        seed += 1


@asynccontextmanager
async def _smtp_server(folder: Path) -> AsyncIterator[int]:
    """A real SMTP server on loopback that keeps what it gets; its port."""
    mailbox = Mailbox(folder)
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(mailbox, hostname="localhost", enable_SMTPUTF8=True), "127.0.0.1", 0
    )
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def _example_app(environment: dict[str, str]) -> AsyncIterator[str]:
    """The example app in a process of its own; its URL, once it answers."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "uvicorn", "guardian.demo.app:create", "--factory", "--host", "127.0.0.1",
        "--port", str(port), "--log-level", "critical",
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


async def _answers(ask: Callable, process: asyncio.subprocess.Process) -> None:
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
async def _inbox(folder: Path) -> AsyncIterator[str]:
    """The inbox page; its URL."""
    config = uvicorn.Config(create_inbox(folder), port=free_port(), log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{config.port}/"
    finally:
        server.should_exit = True
        await task
