"""Takes the pictures of docs/dashboard.md and README: pages of the dashboard over the demo's invented history, at a
moment that is always the same, so that they can be taken again.

    .venv/bin/python scripts/dashboard_pictures.py [FOLDER]        # docs/images/dashboard without one

Needs Chromium (scripts/install-test-tools.sh).
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import uvicorn
from playwright.async_api import async_playwright

from guardian.application.preview.traffic import UNLUCKY, USERS, history
from guardian.application.reporting import send_report_now
from guardian.application.root import open_application
from guardian.application.tick import tick
from guardian.settings.schema import Settings
from guardian.web import create_app
from guardian.web.daemon import Server
from tracker.event import Event, Failure
from tracker.source import Source
from tracker.sqlite.writer import Writer

ROOT = Path(__file__).resolve().parent.parent
NOW = datetime(2026, 3, 5, 14, 30, tzinfo=UTC)
ADMIN, KEY = "admin@example.com", "a key for pictures that nobody else uses"
PICTURES = (
    ("overview-desk-light", "/?range=24h", 1280, False),
    ("overview-phone-dark", "/?range=24h", 390, True),
    ("person-desk-light", f"/people/person?range=24h&name={UNLUCKY}", 1280, False),
    ("incident-desk-light", "", 1280, False),
    ("rules-desk-dark", "/rules?rule=error_rate&threshold=0.05", 1280, True),
)
"""Name, address ("" is the newest incident), width, and whether by night."""


RELEASES = (("2.4.0", 60 * 24 * 9), ("2.4.1", 60 * 11), ("2.4.2", 26))
"""Each release of the app, and how many minutes ago it came."""


def outage() -> list[Event]:
    """The last hour: the chat's model is down for half of it, and one person's files are too large."""
    made = []
    for second in range(0, 3_600, 8):
        at_us = int((NOW - timedelta(seconds=3_600 - second)).timestamp() * 1e6)
        user = USERS[second // 8 * 7 % len(USERS)]
        down = second > 2_100
        failure = Failure("ModelUnavailable", "the model does not answer", "app.py:42 ask_model") if down else None
        made.append(Event(at_us, user, "/api/chat/message", "POST", "chat_message", 500 if down else 200,
                          40_000 + second % 90 * 700, failure))  # fmt: skip
        if second % 104 == 0:
            large = Failure("HTTP 413", "File too large")
            made.append(Event(at_us + 1, UNLUCKY, "/api/documents", "POST", "document_upload", 413, 9_000, large))
    return made


def release(database: Path) -> None:
    """A request that each release answered: the newest came just before the model went down."""
    for name, minutes in RELEASES:
        at_us = int((NOW - timedelta(minutes=minutes)).timestamp() * 1e6)
        with closing(Writer(str(database), made_by=Source(name, "web-1"))) as writer:
            writer.write([Event(at_us, UNLUCKY, "/api/chat/message", "POST", "chat_message", 200, 41_000, None)])


def record(database: Path, stored: int) -> None:
    """What the app's process would have said of itself."""
    seen = int((NOW - timedelta(seconds=4)).timestamp() * 1e6)
    with closing(sqlite3.connect(database, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO guardian_recorder (id, started_us, seen_us, accepted, stored, dropped, version) "
            "VALUES ('web-1', ?, ?, ?, ?, 0, '0.2.0')",
            (seen - 3_600_000_000, seen, stored, stored),
        )


async def main(images: Path) -> None:
    """Fill a database, judge the last hour minute by minute, serve the pages and take their pictures."""
    moment = [NOW - timedelta(hours=1)]
    with tempfile.TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as door:
        folder = Path(name)
        settings = Settings(
            database=folder / "guardian.db", reports_dir=folder / "reports", admins=(ADMIN,), app_name="Chat",
            schedules=["every 2h"], mail={"directory": folder / "mail"}, api={"jwt_key": KEY},
            rules={"error_rate": {}, "feature_down": {"features": ["chat_message"]}, "user_burst": {}},
        )  # fmt: skip
        async with open_application(settings, clock=lambda: moment[0]) as app:
            events = [each for each in history(NOW, days=16) if each.at_us < int(NOW.timestamp() * 1e6)]
            for first in range(0, len(events), 2_000):
                await app.repository.write(events[first : first + 2_000])
            await app.repository.write(outage())
            release(settings.database)
            record(settings.database, len(events) + len(outage()) + len(RELEASES))
            for minute in range(60, -1, -5):
                moment[0] = NOW - timedelta(minutes=minute)
                await tick(app, 30)
            await send_report_now(app, hours=2)
            server = Server(uvicorn.Config(create_app(app), log_level="critical", lifespan="off", ws="none"))
            task = asyncio.create_task(server.serve(sockets=[door]))
            token = jwt.encode({"email": ADMIN, "sub": ADMIN, "role": "admin", "exp": time.time() + 600}, KEY)
            address = f"http://127.0.0.1:{door.getsockname()[1]}"
            try:
                async with async_playwright() as playwright:
                    browser = await playwright.chromium.launch(
                        executable_path=shutil.which("chromium"), args=["--no-sandbox"]
                    )
                    for picture, path, width, dark in PICTURES:
                        tab = await browser.new_page(
                            viewport={"width": width, "height": 900}, device_scale_factor=2 if width < 500 else 1,
                            color_scheme="dark" if dark else "light", timezone_id="UTC",
                            extra_http_headers={"Authorization": f"Bearer {token}"},
                        )  # fmt: skip
                        await tab.goto(address + (path or "/incidents"))
                        if not path:
                            await tab.locator(".incident a").first.click()
                            await tab.wait_for_url("**/incidents/*")
                        tall = min(1_500, await tab.evaluate("document.documentElement.scrollHeight"))
                        await tab.set_viewport_size({"width": width, "height": tall})
                        await tab.screenshot(path=images / f"{picture}.png")
                        print(images / f"{picture}.png")
                        await tab.close()
                    await browser.close()
            finally:
                server.should_exit = True
                await task


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images" / "dashboard"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
