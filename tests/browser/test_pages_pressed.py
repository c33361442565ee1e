"""What people do to a page by hand, in a real Chromium: follow a mail's link, erase somebody, press keys."""


import pytest
from playwright.async_api import expect

from tests.support.dashboard import dashboard, signed_in
from tests.support.mail_servers import free_port

pytestmark = pytest.mark.needs_chromium


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
