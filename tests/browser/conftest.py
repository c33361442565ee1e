"""All tests of the pages and mails run on one loop, so that they can share a Chromium, and wait long for what a page is
to show."""

from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.patience import WEB, be_patient

be_patient(WEB)
HERE = Path(__file__).parent
WAIT = 60_000
"""Milliseconds: on a busy machine a page may take longer than the 5 s that Playwright waits."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == HERE and iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def end_of_chromium():
    from playwright.async_api import expect  # here: it may be missing

    from tests.support.chromium import stop

    expect.set_options(timeout=WAIT)
    yield
    await stop()
