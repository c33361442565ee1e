"""The demo's inbox in a real Chromium: what a newcomer sees first."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from itertools import product

import pytest
import uvicorn

from guardian.demo.inbox import create_inbox
from guardian.web.daemon import Server
from tests.support.chromium import chromium

pytestmark = pytest.mark.needs_chromium
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)


def keep(folder, number, subject, html="<p>Hello</p>", parent=None, image=None):
    """Put a message where the SMTP server would."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Guardian <g@example.com>", "admin@example.com", subject
    message["Date"] = format_datetime(NOON + timedelta(minutes=number))
    message["Message-ID"] = f"<{number}@example.com>"
    if parent:
        message["In-Reply-To"] = message["References"] = f"<{parent}@example.com>"
    message.set_content(f"Text of {subject}")
    message.add_alternative(f"<!doctype html><html><head></head><body>{html}</body></html>", subtype="html")
    if image:
        message.get_payload()[1].add_related(image, "image", "png", cid="<chart@example.com>")
    (folder / f"{number:04}.eml").write_bytes(bytes(message))


@asynccontextmanager
async def opened(folder):
    """A page of the inbox of `folder`, and its address."""
    server = Server(uvicorn.Config(create_inbox(folder), port=0, log_level="critical", lifespan="off"))
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(60):
        while not server.started:
            await asyncio.sleep(0.01)
    address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    try:
        async with chromium() as browser:
            tab = await browser.new_page()
            await tab.goto(address)
            yield tab, address
    finally:
        server.should_exit = True
        await task


async def test_mails_are_listed_by_thread_the_liveliest_first_and_the_newest_is_open(tmp_path):
    keep(tmp_path, 1, "The chat is down")
    keep(tmp_path, 2, "A report")
    keep(tmp_path, 3, "Re: The chat is down", parent=1)
    async with opened(tmp_path) as (tab, address):
        subjects = await tab.locator("nav .subject").all_text_contents()
        assert subjects == ["The chat is down", "Re: The chat is down", "A report"]
        assert await tab.locator("header h2").text_content() == "Re: The chat is down"
        await tab.get_by_role("link", name="A report").click()
        await tab.wait_for_url(f"{address}mail/0002")
        assert await tab.locator("[aria-current=page] .subject").text_content() == "A report"
        await tab.frame_locator("iframe").get_by_text("Hello").wait_for()
        await tab.get_by_text("The text part").click()
        await tab.get_by_text("Text of A report").wait_for()
        await tab.get_by_text("Headers").click()
        await tab.get_by_text("Message-ID: <2@example.com>").wait_for()


async def test_a_mail_can_show_its_own_picture_but_run_nothing_and_fetch_nothing(tmp_path):
    calls = []
    spy = await asyncio.start_server(lambda reader, writer: (calls.append("called"), writer.close()), "127.0.0.1", 0)
    port = spy.sockets[0].getsockname()[1]
    html = (
        f'<img id="own" src="cid:chart@example.com"><img src="http://127.0.0.1:{port}/spy.png">'
        '<p id="said">quiet</p><script>document.getElementById("said").textContent = "loud"</script>'
        '<a id="out" href="/mail/0001">link</a>'
    )
    keep(tmp_path, 1, "<script>alert(1)</script>", html, image=PIXEL)
    async with spy, opened(tmp_path) as (tab, _):
        assert await tab.locator("header h2").text_content() == "<script>alert(1)</script>"
        frame = tab.frame_locator("iframe")
        assert await frame.locator("#said").text_content() == "quiet"
        assert await frame.locator("#own").evaluate("image => image.decode().then(() => image.naturalWidth)") == 1
        async with tab.expect_popup() as popup:
            await frame.locator("#out").click()
        assert (await popup.value).url.endswith("/mail/0001")
        assert calls == []


async def test_an_empty_inbox_says_that_it_looks_again_and_does(tmp_path):
    async with opened(tmp_path) as (tab, _):
        assert "No mail yet" in await tab.locator("main").text_content()
        keep(tmp_path, 1, "The first")
        await tab.get_by_role("link", name="The first").wait_for(timeout=60_000)


async def test_it_fits_a_phone_and_a_desk_by_day_and_by_night(tmp_path):
    for number in range(1, 12):
        keep(tmp_path, number, f"A subject of some length, the {number}th, " + "w" * 60)
    async with opened(tmp_path) as (tab, _):
        for width, scheme in product((360, 1280), ("light", "dark")):
            await tab.set_viewport_size({"width": width, "height": 720})
            await tab.emulate_media(color_scheme=scheme)
            assert await tab.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (width, scheme)
            assert (await tab.locator("iframe").bounding_box())["width"] > 300
            # WCAG 2.2, 1.4.3: text needs a contrast of 4.5 to 1.
            assert await tab.evaluate(CONTRAST) >= 4.5, (width, scheme)


CONTRAST = """() => {
  const light = c => { const [r, g, b] = c.match(/[0-9.]+/g).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor
    if (!/, 0\\)$/.test(c)) return c } return 'rgb(255, 255, 255)' }
  const all = [...document.querySelectorAll('.subject, .meta, h1, h1 span, h2, header p, summary')]
  return Math.min(...all.map(e => { const [a, b] = [light(getComputedStyle(e).color), light(ground(e))]
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) })) }"""
