"""What people do to a page by hand, in a real Chromium: follow a mail's link, erase somebody, press keys."""

import re
from datetime import timedelta
from urllib.parse import quote

import pytest
from playwright.async_api import expect

from tests.support.api_client import NOW, event
from tests.support.dashboard import busy, dashboard, signed_in
from tests.support.ports import free_port

pytestmark = pytest.mark.needs_chromium
NAMES = {
    "long": "auth0|" + "0123456789" * 31, "from right to left": "שלום עולם", "two spaces": "dora  two",
    "an address": "ada@example.com", "markup": "x'\"<b>", "capitals": "Łukasz-ÄÖ",
    "both directions": "user_מרים_01",
}  # fmt: skip


@pytest.mark.parametrize("case", NAMES)
async def test_somebody_is_erased_by_typing_or_copying_what_the_page_shows(tmp_path, case):
    name = NAMES[case]
    events = [event(NOW - timedelta(minutes=9), user=name), event(NOW - timedelta(minutes=8), user="other@example.com")]
    async with dashboard(tmp_path, events=events, incident=False) as (browser, address, app):
        tab, said = await signed_in(browser)
        await tab.goto(f"{address}/people/person?name={quote(name)}")
        await tab.get_by_role("link", name="Erase this person").click()
        shown = await tab.locator("main strong").inner_text()
        await tab.get_by_label("Type the name").fill("other@example.com")
        await tab.get_by_role("button", name="Erase").click()
        await expect(tab.get_by_role("main")).to_contain_text("nothing was erased")
        await tab.go_back()
        await tab.get_by_label("Type the name").fill(shown)
        await tab.get_by_role("button", name="Erase").click()
        await expect(tab.get_by_role("heading", level=1)).to_have_text("Erased")
        await expect(tab.get_by_role("main")).to_contain_text("backups")
        left = {each for each, _ in await app.repository.names()}
        assert name not in left and "other@example.com" in left
        assert [each for each in said if "422" not in each] == []


async def test_a_link_of_a_framed_mail_opens_a_page_of_its_own_that_works(tmp_path):
    port = free_port()
    here = {"port": port, "public_url": f"http://127.0.0.1:{port}"}
    async with dashboard(tmp_path, incident=False, **here) as (browser, address, _):
        tab, said = await signed_in(browser)
        await tab.goto(f"{address}/mail")
        await tab.get_by_role("button", name="Send to 1 admin").click()
        await expect(tab.get_by_role("main")).to_contain_text("admin@example.com")
        await tab.goto(f"{address}/mail/1")
        link = tab.frame_locator("iframe.sent").get_by_role("link", name="See it on the dashboard")
        async with tab.context.expect_page() as opening:
            await link.click()
        page = await opening.value
        await expect(page.get_by_role("link", name="Overview")).to_have_attribute("aria-current", "page")
        assert await page.evaluate("[window.origin, window.opener]") == [address, None]
        await expect(link).to_be_visible()
        assert [each for each in said if "scripts" not in each] == []


async def test_a_button_that_is_pressed_twice_sends_one_report(tmp_path):
    async with dashboard(tmp_path, incident=False) as (browser, address, app):
        tab, _ = await signed_in(browser)
        await tab.goto(f"{address}/mail")
        await tab.get_by_role("button", name="Send to 1 admin").dblclick()
        await expect(tab.locator(".mails li")).to_have_count(1)
        await expect(tab.get_by_role("heading", level=1)).to_have_text("Mail")
        await tab.get_by_role("button", name="Send to 1 admin").click()
        await expect(tab.locator(".mails li")).to_have_count(2)
        assert len(await app.state.outbox()) == 2


PRESS = "(key) => document.dispatchEvent(new KeyboardEvent('keydown', {bubbles: true, cancelable: true, ...key}))"


async def test_digits_are_keys_where_a_keyboard_has_them_above_shift(tmp_path):
    """As on a French one, where the key alone types a letter with an accent."""
    async with dashboard(tmp_path, events=busy(), incident=False) as (browser, address, _):
        tab, said = await signed_in(browser)
        await tab.goto(address)
        await tab.evaluate(PRESS, {"key": "2", "code": "Digit2", "shiftKey": True})
        await expect(tab).to_have_url(f"{address}/people")
        for key in (
            {"key": "3", "ctrlKey": True}, {"key": "3", "altKey": True}, {"key": "3", "metaKey": True},
            {"key": "D", "shiftKey": True}, {"key": "é"}, {"key": "3", "repeat": True},
            {"key": "3", "isComposing": True}, {"key": "3", "modifierAltGraph": True},
        ):  # fmt: skip
            await tab.evaluate(PRESS, key)
        await tab.evaluate(PRESS, {"key": "w"})
        await expect(tab).to_have_url(re.compile(r"/people\?range=7d$"))
        assert said == []
