"""When a feature was first and last used, to the minute, in windows of any length."""

from datetime import timedelta

import pytest

from tests.support.api_client import NOW, event, opened
from tests.support.pages import text_of
from tests.support.plain import plain

FIRST = {29: "Sun 1 Feb, 07:16", 6: "Tue 24 Feb, 07:16", 0: "Mon 2 Mar, 07:16"}


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize(("asked", "days"), [("30d", 29), ("7d", 6), ("24h", 0)])
async def test_a_feature_says_the_minutes_of_its_first_and_last_use(tmp_path, asked, days, sealed):
    first, last = NOW - timedelta(days=days, hours=5, minutes=13, seconds=7), NOW - timedelta(hours=1, minutes=17)
    others = [
        event(at)._replace(feature="search") for at in (first - timedelta(minutes=1), last + timedelta(minutes=2))
    ]
    async with opened(tmp_path / "d", events=[event(first), event(last), *others]) as app:
        if sealed:
            await app.repository.seal(NOW)
        page = plain(await text_of(app, "/features", name="chat_message", range=asked, zone="UTC"))
        assert f"First used {FIRST[days]}, last used Mon 2 Mar, 11:13, in this period." in page


async def test_a_feature_that_was_used_once_was_first_and_last_used_then(tmp_path):
    at = NOW - timedelta(hours=1, minutes=11)
    async with opened(tmp_path / "d", events=[event(at)]) as app:
        page = plain(await text_of(app, "/features", name="chat_message", range="30d", zone="UTC"))
        assert "First used Mon 2 Mar, 11:19, last used Mon 2 Mar, 11:19, in this period." in page
