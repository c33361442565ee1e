"""`guardian demo`: app, traffic, Guardian and inbox together, on loopback, in one folder."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import webbrowser
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from guardian.application.preview.traffic import USERS, Crowd, crowd, history
from guardian.application.reporting import send_report_now
from guardian.application.root import Application, open_application
from guardian.application.scheduler import running
from guardian.core.storage import StorageError
from guardian.demo import story
from guardian.demo.servers import PAGES, example_app, inbox, smtp_server
from guardian.settings.schema import Settings
from guardian.stores.opening import begin_demo

REQUESTS = 900
"""How many requests the demo sends before its first report."""
ADMIN = "admin@example.com"
"""Whose inbox it is."""
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


RULES = {
    "error_rate": {"window": "5m", "resolve_after": "1m"},
    "feature_down": {"features": ["chat_message"], "window": "1m", "silence": 0, "resolve_after": "1m"},
    "user_burst": {"errors": 8, "window": "3m", "resolve_after": "1m", "group_interval": "2m"},
}
"""The default rules with shorter windows: nobody waits an hour for a demo."""
OUTAGE_EVERY, OUTAGE, REPORT_EVERY = 660, 140, 120
"""Seconds: how often a release breaks the chat (every alert about the one before has ended by then), how long it stays
broken, and how often a report goes out."""
STORY = f"of the hour before, invented: release {story.BAD.release} broke the chat, was named, and was rolled back"


def run_demo(directory: Path, *, once: bool, database: str | None = None, real: bool = False) -> int:
    """Run the demo in `directory`; the exit code: 0, or 1 with one line on stderr where it could not go on.

    It leaves guardian.db, reports/usage_report.json and mail/*.eml there; no guardian.db with a database of Firestore,
    which is an emulator's unless it is to be a `real` project. With `once` it ends then, else it stays up, with the
    inbox in the browser and some traffic, until Ctrl-C or SIGTERM. Raises ValueError for a folder or a database that
    holds anything else than an earlier demo, KeyboardInterrupt where it was stopped before its report.
    """
    folder = directory.absolute()
    _prepare(folder)
    told = asyncio.Event()
    try:
        if database is not None:
            begin_demo(database, real=real)
        asyncio.run(_run(folder, database or folder / "guardian.db", Console(), once, told))
    except (StorageError, OSError) as error:
        sys.stderr.write(f"guardian: the demo cannot go on: {error}\n")
        return 1
    except (KeyboardInterrupt, asyncio.CancelledError):
        if not told.is_set():
            raise KeyboardInterrupt from None
    return 0


def _prepare(folder: Path) -> None:
    """Make the folder ready; raises ValueError where it belongs to somebody else."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / MARK).exists():
        raise ValueError(f"--dir {folder} holds other files: name an empty folder, or one of an earlier demo")
    (folder / MARK).touch()
    for pattern in ("guardian.db*", "mail/*.eml", "reports/*.json", "broken"):
        for path in folder.glob(pattern):
            path.unlink()


async def _run(folder: Path, database: Path | str, console: Console, once: bool, told: asyncio.Event) -> None:
    """The whole demo; `told` is set when the report has been sent. Ends by being cancelled, unless `once`."""
    task = asyncio.current_task()
    assert task is not None
    with suppress(NotImplementedError):  # on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # SIGINT does so by itself
    key, broken = secrets.token_urlsafe(32), folder / "broken"
    async with AsyncExitStack() as stack:
        smtp_port = await stack.enter_async_context(smtp_server(folder / "mail"))
        page = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        address = f"http://127.0.0.1:{page.getsockname()[1]}"
        app = await stack.enter_async_context(open_application(_settings(folder, database, smtp_port, address)))
        invented = await _write_history(app, console)
        with console.status("Playing the last hour …"):
            invented += await story.play(app)
            await app.repository.seal(app.clock())
            await story.send(app)
        _say(console, f"Alerts       {STORY}")
        environment = {
            "DEMO_DATABASE": str(app.settings.database),
            "DEMO_KEY": key,
            "DEMO_BROKEN": str(broken),
            "DEMO_RELEASE": story.GOOD.release,
            "GUARDIAN_INSTANCE": story.GOOD.instance,
        }
        url = await stack.enter_async_context(example_app(environment))
        _say(console, f"Example app  {url}  (tracked by one line of middleware)")
        users = await stack.enter_async_context(crowd(url, key))
        await _send_traffic(console, users, broken)
        await _until_stored(app, invented + users.answered)
        _say(console, f"Traffic      {users.answered:,} requests answered; for a while the chat's model was down")
        with console.status("Writing and delivering the report …"):
            app.settings.reports_dir.mkdir(exist_ok=True)
            companion = json.dumps(COMPANION, indent=2)
            (app.settings.reports_dir / "prod_report.json").write_text(companion, encoding="utf-8")
            result = await send_report_now(app, hours=2)
        sent = ", ".join(f"{to} ({fate})" for to, fate in result.fates.items())
        _say(console, f"Report mail  over SMTP to {sent}")
        _say(console, f"Report       {app.settings.reports_dir / 'usage_report.json'}")
        _say(console, f"Mails        {folder / 'mail'}")
        _say(console, f"Database     {app.settings.database}")
        if set(result.fates.values()) != {"sent"}:
            raise OSError(f"the report mail was not delivered: {result.errors}")
        told.set()
        if once:
            return
        await stack.enter_async_context(inbox(folder / "mail", app, page))
        _say(console, f"Inbox        [bold]{address}/[/]  (alerts and reports go on arriving; Ctrl-C ends the demo)")
        _say(console, f"Dashboard    [bold]{address}{PAGES}/[/]  (sign in as {ADMIN}: the link comes to the inbox)")
        if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform in ("darwin", "win32"):
            with suppress(webbrowser.Error):
                webbrowser.open(address)
        await stack.enter_async_context(running(app))
        await _live(app, users, url, environment)


def _say(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False)


def _settings(folder: Path, database: Path | str, smtp_port: int, address: str) -> Settings:
    """The settings that a guardian.toml would hold. The links of the mails lead to `address`, where `inbox` answers
    them."""
    mail = {
        "sender": "Guardian <guardian@example.com>",
        "smtp": {"host": "127.0.0.1", "port": smtp_port, "security": "none"},
    }
    values: dict[str, Any] = {"mail": mail, "rules": RULES, "admins": [ADMIN], "public_url": address + PAGES}
    return Settings(database=database, reports_dir=folder / "reports", **values)


async def _write_history(app: Application, console: Console) -> int:
    """Store the invented past. Returns the number of requests."""
    now = app.clock()
    with console.status("Inventing a week of history …"):
        events = history(now)
        for first in range(0, len(events), 2_000):
            await app.repository.write(events[first : first + 2_000])
    _say(console, f"History      {len(events):,} requests of the last 8 days, invented to compare with")
    return len(events)


async def _send_traffic(console: Console, users: Crowd, broken: Path) -> None:
    """The first wave: real requests, bad luck, and a chat that is down for a sixth of them."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{len(USERS)} people use the app", total=REQUESTS)

        def advance() -> None:
            progress.advance(task)

        await users.come(REQUESTS * 2 // 3, advance)
        await users.have_bad_luck()
        broken.touch()
        await users.come(REQUESTS // 6, advance)
        broken.unlink()
        await users.come(REQUESTS // 6, advance)


async def _until_stored(app: Application, number: int) -> None:
    """Wait until so many events are stored."""
    for _ in range(150):
        if (await app.repository.stats()).events >= number:
            return
        await asyncio.sleep(0.1)
    raise OSError("the tracker has not stored all requests of the example app")


async def _live(app: Application, users: Crowd, url: str, environment: dict[str, str]) -> None:
    """A little traffic all the time, reports, and now and then a release that breaks the chat and is rolled back; for
    ever. The app at `url` is the one without the bug."""
    begin = asyncio.get_running_loop().time()
    reported, broken_at, number, deployed = begin, begin + 20, 2, False
    async with AsyncExitStack() as bad:
        while True:
            now = asyncio.get_running_loop().time()
            if now >= broken_at + OUTAGE:
                users.turn_to(url)
                await bad.aclose()
                broken_at, number, deployed = broken_at + OUTAGE_EVERY, number + 1, False
            elif now >= broken_at and not deployed:
                release = {"DEMO_RELEASE": f"2.4.{number}", "DEMO_BUG": "1"}
                users.turn_to(await bad.enter_async_context(example_app({**environment, **release})))
                deployed = True
                await users.have_bad_luck()
            await users.come(1)
            if now >= reported + REPORT_EVERY:
                reported = now
                await send_report_now(app, hours=2)
            await asyncio.sleep(1)
