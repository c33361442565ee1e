"""Signing in over HTTPS in a real Chromium, on the browser that asked and on another: at the root, mounted in a host
app, and behind a proxy that strips a prefix; with what the host app beside it gets to see."""

import asyncio
import re
import subprocess
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

import pytest
from playwright.async_api import expect
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route

from guardian.web import create_app
from tests.support.api_client import opened
from tests.support.dashboard import browsing, busy
from tests.support.ports import free_port

pytestmark = [
    pytest.mark.needs_chromium,
    pytest.mark.needs_openssl,
]


async def beside(request):
    """A page of the app on the same host, which says what cookies came."""
    return HTMLResponse(f"<!doctype html><link rel=icon href=data:,><p>cookies: {request.headers.get('cookie', '')}")


def mounted(app):
    return Starlette(routes=[Mount("/ops", app), Route("/", beside)])


def stripped(*said):
    """A proxy that ends TLS and takes /ops off; `said` are headers that it sets beside the usual ones."""

    def wrap(app):
        host = Starlette(routes=[Route("/", beside)])

        async def proxy(scope, receive, send):
            if not f"{scope['path']}/".startswith("/ops/"):
                return await host(scope, receive, send)
            kept = [each for each in scope["headers"] if not each[0].startswith(b"x-forwarded-")]
            set_by_it = [(b"x-forwarded-for", b"203.0.113.7"), (b"x-forwarded-proto", b"https"), *said]
            inner = {**scope, "scheme": "http", "headers": kept + set_by_it}
            inner["path"] = scope["path"].removeprefix("/ops") or "/"
            inner["raw_path"] = scope["raw_path"].removeprefix(b"/ops") or b"/"
            return await app(inner, receive, send)

        return proxy

    return wrap


WAYS = {
    "at the root": ("", lambda app: app, True),
    "mounted": ("/ops", mounted, True),
    "a proxy strips, by public_url": ("/ops", stripped(), True),
    "a proxy strips, by its header": ("/ops", stripped((b"x-forwarded-prefix", b"/ops")), False),
}


@asynccontextmanager
async def served(folder, prefix, wrap, told):
    """A browser, the address of the host, and the application; `told` says that public_url has the prefix."""
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {folder}/key -out {folder}/crt -days 2 -subj /CN=x"
    subprocess.run(made.split(), check=True, capture_output=True, timeout=60)
    port = free_port()
    host = f"https://127.0.0.1:{port}"
    keys = {"public_url": host + (prefix if told else ""), "dashboard": {"proxies": ["127.0.0.1"]}}
    async with opened(folder / "d", events=busy(), **keys) as application:
        app = wrap(create_app(application))
        options = {"proxy_headers": False, "ssl_keyfile": folder / "key", "ssl_certfile": folder / "crt"}
        async with browsing(app, port, **options) as browser:
            yield browser, host, application


async def tab_of(browser):
    context = await browser.new_context(ignore_https_errors=True)
    tab, said = await context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    return tab, said


async def ask(tab, address):
    await tab.goto(address)
    await tab.get_by_label("Mail address").fill("admin@example.com")
    await tab.get_by_role("button", name="Mail me a link").click()
    await expect(tab.get_by_role("heading")).to_have_text("Check your mail")


async def mailed(application, number):
    """The path of the link in the mail of this number, once it is there."""
    async with asyncio.timeout(60):
        while len(items := await application.state.outbox()) < number:
            await asyncio.sleep(0.02)
    mail = message_from_bytes(items[0].message.body, policy=policy.default)
    return re.search(r"/sign-in/\S+", mail.get_body(("plain",)).get_content())[0]


@pytest.mark.parametrize("way", WAYS)
async def test_one_signs_in_here_and_from_another_browser_and_out_everywhere(tmp_path, way):
    prefix, wrap, told = WAYS[way]
    async with served(tmp_path, prefix, wrap, told) as (browser, host, application):
        here = host + prefix
        (desk, said), (phone, said_there) = await tab_of(browser), await tab_of(browser)
        await ask(desk, f"{here}/people?range=7d")
        link = await mailed(application, 1)
        await phone.goto(here + link)
        code = await phone.locator("code").text_content()
        await desk.get_by_label("Code").fill(code)
        await desk.get_by_role("button", name="Sign in").click()
        await expect(desk).to_have_url(f"{here}/people?range=7d")
        kind = "__Secure-" if prefix else "__Host-"
        held = {each["name"]: each for each in await desk.context.cookies()}
        assert set(held) <= {f"{kind}guardian", "guardian-zone"}
        session = held[f"{kind}guardian"]
        assert (session["path"], session["secure"], session["httpOnly"], session["sameSite"]) == (
            prefix or "/", True, True, "Lax",
        )  # fmt: skip
        await phone.goto(here + link)  # it has been used by its code
        await expect(phone.get_by_role("main")).to_contain_text("has been used")
        await ask(phone, f"{here}/errors")
        await phone.goto(here + await mailed(application, 2))
        await expect(phone).to_have_url(f"{here}/errors")
        await desk.keyboard.press("3")
        await expect(desk).to_have_url(re.compile(f"^{here}/features"))
        if prefix:
            await desk.goto(f"{host}/")
            assert await desk.locator("p").text_content() == "cookies: "
            await desk.goto(f"{here}/")
        await desk.locator("summary").first.click()
        await desk.get_by_role("button", name="Sign out everywhere").click()
        await expect(desk.get_by_label("Mail address")).to_be_visible()
        await phone.goto(f"{here}/")
        await expect(phone.get_by_label("Mail address")).to_be_visible()
        assert [each for each in said + said_there if "410" not in each] == []
