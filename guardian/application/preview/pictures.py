"""Pictures of pages as a reader sees them, by whichever Chromium is on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageChops

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE_SECONDS = 60
MARGIN = 24
"""How many rows of pixels are kept below the end of a page."""


class Screen(NamedTuple):
    """A screen: `width` in CSS pixels, how many pixels each of them is, and whether its owner reads in the dark."""

    name: str
    width: int
    scale: int
    dark: bool


SCREENS = tuple(
    Screen(f"{name}-{'dark' if dark else 'light'}", width, scale, dark)
    for name, width, scale in (("phone", 360, 2), ("desktop", 700, 1))
    for dark in (False, True)
)
"""A phone and a desk, by day and by night."""
HEIGHTS = (2_500, 7_500)
"""How much of a page is drawn, in CSS pixels: the second, and no more, where the first is not enough."""


def find_chromium() -> str | None:
    """The path of a Chromium or Chrome; None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


def take_picture(chromium: str, page: Path, picture: Path, screen: Screen) -> None:
    """Write the page, an HTML file, as the PNG `picture`, from its top to where nothing follows, or to the last of
    `HEIGHTS`. Raises OSError where Chromium does not make one."""
    for height in HEIGHTS:
        _draw(chromium, page, picture, screen, height)
        if trim(picture):
            return


def _draw(chromium: str, page: Path, picture: Path, screen: Screen, height: int) -> None:
    with tempfile.TemporaryDirectory(prefix="guardian-chromium-") as profile:
        command = [
            chromium, "--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-extensions",
            "--disable-background-networking", "--disable-sync", f"--user-data-dir={profile}",
            "--disable-features=PreloadTopChromeWebUI",  # parts of a window that nobody sees
            f"--window-size={screen.width},{height}", f"--force-device-scale-factor={screen.scale}",
            f"--blink-settings=preferredColorScheme={0 if screen.dark else 1}",  # Blink's kDark and kLight
            f"--screenshot={picture}", page.absolute().as_uri(),
        ]  # fmt: skip
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium's sandbox does not run as root
        try:
            subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=True)
        except subprocess.SubprocessError as error:
            raise OSError(f"{chromium} made no picture of {page} ({type(error).__name__})") from None


def trim(picture: Path) -> bool:
    """Cut off the rows at the bottom that are all of one colour, and store few colours; whether there were any."""
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    ground = Image.new("RGB", image.size, image.getpixel((0, image.height - 1)))
    box = ImageChops.difference(image, ground).getbbox()
    end = box[3] if box else 0
    bottom = min(image.height, end + MARGIN)
    image.crop((0, 0, image.width, bottom)).quantize(128).save(picture, "PNG", optimize=True)
    return end + MARGIN < image.height
