"""Makes the pictures of the README and of docs/demo.md from a demo run: the report on a desk and on a phone at night,
the alert about a release, its end, and the inbox; and those of docs/mail.md from the samples of `guardian preview
--all`.

    .venv/bin/python scripts/screenshots.py [FOLDER]        # docs/images without one

Needs Chromium (scripts/install-test-tools.sh).
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, async_playwright

from guardian.application.preview.folder import all_samples, write_mail
from guardian.application.preview.pictures import SCREENS, find_chromium, take_picture

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


DESKTOP, PHONE_DARK = "desktop-light", "phone-dark"
SHOWN = {"report": (DESKTOP, PHONE_DARK), "alert-feature-down": (DESKTOP, PHONE_DARK)}
"""Which pictures of a sample docs/mail.md shows; of the others the first alone."""


def shoot_samples(images: Path) -> None:
    """The sample mails, cut to 1,400 pixels: what follows is in the files of `guardian preview --all`."""
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("there is no Chromium: run scripts/install-test-tools.sh")
    images.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for sample in asyncio.run(all_samples()):
            write_mail(sample.mail.body, folder, sample.name)
            for screen in SCREENS:
                if screen.name in SHOWN.get(sample.name, (DESKTOP,)):
                    picture = images / f"{sample.name}-{screen.name}.png"
                    take_picture(chromium, folder / f"{sample.name}.html", picture, screen)
                    with Image.open(picture) as image:
                        cut = image.crop((0, 0, image.width, min(image.height, 1_400 * screen.scale)))
                        cut.save(picture, optimize=True)
                    print(picture)


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
                first, *_, last, newest = sorted(path.stem for path in (Path(folder) / "mail").glob("*.eml"))[:4]
                mail = f"{inbox}mail/{newest}"
                await shoot(browser, mail, images / "inbox.png", width=1280, height=860, dark=False, whole=False)
                report = {"dark": False, "whole": True, "height": 900}
                await shoot(browser, f"{mail}/html", images / "report-desktop.png", width=760, **report)
                phone = report | {"dark": True, "height": 760}
                await shoot(browser, f"{mail}/html", images / "report-phone-dark.png", width=390, **phone)
                await shoot(browser, f"{inbox}mail/{first}/html", images / "demo-alert.png", width=760, **report)
                end = f"{inbox}mail/{last}/html"
                await shoot(browser, end, images / "demo-recovery-phone-dark.png", width=390, **phone)
                await browser.close()
        finally:
            demo.terminate()
            await demo.wait()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    target.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(target))
    shoot_samples(target / "mail")
