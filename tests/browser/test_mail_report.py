"""The mails in a real Chromium: on a phone and on a desk, by day and by night."""

import email
from datetime import timedelta
from email import policy
from itertools import product

import pytest
import pytest_asyncio

from guardian.core.language import LANGUAGES
from guardian.mail.message import html_page
from guardian.mail.service import EmailService
from tests.support import report_samples as samples
from tests.support.chromium import chromium

pytestmark = pytest.mark.needs_chromium
COMPANIONS = {"prod_report.json": samples.COMPANION, "docs_report.json": {"status": "OK"}, "integrity_report.json": []}
REPORTS = {
    "ordinary": lambda: {"usage_stats": samples.ordinary(), **COMPANIONS},
    "empty": lambda: {"usage_stats": samples.empty()},
    "crowded": lambda: {"usage_stats": samples.crowded()},
    "hostile": lambda: {"usage_stats": samples.hostile(), "<b>x.json": samples.hostile_companion()},
    "long": lambda: {"usage_stats": samples.hostile(samples.LONG), "l.json": samples.hostile_companion(samples.LONG)},
    "javascript": lambda: {"usage_stats": samples.hostile('"><a href="javascript:alert(1)">x</a>')},
}


def page(reports):
    """The HTML part as it goes over the wire, its picture inside it."""
    service = EmailService([], sender="guardian@example.com", timezone="Europe/Zurich", clock=lambda: samples.END)
    upcoming = (samples.END + timedelta(hours=2), (samples.END, samples.END + timedelta(hours=2)))
    mail = service.compose_guardian_report("admin@example.org", reports, key="k", next_report=upcoming)
    return html_page(message_of(mail.body))


def message_of(body):
    return email.message_from_bytes(body, policy=policy.default)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def only_tab():
    """A tab, and what it asks for or says: one for all, since to open one takes longer than most tests."""
    async with chromium() as browser:
        tab, asked = await browser.new_page(), []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("dialog", lambda dialog: asked.append(dialog.message))
        yield tab, asked


@pytest_asyncio.fixture(loop_scope="session")
async def reader(only_tab):
    """The tab as wide as a desk, by day, and what it asks for or says from now on."""
    tab, asked = only_tab
    await tab.set_viewport_size({"width": 700, "height": 900})
    await tab.emulate_media(color_scheme="light")
    asked.clear()
    return tab, asked


@pytest.fixture(scope="module", params=LANGUAGES)
def every_sample(request, samples_in):
    return {s.name: html_page(message_of(s.mail.body)) for s in samples_in(request.param)}


@pytest.mark.parametrize("name", REPORTS)
async def test_it_fits_and_reads_well_on_phone_and_desk_by_day_and_by_night(reader, name):
    await reads_well(*reader, page(REPORTS[name]()), links=False)


async def test_so_does_every_mail_that_guardian_sends(reader, every_sample):
    assert len(every_sample) > 20
    for html in every_sample.values():
        await reads_well(*reader, html, links=True)


async def test_every_mail_names_its_language_and_says_the_same_with_pictures_blocked(reader, every_sample, request):
    tab, _ = reader
    for name, html in every_sample.items():
        await tab.set_content(html)
        own = "fr" if name == "report-french" else request.node.callspec.params["every_sample"]
        assert await tab.evaluate("document.documentElement.lang") == own
        shown = await tab.evaluate("document.body.innerText")
        # As Gmail and Outlook do until the reader allows pictures: the address is gone, the words stay.
        await tab.set_content(html.replace('src="data:', 'src="blocked:'))
        assert await tab.evaluate("document.body.innerText") == shown
        assert await tab.evaluate("document.documentElement.scrollWidth") <= 700
        for image in await tab.locator("img").all():
            assert len(await image.get_attribute("alt")) > 20, name


async def reads_well(tab, asked, html, *, links):
    """Fails where a page is too wide, too pale or too small, fetches anything, or shows a picture without words."""
    await tab.set_content(html)
    for width, scheme in product((360, 700), ("light", "dark")):
        await tab.set_viewport_size({"width": width, "height": 900})
        await tab.emulate_media(color_scheme=scheme)
        assert await tab.evaluate("document.documentElement.scrollWidth") <= width, scheme
        # WCAG 2.2, 1.4.3: text needs a contrast of 4.5 to 1.
        assert await tab.evaluate(PALE) == [], (width, scheme)
        assert await tab.evaluate("Math.min(...[...document.querySelectorAll('td')].filter(e => e.innerText.trim())"
                                  ".map(e => parseFloat(getComputedStyle(e).fontSize)))") >= 12  # fmt: skip
    # The test's own set_content asks for nothing; neither may the mail, but for the picture that it carries.
    assert [url for url in asked if not url.startswith("data:image/png;base64,")] == []
    assert await tab.locator("script, form, iframe, img:not([alt]), img[alt='']").count() == 0
    assert await tab.locator("img:not([src^='data:'])").count() == 0
    assert links or await tab.locator("a[href]").count() == 0


async def test_by_night_the_page_is_dark(reader):
    tab, _ = reader
    await tab.emulate_media(color_scheme="dark")
    await tab.set_content(page(REPORTS["ordinary"]()))
    shade = await tab.locator(".card").evaluate("card => getComputedStyle(card).backgroundColor")
    assert max(map(int, shade.removeprefix("rgb(").rstrip(")").split(","))) < 64


async def test_a_phone_shows_two_figures_side_by_side(reader):
    tab, _ = reader
    await tab.set_viewport_size({"width": 360, "height": 900})
    await tab.set_content(page(REPORTS["ordinary"]()))
    boxes = [await figure.bounding_box() for figure in await tab.locator(".figure").all()]
    assert len(boxes) == 4
    assert boxes[0]["y"] == boxes[1]["y"] < boxes[2]["y"] == boxes[3]["y"]


PALE = """() => {
  const light = c => { const [r, g, b] = c.match(/[0-9.]+/g).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor
    if (!/, 0\\)$/.test(c)) return c } return 'rgb(255, 255, 255)' }
  const found = []
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement
    if (!walk.currentNode.data.trim() || !e.getClientRects().length) continue
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))]
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (contrast < 4.5) found.push([walk.currentNode.data.slice(0, 30), e.className, contrast])
  }
  return found }"""
