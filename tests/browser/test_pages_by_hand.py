"""What people do on the pages, in a real Chromium: without script, by the keyboard alone, and among 50,000 people."""

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.api_client import NOW, event
from tests.support.dashboard import dashboard, signed_in

pytestmark = pytest.mark.needs_chromium


async def test_without_script_one_filters_sorts_searches_takes_a_file_and_acts(tmp_path):
    async with dashboard(tmp_path) as (browser, address, _):
        tab, said = await signed_in(browser, java_script_enabled=False)
        await tab.goto(address)
        await tab.get_by_role("link", name="30 days", exact=True).click()
        await expect(tab).to_have_url(f"{address}/?range=30d")
        await tab.get_by_text("Another time").click()
        await tab.locator("[name=start]").fill("2026-03-02T06:00")
        await tab.locator("[name=end]").fill("2026-03-02T12:00")
        await tab.get_by_role("button", name="Show").click()
        await expect(tab).to_have_url(re.compile("range=own.*start=2026-03-02T06%3A00"))
        await tab.get_by_role("link", name="People", exact=True).click()
        await tab.get_by_role("searchbox").fill("ada")
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_role("main")).to_contain_text("ada@example.com")
        await expect(tab.get_by_role("main")).not_to_contain_text("bob@example.com")
        for form, holds in (("CSV", "ada@example.com"), ("JSON", "ada@example.com")):
            async with tab.expect_download() as download:
                await tab.get_by_role("link", name=form).first.click()
            saved = Path(await (await download.value).path()).read_text(encoding="utf-8")
            assert holds in saved
            if form == "JSON":
                assert json.loads(saved)
        await tab.goto(f"{address}/rules?rule=error_rate")
        await tab.get_by_role("slider").fill("0.3")
        await tab.locator("form:has([type=range]) button").click()
        await expect(tab).to_have_url(re.compile("threshold=0.3"))
        await expect(tab.get_by_role("main")).to_contain_text("threshold = 0.3")
        await tab.goto(f"{address}/incidents/chat")
        await tab.get_by_role("button", name="Acknowledge").click()
        await expect(tab.get_by_role("main")).to_contain_text("acknowledged by admin@example.com")
        await tab.goto(f"{address}/people/erase?name=ada@example.com")
        await tab.locator("[name=again]").fill("ada@example.com")
        await tab.locator("main form button").first.click()
        await tab.goto(f"{address}/people")
        await expect(tab.get_by_role("main")).not_to_contain_text("ada@example.com")
        assert said == []


async def test_by_the_keyboard_alone_every_page_is_reached_and_searched_and_what_is_focused_is_seen(tmp_path):
    async with dashboard(tmp_path) as (browser, address, _):
        tab, said = await signed_in(browser, viewport={"width": 1280, "height": 800})
        await tab.goto(address)
        for key, path in zip("2345678", ("people", "features", "errors", "incidents", "rules", "mail", "system")):
            await tab.keyboard.press(key)
            await expect(tab).to_have_url(f"{address}/{path}")
        await tab.keyboard.press("2")
        await expect(tab).to_have_url(f"{address}/people")
        await tab.keyboard.press("/")
        await expect(tab.get_by_role("searchbox")).to_be_focused()
        await tab.keyboard.type("2bob")
        await tab.keyboard.press("Enter")
        await expect(tab).to_have_url(re.compile("q=2bob"))
        await tab.keyboard.press("1")
        await expect(tab).to_have_url(f"{address}/")
        await tab.keyboard.press("?")
        await expect(tab.get_by_role("dialog")).to_be_visible()
        await tab.keyboard.press("Escape")
        await tab.keyboard.press("m")
        await expect(tab).to_have_url(f"{address}/?range=30d")
        unseen = """() => { const e = document.activeElement, box = e.getBoundingClientRect(), s = getComputedStyle(e)
          return box.width && box.height && s.outlineStyle != 'none' ? '' : e.outerHTML.slice(0, 120) }"""
        reached = set()
        for _ in range(60):
            await tab.keyboard.press("Tab")
            if await tab.evaluate("document.activeElement === document.body"):
                break
            assert await tab.evaluate(unseen) == ""
            reached.add(await tab.evaluate("document.activeElement.textContent.trim().slice(0, 40)"))
        assert {"Skip to content", "7 days", "Pause", "The numbers", "CSV"} <= reached
        assert said == []


async def test_among_50_000_people_one_is_found_and_the_last_page_shown(tmp_path):
    names = (f"person{i:05}@example.com" for i in range(50_000))
    events = [event(NOW - timedelta(minutes=60, microseconds=-i), user=name) for i, name in enumerate(names)]
    async with dashboard(tmp_path, events=events, incident=False) as (browser, address, _):
        tab, said = await signed_in(browser, viewport={"width": 360, "height": 800})
        for path in ("/", "/people", "/features", "/system"):
            answer = await tab.goto(f"{address}{path}")
            assert (answer.status, len(await answer.body()) < 60_000) == (200, True), path
        await tab.goto(f"{address}/people")
        await expect(tab.get_by_role("main")).to_contain_text("50,000")
        await tab.get_by_role("link", name="Next").click()
        await expect(tab).to_have_url(re.compile("page=2"))
        await tab.goto(f"{address}/people?page=100000")
        assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await expect(tab.get_by_role("link", name="Next")).to_have_count(0)
        await tab.get_by_role("searchbox").fill("person31415")
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_role("link", name="person31415@example.com")).to_be_visible()
        assert said == []
