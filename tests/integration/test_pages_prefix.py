"""Every link and form of every page, followed under each kind of prefix: none leads out of it, none to nowhere."""

import re
import shutil
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from guardian.application.reporting import send_report_now
from guardian.web import create_app
from tests.support.api_client import bearer, open_incident, opened
from tests.support.dashboard import LISTS, busy

HERE = "http://guardian.example"


def kept(app):
    return app


def mounted(app):
    return Starlette(routes=[Mount("/ops/guardian", app)])


def stripped(app):
    """A proxy that takes the prefix off, and refuses whatever has none."""

    async def proxy(scope, receive, send):
        path = scope["path"].removeprefix("/ops/guardian")
        assert path != scope["path"], f"asked outside of the prefix: {path}"
        raw = scope["raw_path"].removeprefix(b"/ops/guardian")
        await app({**scope, "path": path or "/", "raw_path": raw or b"/"}, receive, send)

    return proxy


def passed_on(app):
    """A proxy that keeps the prefix, before a server that is told of it as its root_path."""

    async def proxy(scope, receive, send):
        await app({**scope, "root_path": "/ops/guardian"}, receive, send)

    return proxy


WAYS = {
    "at the root": (kept, "", {}, {}),
    "a mount in the host app": (mounted, "/ops/guardian", {}, {}),
    "a proxy that strips, by public_url": (stripped, "/ops/guardian", {}, {"public_url": f"{HERE}/ops/guardian"}),
    "a proxy that strips, by its header": (
        stripped, "/ops/guardian", {"X-Forwarded-Prefix": "/ops/guardian"}, {"dashboard": {"proxies": ["127.0.0.1"]}},
    ),
    "a proxy that keeps, by public_url": (kept, "/ops/guardian", {}, {"public_url": f"{HERE}/ops/guardian"}),
    "a proxy that keeps": (passed_on, "/ops/guardian", {}, {}),
}  # fmt: skip


LEADS = re.compile(r"<form\b[^>]*>|<\w[^>]*\s(?:href|src|name)=[^>]*>|</(?:form|script)>")
"""The tags that say where a page leads, which are few beside all others: no page has a plain ">" within a value."""


class Found(HTMLParser):
    """Where a page leads: its links, its files, and its GET forms as they stand. `posts` are where others lead."""

    def __init__(self, text):
        super().__init__()
        self.links, self.posts, self.form = set(), set(), None
        self.feed("".join(LEADS.findall(text)))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.links |= {given[name] for name in ("href", "src") if name in given}
        if tag == "form" and given.get("method") == "post":
            self.posts.add(given["action"])
        elif tag == "form" and given.get("method") != "dialog":
            self.form = given["action"], {}
        elif tag == "input" and self.form and "name" in given:
            self.form[1][given["name"]] = given.get("value", "")

    def handle_endtag(self, tag):
        if tag == "form" and self.form:
            self.links.add(f"{self.form[0]}?{urlencode(self.form[1])}")
            self.form = None


def kind(address):
    """Addresses that differ in nothing but values are looked at a few times only."""
    parts = urlsplit(address)
    return parts.path, tuple(sorted(each.partition("=")[0] for each in parts.query.split("&")))


@pytest.mark.parametrize("way", WAYS)
async def test_every_link_and_form_stays_under_the_prefix_and_leads_somewhere(tmp_path, way):
    wrap, prefix, headers, keys = WAYS[way]
    async with opened(tmp_path / "d", events=busy(), **keys) as application:
        await open_incident(application, "chat", names=("ada@example.com",), users=1)
        await send_report_now(application, hours=24)
        transport = httpx2.ASGITransport(app=wrap(create_app(application)))
        signed = {**bearer(email="admin@example.com"), **headers, "Accept": "text/html"}
        async with httpx2.AsyncClient(transport=transport, base_url=HERE, headers=signed) as client:
            todo, seen, kinds, posts = [f"{prefix}{path}" for path in LISTS], {}, {}, set()
            while todo:
                address = todo.pop()
                if address in seen or kinds.get(kind(address), 0) >= (1 if prefix else 2):
                    continue
                kinds[kind(address)] = kinds.get(kind(address), 0) + 1
                answer = await client.get(address)
                seen[address] = answer.status_code
                if "/mail/" in address and address.endswith("/body"):
                    continue  # a mail as it was sent: its links are of public_url
                if answer.headers["content-type"].startswith("text/html"):
                    found = Found(answer.text)
                    leads = {urljoin(address, each).partition("#")[0] for each in found.links | found.posts}
                    outside = [each for each in leads if not f"{each}/".startswith(f"{prefix}/")]
                    assert outside == [], address
                    todo += sorted(urljoin(address, each).partition("#")[0] for each in found.links)
                    posts |= {urljoin(address, each) for each in found.posts}
            assert {address: status for address, status in seen.items() if status != 200} == {}
            assert len(kinds) >= 40
            assert len(posts) >= 3
            for address in posts:
                # An empty form of ours is refused in a sentence; that it is not found, or fails, would be a mistake.
                answer = await client.post(address, data={}, headers={"Origin": HERE})
                assert answer.status_code in (303, 400, 403, 404, 409, 422), (address, answer.status_code)
                assert "There is no such page" not in answer.text
            moved = await client.get(f"{prefix}/people", headers={"Authorization": ""})
            assert moved.headers["location"].startswith(f"{prefix}/sign-in?next=")


OWN_NAMES = ("people", "incidents", "rules", "mail", "metrics", "api", "static", "sign-in", "a", "health")
"""Prefixes that are called as a page of ours, or what pages begin with."""


def keeps(app, prefix):
    return app


def strips(app, prefix):
    async def proxy(scope, receive, send):
        path = scope["path"].removeprefix(prefix) or "/"
        assert path != scope["path"]
        await app({**scope, "path": path, "raw_path": path.encode()}, receive, send)

    return proxy


def mounts(app, prefix):
    return Starlette(routes=[Mount(prefix, app)])


@pytest.mark.parametrize("way", [keeps, strips, mounts], ids=lambda way: way.__name__)
async def test_a_prefix_may_be_called_as_one_of_our_own_pages(tmp_path, way):
    """Each page is where its link says, and says the same as without a prefix."""
    made = tmp_path / "made"
    async with opened(made) as application:
        await open_incident(application, "chat")
        await send_report_now(application, hours=24)
    for name in OWN_NAMES:
        prefix = f"/{name}"
        shutil.copytree(made, tmp_path / name)
        async with opened(tmp_path / name, events=[], public_url=HERE + prefix) as application:
            transport = httpx2.ASGITransport(app=way(create_app(application), prefix))
            signed = {**bearer(email="admin@example.com"), "Accept": "text/html"}
            async with httpx2.AsyncClient(transport=transport, base_url=HERE, headers=signed) as client:
                home = await client.get(f"{prefix}/")
                assert 'aria-current="page" data-key="1"' in home.text, prefix
                for path in (*LISTS[1:], "/incidents/chat", "/mail/1", "/people/person?name=ada@example.com"):
                    page = await client.get(prefix + path)
                    own = path.partition("?")[0].rpartition("/")[0] or path
                    assert page.status_code == 200, prefix + path
                    assert f'<a href="{prefix}{own}" aria-current=' in page.text, prefix + path
                style = next(each for each in Found(home.text).links if each.endswith(".css"))
                assert (await client.get(style)).headers["content-type"].startswith("text/css"), style
                metrics = await client.get(f"{prefix}/metrics")
                assert metrics.text.startswith("# HELP"), prefix
                asked = await client.get(f"{prefix}/sign-in", headers={"Authorization": ""})
                assert f'data-base="{prefix}"' in asked.text and asked.status_code == 200, prefix
