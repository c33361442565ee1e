"""Makes the pictures of the README from a demo run: the report on a desk and on a phone at night, and the inbox.

    .venv/bin/python scripts/screenshots.py [FOLDER]        # docs/images without one

Needs Chromium (scripts/install-test-tools.sh).
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, async_playwright

ROOT = Path(__file__).resolve().parent.parent


async def shoot(browser: Browser, url: str, to: Path, *, width: int, height: int, dark: bool, whole: bool) -> None:
    """One picture of a page; `whole` takes all of it, at most 1,600 px high."""
    scheme = "dark" if dark else "light"
    page = await browser.new_page(
        viewport={"width": width, "height": height}, device_scale_factor=2 if width < 500 else 1, color_scheme=scheme
    )
    await page.goto(url)
    await page.wait_for_load_state("networkidle")
    if whole:
        tall = min(1_600, await page.evaluate("document.documentElement.scrollHeight"))
        await page.set_viewport_size({"width": width, "height": tall})
    await page.screenshot(path=to)
    await page.close()
    print(to)


async def main(images: Path) -> None:
    """Run the demo until its inbox is there, take the pictures, and end it."""
    with tempfile.TemporaryDirectory() as folder:
        demo = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "guardian", "demo", "--dir", folder, stdout=asyncio.subprocess.PIPE
        )
        assert demo.stdout is not None
        try:
            inbox = ""
            while not inbox:
                line = (await asyncio.wait_for(demo.stdout.readline(), 60)).decode()
                if not line:
                    raise SystemExit("the demo ended before its inbox was there")
                inbox = line.split()[1] if line.startswith("Inbox") else ""
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"),
                    args=["--no-sandbox", "--disable-background-networking"],
                )
                mail = f"{inbox}mail/0001"
                await shoot(browser, mail, images / "inbox.png", width=1280, height=860, dark=False, whole=False)
                report = {"dark": False, "whole": True, "height": 900}
                await shoot(browser, f"{mail}/html", images / "report-desktop.png", width=760, **report)
                phone = report | {"dark": True, "height": 760}
                await shoot(browser, f"{mail}/html", images / "report-phone-dark.png", width=390, **phone)
                await browser.close()
        finally:
            demo.terminate()
            await demo.wait()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
