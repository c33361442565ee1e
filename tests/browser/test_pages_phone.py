"""The pages on a phone, in a real Chromium: every page can be reached, and many people are folded away."""

from datetime import timedelta
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.async_api import expect

from tests.support.api_client import NOW, event, open_incident
from tests.support.dashboard import busy, dashboard, signed_in

pytestmark = pytest.mark.needs_chromium
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN = "axe.run().then(found => found.violations.map(each => each.id + ': ' + each.nodes[0].html.slice(0, 160)))"
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
PARTED = """[...document.querySelectorAll('.triple dd, .figures .value')].filter(
  e => e.offsetHeight > 1.6 * parseFloat(getComputedStyle(e).fontSize)).map(e => e.innerText)"""
LONG = "a-name-of-two-hundred-characters." * 6 + "@example.com"


def hit_by_an_outage(people):
    """Everybody's request fails within the hour."""
    return [event(NOW - timedelta(minutes=50, seconds=-n), user=name, status=500) for n, name in enumerate(people)]


@pytest.mark.parametrize("language", ["en", "fr"])
async def test_a_phone_shows_the_name_of_every_page_without_scrolling_sideways(tmp_path, language):
    async with dashboard(tmp_path, language=language) as (browser, address, _):
        tab, said = await signed_in(browser, viewport={"width": 360, "height": 740}, locale=language)
        await tab.goto(address)
        names = tab.locator("nav.pages a")
        assert await names.count() == 8
        for box in [await names.nth(i).bounding_box() for i in range(8)]:
            assert box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["height"] >= 36
        assert await tab.evaluate("document.querySelector('nav.pages').scrollWidth <= innerWidth")
        assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_forty_people_who_were_hit_are_counted_and_unfold_by_the_keyboard(tmp_path, scheme):
    people = [LONG, *(f"person{n:02}@example.com" for n in range(39))]
    rules = {"feature_down": {"features": ["chat_message"]}}
    async with dashboard(tmp_path, events=hit_by_an_outage(people), incident=False, rules=rules) as world:
        browser, address, app = world
        since = {"onset_us": int((NOW - timedelta(minutes=51)).timestamp() * 1e6), "users": 40}
        await open_incident(app, "chat_message", **since)
        tab, said = await signed_in(browser, viewport={"width": 360, "height": 740}, color_scheme=scheme,
                                    reduced_motion="reduce")  # fmt: skip
        await tab.goto(f"{address}/incidents/chat_message")
        card = tab.locator("#whom")
        fold = card.locator("summary", has_text="Not come back")
        await expect(fold).to_contain_text("40")
        await expect(card.get_by_role("link", name="person00@example.com")).to_be_hidden()
        await fold.focus()
        await tab.keyboard.press("Enter")
        await expect(card.get_by_role("link", name="person00@example.com")).to_be_visible()
        assert await card.locator("li").count() == 40
        await card.locator("summary", has_text="Addresses to copy").click()
        await tab.evaluate(AXE)
        assert await tab.evaluate(RUN) == []
        assert not await tab.evaluate(WIDER)
        assert said == []


async def test_a_few_people_who_were_hit_stand_there_without_a_click(tmp_path):
    rules = {"feature_down": {"features": ["chat_message"]}}
    events = hit_by_an_outage(["ada@example.com", "bob@example.com"])
    async with dashboard(tmp_path, events=events, incident=False, rules=rules) as (browser, address, app):
        await open_incident(app, "chat_message", onset_us=int((NOW - timedelta(minutes=51)).timestamp() * 1e6))
        tab, _ = await signed_in(browser)
        await tab.goto(f"{address}/incidents/chat_message")
        await expect(tab.locator("#whom").get_by_role("link", name="ada@example.com")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_long_table_is_read_on_a_phone_without_scrolling_sideways(tmp_path, scheme):
    events = sorted([*busy(), *(each._replace(user=LONG, feature=LONG[:100]) for each in busy()[:40])])
    async with dashboard(tmp_path, events=events, language="fr") as (browser, address, _):
        tab, said = await signed_in(browser, viewport={"width": 360, "height": 740}, color_scheme=scheme, locale="fr")
        shut = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth).length"
        unlabelled = """[...document.querySelectorAll('.cards:not(.lean) tbody tr:first-child td')]
          .filter(e => !e.dataset.label).length"""
        for path in ("/people", "/features", "/errors", "/people/person?name=ada@example.com", "/system"):
            await tab.goto(address + path)
            assert await tab.evaluate(shut) == 0 and not await tab.evaluate(WIDER), path
            assert await tab.evaluate(unlabelled) == 0, path
            await tab.evaluate(AXE)
            assert await tab.evaluate(RUN) == [], path
        assert said == []


async def test_a_number_on_a_phone_is_never_parted_from_its_unit_and_navigation_takes_two_lines(tmp_path):
    for language in ("en", "fr"):
        async with dashboard(tmp_path / language, language=language) as (browser, address, _):
            tab, _ = await signed_in(browser, viewport={"width": 360, "height": 740}, locale=language)
            await tab.goto(address)
            assert await tab.evaluate(PARTED) == []
            tops = "new Set([...document.querySelectorAll('nav.pages a')].map(e => e.offsetTop)).size"
            assert await tab.evaluate(tops) == 2
            ranges = "new Set([...document.querySelectorAll('.ranges .chips a')].map(e => e.offsetTop)).size"
            assert await tab.evaluate(ranges) == 1
            await tab.goto(f"{address}/people/person?name=ada@example.com")
            here = tab.locator("nav.pages a[aria-current]")
            await expect(here).to_have_text("People" if language == "en" else "Personnes")
