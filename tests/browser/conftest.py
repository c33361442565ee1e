"""All tests of the pages and mails run on one loop, so that they can share a Chromium."""

from inspect import iscoroutinefunction
from pathlib import Path

import pytest
import pytest_asyncio

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == HERE and iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def end_of_chromium():
    from tests.support.chromium import stop  # here: Playwright may be missing

    yield
    await stop()
