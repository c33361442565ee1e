"""Every page of the dashboard in a real Chromium: by axe, on a phone and a wide desk, by day and night, and printed."""

from pathlib import Path

import axe_playwright_python
import pytest

from tests.support.dashboard import LISTS, ONES, dashboard, signed_in

pytestmark = pytest.mark.needs_chromium
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
RUN = """axe.run(document, {iframes: false}).then(found => found.violations.map(
  each => each.id + ': ' + each.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | ')))"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
WHAT_IS_WIDER = """[...document.querySelectorAll('main *')]
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1).slice(0, 4).map(e => e.outerHTML.slice(0, 120))"""
SPLIT = """[...document.querySelectorAll('td.when')].filter(e => {
  const text = document.createRange(); text.selectNodeContents(e);
  return text.getBoundingClientRect().height > 1.6 * parseFloat(getComputedStyle(e).fontSize) })
  .slice(0, 3).map(e => e.innerText)"""
PRESSED = ".pages, .search, .pager, .crumb, form, button, .button, .ranges > a, .chips a:not([aria-current])"
OPEN = "document.querySelectorAll('details').forEach(e => { e.open = true })"
CASES = {
    "busy by day": ("en", "light", None, (*LISTS, *ONES)),
    "occupée la nuit": ("fr", "dark", None, (*LISTS, *ONES)),
    "empty by night": ("en", "dark", [], LISTS),
    "vide le jour": ("fr", "light", [], LISTS),
}


@pytest.mark.parametrize("case", CASES)
async def test_axe_finds_nothing_and_nothing_scrolls_sideways_and_the_console_is_silent(tmp_path, case):
    language, scheme, events, paths = CASES[case]
    wrong = []
    async with dashboard(tmp_path, language=language, events=events, incident=events is None) as (browser, address, _):
        tab, said = await signed_in(browser, color_scheme=scheme, locale=language, reduced_motion="reduce")
        for path in paths:
            await tab.set_viewport_size({"width": 1600, "height": 900})
            await tab.goto(address + path)
            await tab.evaluate(OPEN)
            await tab.evaluate(AXE)
            found = await tab.evaluate(RUN)
            for width in (1600, 360):
                await tab.set_viewport_size({"width": width, "height": 900})
                if split := await tab.evaluate(SPLIT):
                    found.append(f"{width}: in more than one line: {split}")
                if (more := await tab.evaluate(WIDER)) > 0:
                    found.append(f"{width}: {more} px wider, {await tab.evaluate(WHAT_IS_WIDER)}")
            await tab.emulate_media(media="print")
            if await tab.locator(PRESSED).locator("visible=true").count():
                found.append("what can only be pressed is printed")
            await tab.emulate_media(media="screen")
            wrong += [f"{path} {each}" for each in found]
        assert not wrong, "\n".join(wrong)
        assert [each for each in said if "/nowhere" not in each] == []
