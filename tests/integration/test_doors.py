"""The doors of the dashboard: what other pages, other apps on the same host, and servers in between do to them."""

import pytest

from tests.support.doors import HERE, inside, pages, sign_in

__all__ = ["pages"]
EVIL = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}


async def test_another_page_signs_nobody_out(tmp_path, monkeypatch):
    """A browser sends no cookie with a form of another page, but would take what the answer says of it."""
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser, world.browser() as bare:
        await sign_in(world, browser)
        for headers in (EVIL, {"Origin": "null"}, {"Sec-Fetch-Site": "same-site"}):
            for form in ({}, {"everywhere": "1"}):
                answer = await bare.post("/sign-out", data=form, headers=headers)
                assert (answer.status_code, answer.headers.get_list("set-cookie")) == (403, []), headers
        assert (await browser.get("/")).status_code == 200
        gone = await bare.post("/sign-out", headers={"Origin": HERE})
        assert (gone.status_code, gone.headers["location"]) == (303, "/sign-in")


@pytest.mark.parametrize("joined", [True, False], ids=["one header", "two, as over HTTP/2"])
async def test_the_cookie_of_this_path_counts_where_one_of_a_path_above_has_the_same_name(
    tmp_path, monkeypatch, joined
):
    """Browsers send the cookie of the longer path first (RFC 6265, 5.4): another Guardian may be at the root."""
    async with inside(tmp_path, monkeypatch, "/ops") as world, world.browser() as browser:
        await sign_in(world, browser, path="/ops/sign-in")
        mine = browser.cookies["guardian"]
        pair = [f"guardian={mine}", "guardian=of-the-other-one-at-the-root"]
        headers = [("Accept", "text/html")]
        headers += [("Cookie", "; ".join(pair))] if joined else [("Cookie", each) for each in pair]
        async with world.browser() as other:
            assert (await other.get("/ops/", headers=headers)).status_code == 200
