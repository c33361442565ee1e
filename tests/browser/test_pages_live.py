"""What a page does while it is open, in a real Chromium: it is read anew, follows keys, and answers a slider."""

import re
from datetime import timedelta

import pytest
from playwright.async_api import expect

from tests.support.api_client import NOW, event
from tests.support.chromium import stand_still
from tests.support.dashboard import dashboard, signed_in

pytestmark = pytest.mark.needs_chromium


async def test_the_overview_is_read_anew_and_keeps_focus_scroll_and_what_was_unfolded(tmp_path):
    now = [NOW]
    async with dashboard(tmp_path) as (browser, address, app):
        app.clock = lambda: now[0]
        tab, said = await signed_in(browser, viewport={"width": 900, "height": 500}, reduced_motion="reduce")
        await stand_still(tab)
        await tab.goto(f"{address}/?range=2h")
        people = tab.locator(".figures .value").first
        before = await people.text_content()
        summary = tab.get_by_text("The numbers").nth(1)
        await summary.click()
        table = tab.locator("details.behind[open] .wide")
        await table.evaluate("e => { e.scrollTop = 90 }")
        link = tab.locator("details.behind[open] th a").nth(4)
        await link.focus()
        where = await tab.evaluate("scrollY")
        assert where > 200
        now[0] = NOW + timedelta(seconds=30)
        newcomers = [event(NOW - timedelta(seconds=60 - n), user=f"new{n}@example.com") for n in range(9)]
        await app.repository.write(newcomers)
        await tab.clock.run_for(10_000)
        await expect(people).not_to_have_text(before)
        await expect(table).to_be_visible()
        assert await tab.evaluate("scrollY") == where
        assert await table.evaluate("e => e.scrollTop") == 90
        assert await tab.evaluate("document.activeElement.matches('details.behind[open] tr:nth-child(5) th a')")
        assert said == []


async def test_x_stops_the_page_and_starts_it_again_and_says_so(tmp_path):
    async with dashboard(tmp_path) as (browser, address, _):
        tab, said = await signed_in(browser)
        await stand_still(tab)
        asked = []
        tab.on("request", lambda request: asked.append(request.url) if request.resource_type == "fetch" else None)
        await tab.goto(address)
        await tab.clock.run_for(10_500)
        await tab.wait_for_load_state("networkidle")
        seen = len(asked)
        assert seen == 1
        await tab.keyboard.press("x")
        await expect(tab.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
        await expect(tab.get_by_role("status")).to_have_text("Paused")
        await tab.clock.run_for(60_000)
        assert len(asked) == seen
        await tab.keyboard.press("x")
        await expect(tab.get_by_role("status")).to_have_text("Live again")
        await tab.goto(f"{address}/?live=off")
        asked.clear()
        await tab.clock.run_for(60_000)
        assert asked == [] and said == []


async def test_d_w_and_m_are_ranges_on_each_page_that_has_them_and_no_key_works_with_a_modifier_or_in_a_field(tmp_path):
    async with dashboard(tmp_path) as (browser, address, _):
        tab, said = await signed_in(browser)
        for path in ("/", "/people", "/features", "/errors"):
            await tab.goto(f"{address}{path}")
            for key, asked in (("w", "7d"), ("m", "30d"), ("d", "24h")):
                await tab.keyboard.press(key)
                await expect(tab).to_have_url(f"{address}{path}?range={asked}")
        await tab.keyboard.press("Control+m")
        await tab.keyboard.press("Alt+2")
        await tab.keyboard.press("Shift+W")
        await tab.get_by_role("searchbox").focus()
        await tab.keyboard.type("dwm12x?/")
        await expect(tab.get_by_role("searchbox")).to_have_value("dwm12x?/")
        assert tab.url.startswith(f"{address}/errors") and "30d" not in tab.url
        assert said == []


async def test_the_slider_is_moved_by_the_keyboard_and_the_replay_follows_with_the_focus_kept(tmp_path):
    async with dashboard(tmp_path, rules={"error_rate": {"threshold": 0.1}}) as (browser, address, _):
        tab, said = await signed_in(browser)
        await tab.goto(f"{address}/rules")
        slider = tab.get_by_role("slider")
        await slider.focus()
        await tab.keyboard.press("ArrowRight")
        await tab.keyboard.press("ArrowRight")
        await expect(tab.get_by_role("main")).to_contain_text("threshold = 0.12")
        await expect(tab).to_have_url(re.compile("threshold=0.12"))
        await expect(slider).to_be_focused()
        await expect(tab.locator("output")).to_have_text(re.compile("12"))
        assert said == []


async def test_a_click_on_a_bar_shows_that_time_alone(tmp_path):
    async with dashboard(tmp_path) as (browser, address, _):
        tab, said = await signed_in(browser)
        for path in ("/", "/features?name=chat_message"):
            await tab.goto(address + path)
            begins = await tab.locator("details.behind th a").nth(7).text_content()
            await tab.locator(".chart:has(.bar) .spots rect").nth(7).click()
            await expect(tab).to_have_url(re.compile("range=own&start=.*&end="))
            await expect(tab.locator(".words")).to_contain_text(begins)
        assert said == []


async def test_without_script_a_click_on_the_head_of_a_column_sorts(tmp_path):
    async with dashboard(tmp_path) as (browser, address, _):
        tab, said = await signed_in(browser, java_script_enabled=False)
        for path, heads in (
            ("people", ("Person", "Failed", "Time", "Last seen")),
            ("features", ("Feature", "People", "Failed")),
        ):
            await tab.goto(f"{address}/{path}")
            for head in heads:
                await tab.get_by_role("columnheader", name=head).get_by_role("link").click()
                sorted_by = tab.locator("th[aria-sort]")
                await expect(sorted_by).to_have_count(1)
                await expect(sorted_by).to_contain_text(head)
            names = tab.locator("tbody th a")
            await tab.get_by_role("columnheader", name=heads[0]).get_by_role("link").click()
            found = [await names.nth(i).text_content() for i in range(await names.count())]
            assert found == sorted(found) and len(found) >= 3
        assert said == []
