"""The Chromium that all tests of a process share: to start one takes longer than most of them."""

import shutil
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from playwright.async_api import async_playwright

PROGRAMS = ("chromium-headless-shell", "chromium")
"""The first that is installed. The shell is the same Chromium without a window of its own, which even a browser that
shows nothing makes for each page: a page opens there in a fifth of the time of the processor."""
# Chromium takes the last list alone, and Playwright's own comes before: this says what tests need of that one, and that
# no part of the browser's own window, which nobody sees, is made ready beside each page. It took a tenth of the time.
OFF = (
    "PreloadTopChromeWebUI", "HttpsUpgrades", "HttpsFirstBalancedModeAutoEnable", "PaintHolding", "MediaRouter",
    "ThirdPartyStoragePartitioning", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "LensOverlay", "OptimizationHints", "NetworkTimeServiceQuerying",
    "PreconnectToSearch",
)  # fmt: skip
ARGS = ["--no-sandbox", "--disable-background-networking", "--disable-gpu", f"--disable-features={','.join(OFF)}"]
_running = []


@asynccontextmanager
async def chromium():
    """The browser, without the tabs of the test before. It belongs to the loop of the first who asks."""
    if _running and not _running[1].is_connected():
        await stop()
    if not _running:
        playwright = await async_playwright().start()
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        _running[:] = playwright, await playwright.chromium.launch(executable_path=program, args=ARGS)
    try:
        yield _running[1]
    finally:
        for context in _running[1].contexts:
            await context.close()


async def stop():
    """End it, if it runs."""
    if _running:
        playwright, browser = _running
        _running.clear()
        await browser.close()
        await playwright.stop()


async def stand_still(tab):
    """From now on, time goes by in the pages of this tab by `tab.clock.run_for` alone: of itself, an installed clock
    goes on with the machine's, however long that takes for a page."""
    now = datetime(2026, 3, 2, tzinfo=UTC)
    await tab.clock.install(time=now)
    await tab.clock.pause_at(now + timedelta(seconds=1))
