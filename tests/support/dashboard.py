"""The dashboard on a port of its own and a Chromium beside it, signed in by a token: what the browser tests share."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import uvicorn

from guardian.application.reporting import send_report_now
from guardian.web import create_app
from guardian.web.daemon import Server
from tests.support.api_client import NOW, bearer, event, open_incident, opened
from tests.support.chromium import chromium
from tests.support.ports import free_port
from tracker.event import Failure

LISTS = ("/", "/people", "/features", "/errors", "/incidents", "/rules", "/mail", "/system")
ONES = (
    "/?range=30d", "/?range=own&compare=off", "/people?q=ada&sort=errors", "/people/person?name=ada@example.com",
    "/people/erase?name=ada@example.com", "/features?name=chat_message", "/errors?feature=chat_message",
    "/incidents/chat", "/rules?rule=error_rate&threshold=0.02", "/mail/1", "/system?check=now", "/nowhere", "/sign-in",
)  # fmt: skip
"""Every kind of page beside the lists, in the busy database."""


def busy():
    """A day of some people, some of whom hit errors."""
    made = []
    for i in range(400):
        status = 413 if i % 17 == 0 else 503 if i % 41 == 0 else 200
        user = ("ada", "bob", "carla", "dora", "emil")[i * i % 5] + "@example.com"
        each = event(NOW - timedelta(minutes=3.5 * (400 - i)), user=user, status=status)
        failure = Failure("ModelUnavailable", "no answer", "chat.py:118 answer") if status == 503 else each.failure
        feature = ("chat_message", "search", "documents")[i % 3]
        made.append(each._replace(feature=feature, endpoint=f"/api/{feature}", duration_us=9_000 * (i % 23 + 1),
                                  failure=failure))  # fmt: skip
    return made


@asynccontextmanager
async def dashboard(folder, *, events=None, incident=True, language="en", wrap=None, port=None, **keys):
    """A browser, the address of the pages, and the application. `wrap` makes another ASGI app of that of the pages."""
    mail = {"directory": folder / "mail", "language": language}
    async with opened(folder, events=busy() if events is None else events, mail=mail, **keys) as application:
        if incident:
            await open_incident(application, "chat", names=("ada@example.com",), users=1)
            await send_report_now(application, hours=24)
        app = create_app(application)
        app = wrap(app) if wrap else app
        port = port or free_port()
        async with browsing(app, port) as browser:
            yield browser, f"http://127.0.0.1:{port}", application


@asynccontextmanager
async def browsing(app, port, **options):
    """A browser, while the app is served at the port. The options are uvicorn's."""
    server = Server(uvicorn.Config(app, port=port, log_level="critical", lifespan="off", ws="none", **options))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    try:
        async with chromium() as browser:
            yield browser
    finally:
        server.should_exit = True
        await task


WATCH = """addEventListener('securitypolicyviolation',
  e => console.error('CSP: ' + e.violatedDirective + ' ' + e.blockedURI))"""


async def signed_in(browser, **options):
    """A tab of an admin, and what its console said: errors, dialogs and what the policy forbade among them."""
    context = await browser.new_context(extra_http_headers=bearer(email="admin@example.com"), **options)
    tab, said = await context.new_page(), []
    await tab.add_init_script(WATCH)
    tab.on("console", lambda message: said.append(f"{tab.url}: {message.text}"))
    tab.on("pageerror", lambda error: said.append(f"{tab.url}: {error}"))
    tab.on("dialog", lambda dialog: said.append(f"{tab.url}: dialog {dialog.message}"))
    return tab, said
