"""Signing in to the dashboard in a real Chromium, through the mails that Guardian sent."""

import asyncio
import re
from contextlib import asynccontextmanager
from email import message_from_bytes, policy

import pytest
from playwright.async_api import expect
from starlette.applications import Starlette
from starlette.routing import Mount

from guardian.application.signing_in import print_link
from guardian.web import create_app
from guardian.web.pages import page, routes
from tests.support.api_client import opened
from tests.support.chromium import stand_still
from tests.support.dashboard import browsing
from tests.support.ports import free_port

pytestmark = pytest.mark.needs_chromium
HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "\u202eabc",
]


async def _values(view):
    return {"text": " | ".join([f"{view.address} ({view.role})", *HOSTILE]), "back": "/second"}


@asynccontextmanager
async def served(folder, monkeypatch, mount="", pages=None):
    """A browser, the address of the pages, and the application behind them."""
    pages = pages or (
        page.Page("/", "Overview", _values, "problem.html", nav=True, key="1"),
        page.Page("/second", "Second", _values, "problem.html", nav=True, key="2"),
    )
    monkeypatch.setattr(routes, "PAGES", pages)
    port = free_port()
    address = f"http://127.0.0.1:{port}{mount}"
    async with opened(folder, public_url=address) as application:
        app = create_app(application)
        app = Starlette(routes=[Mount(mount, app)]) if mount else app
        async with browsing(app, port) as browser:
            yield browser, address, application


async def tab_of(browser, **options):
    """A tab of a browser of its own, and what its console said."""
    context = await browser.new_context(**options)
    tab, said = await context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    return tab, said


async def mailed(application):
    """The link of the newest mail, once it is there."""
    async with asyncio.timeout(60):
        while not (items := await application.state.outbox()):
            await asyncio.sleep(0.02)
    mail = message_from_bytes(items[0].message.body, policy=policy.default)
    return re.search(r"http://\S+/sign-in/\S+", mail.get_body(("plain",)).get_content())[0]


async def ask(tab, address):
    await tab.goto(f"{address}/second?range=7d")
    await tab.get_by_label("Mail address").fill("admin@example.com")
    await tab.get_by_role("button", name="Mail me a link").click()
    await expect(tab.get_by_role("heading")).to_have_text("Check your mail")


@pytest.mark.parametrize("mount", ["", "/ops/guardian"])
async def test_the_link_signs_in_the_browser_that_asked(tmp_path, monkeypatch, mount):
    async with served(tmp_path, monkeypatch, mount) as (browser, address, application):
        tab, said = await tab_of(browser)
        await ask(tab, address)
        await tab.goto(await mailed(application))
        await expect(tab).to_have_url(f"{address}/second?range=7d")
        await expect(tab.get_by_role("main")).to_contain_text("admin@example.com (admin)")
        await expect(tab.get_by_role("main")).to_contain_text(HOSTILE[1])
        await tab.locator("summary").click()
        await tab.get_by_role("button", name="Sign out", exact=True).click()
        await expect(tab.get_by_label("Mail address")).to_be_visible()
        await tab.goto(f"{address}/")
        await expect(tab.get_by_label("Mail address")).to_be_visible()
        assert said == []


async def test_on_another_device_the_link_shows_a_code_for_the_first(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as (browser, address, application):
        desk, said = await tab_of(browser)
        phone, said_there = await tab_of(browser, viewport={"width": 360, "height": 720}, color_scheme="dark")
        await ask(desk, address)
        await phone.goto(await mailed(application))
        code = await phone.locator("code").text_content()
        assert await phone.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await desk.get_by_label("Code").fill(code.lower())
        await desk.get_by_role("button", name="Sign in").click()
        await expect(desk).to_have_url(f"{address}/second?range=7d")
        await phone.goto(f"{address}/")
        await expect(phone.get_by_label("Mail address")).to_be_visible()
        assert (said, said_there) == ([], [])


async def test_a_scanner_with_a_browser_that_presses_every_button_is_not_in(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as (browser, address, application):
        tab, _ = await tab_of(browser)
        scanner, _ = await tab_of(browser)
        await ask(tab, address)
        link = await mailed(application)
        await scanner.goto(link)
        await scanner.get_by_role("button").click()
        await expect(scanner.get_by_role("heading")).to_have_text("Check your mail")
        await scanner.goto(f"{address}/")
        await expect(scanner.get_by_label("Mail address")).to_be_visible()
        await tab.goto(link)
        await expect(tab).to_have_url(f"{address}/second?range=7d")


async def test_it_works_by_the_keyboard_alone(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as (browser, address, application):
        tab, said = await tab_of(browser)
        await tab.goto(address)
        await expect(tab.get_by_label("Mail address")).to_be_focused()
        await tab.keyboard.type("admin@example.com")
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_label("Code")).to_be_focused()
        await tab.goto(await mailed(application))
        await expect(tab.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
        await tab.keyboard.press("Tab")
        await expect(tab.get_by_role("link", name="Skip to content")).to_be_focused()
        await tab.keyboard.press("Control+2")
        await tab.keyboard.press("1")
        await expect(tab).to_have_url(f"{address}/")
        await tab.keyboard.press("2")
        await expect(tab).to_have_url(f"{address}/second")
        await tab.locator("summary").focus()
        await tab.keyboard.press("Enter")
        await tab.keyboard.press("Tab")
        await expect(tab.get_by_role("button", name="Sign out", exact=True)).to_be_focused()
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_label("Mail address")).to_be_visible()
        assert said == []


async def test_without_script_one_signs_in_by_a_printed_link_and_out_everywhere(tmp_path, monkeypatch):
    async with served(tmp_path, monkeypatch) as (browser, address, application):
        tab, _ = await tab_of(browser, java_script_enabled=False)
        await tab.goto(await print_link(application))
        await tab.get_by_role("button", name="Sign in").click()
        await expect(tab).to_have_url(f"{address}/")
        await tab.locator("summary").click()
        await tab.get_by_role("button", name="Sign out everywhere").click()
        await expect(tab.get_by_label("Mail address")).to_be_visible()
        await ask(tab, address)
        await tab.goto(await mailed(application))
        await expect(tab).to_have_url(f"{address}/second?range=7d")


async def test_an_open_page_is_brought_up_to_date_and_keeps_the_focus_until_it_is_paused(tmp_path, monkeypatch):
    looks = []

    async def counting(view):
        looks.append(view.now)
        return {"text": f"look {len(looks)}", "back": "/"}

    async def alive(route):
        answer = await route.fetch()
        body = (
            (await answer.text())
            .replace('id="content"', 'id="content" data-live')
            .replace("</header>", '<button data-pause data-paused="Paused" hidden>Pause</button></header>')
        )
        await route.fulfill(response=answer, body=body)

    async with served(tmp_path, monkeypatch, pages=(page.Page("/", "Live", counting, "problem.html"),)) as (
        browser, address, application,
    ):  # fmt: skip
        tab, said = await tab_of(browser)
        await tab.goto(await print_link(application))
        await stand_still(tab)
        await tab.route(f"{address}/", alive)
        await tab.get_by_role("button", name="Sign in").click()
        await expect(tab.get_by_text("look 1")).to_be_visible()
        await tab.goto(f"{address}/")  # what a redirect leads to is not routed
        await tab.get_by_role("link", name="Back").focus()
        await expect(tab.get_by_text("look 2")).to_be_visible()
        await tab.clock.run_for(10_000)
        await expect(tab.get_by_text("look 3")).to_be_visible()
        await expect(tab.get_by_role("link", name="Back")).to_be_focused()
        await tab.keyboard.press("x")
        await expect(tab.get_by_role("status")).to_have_text("Paused")
        await tab.clock.run_for(30_000)
        assert len(looks) == 3
        await application.stores.sign_ins.end_sessions("admin@example.com")
        await tab.keyboard.press("x")
        await expect(tab.get_by_label("Mail address")).to_be_visible()
        assert [each for each in said if "401" not in each] == []
