"""The doors of the dashboard with two pages behind them, and browsers that come over HTTP without a network."""

import asyncio
import re
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from guardian.web import create_app
from guardian.web.api import Doors
from guardian.web.pages import page, routes
from tests.support.api_client import NOW, opened

HERE = "http://127.0.0.1:8765"
ADMIN, VIEWER = "admin@example.com", "viewer@example.com"


async def _values(view):
    return {"text": f"{view.address} is {view.role}: {view.query.get('name', '')} csrf:{view.csrf}", "back": ""}


async def _act(view, form):
    return f"/done/{form['what']}"


@pytest.fixture(autouse=True)
def pages(monkeypatch):
    """Two pages, so that what is tested here does not depend on those that there are."""
    found = (
        page.Page("/", "Overview", _values, "problem.html", nav=True, key="1"),
        page.Page("/thing/{id}", "Thing", _values, "problem.html", act=_act),
    )
    monkeypatch.setattr(routes, "PAGES", found)


class Inside:
    """An open application, its server, and the clock of both."""

    def __init__(self, application, app, doors, clock):
        self.app, self.asgi, self.doors, self.clock = application, app, doors, clock

    def browser(self, base=HERE, peer=("127.0.0.1", 5000), **headers):
        transport = httpx2.ASGITransport(app=self.asgi, client=peer, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url=base, headers={"Accept": "text/html", **headers})

    async def mails(self):
        await asyncio.gather(*(task for each in self.doors for task in each._tasks))  # what no answer waits for
        items = await self.app.state.outbox()
        return [message_from_bytes(each.message.body, policy=policy.default) for each in reversed(items)]

    async def link(self):
        text = (await self.mails())[-1].get_body(("plain",)).get_content()
        return re.search(r"https?://\S+/sign-in/\S+", text)[0]


@asynccontextmanager
async def inside(folder, monkeypatch, mount="", **keys):
    keys.setdefault("dashboard", {"viewers": [VIEWER]})
    made, clock = [], [NOW]
    monkeypatch.setattr(Doors, "__init__", _noted(Doors.__init__, made))
    async with opened(folder, **{"public_url": HERE + mount, **keys}) as application:
        application.clock = lambda: clock[0]
        app = create_app(application)
        yield Inside(application, Starlette(routes=[Mount(mount, app)]) if mount else app, made, clock)


def _noted(init, made):
    def noted(self, *args):
        made.append(self)
        init(self, *args)

    return noted


def token_of(answer):
    return re.search(r'(?:name="csrf" value="|csrf:)(\w+)', answer.text)[1]


async def ask(browser, address=ADMIN, path="/sign-in"):
    shown = await browser.get(path)
    action = re.search(r'<form method="post" action="([^"]+)"', shown.text)[1]
    return await browser.post(action, data={"csrf": token_of(shown), "address": address})


async def sign_in(world, browser, address=ADMIN, path="/sign-in"):
    await ask(browser, address, path)
    return await browser.get(await world.link())
