"""The doors of the dashboard: what other pages, other apps on the same host, and servers in between do to them."""

import pytest

from tests.support.api_client import bearer
from tests.support.doors import HERE, ask, inside, pages, sign_in, token_of

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


@pytest.mark.parametrize(
    "way",
    ["/thing/7?name=" + "%E5%90%8D" * 100, "/thing/a%20b", "/thing/d%C3%A9tail", "/thing/7?name=" + "n" * 600],
    ids=["long, in another script", "a space", "another script", "long"],
)
async def test_after_signing_in_one_is_where_one_wanted_to_go(tmp_path, monkeypatch, way):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        first = await browser.get(way)
        entered = await sign_in(world, browser, path=first.headers["location"])
        assert entered.headers["location"] == way
        assert (await browser.get(way)).status_code == 200


async def test_a_root_path_is_taken_off_what_begins_with_it_and_off_no_other_path(tmp_path, monkeypatch):
    """As Hypercorn has it behind a proxy that strips: the path comes without the root_path."""
    async with inside(tmp_path, monkeypatch) as world:
        inner = world.asgi

        async def server(scope, receive, send):
            await inner({**scope, "root_path": "/th"}, receive, send)

        world.asgi = server
        async with world.browser() as browser:
            moved = await browser.get("/thing/7")
            assert moved.headers["location"] == "/th/sign-in?next=%2Fthing%2F7"


async def test_a_page_asked_for_by_head_is_answered_as_by_get(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        assert (await browser.head("/")).status_code == 303
        assert (await browser.head("/", headers=bearer())).status_code == 200


async def test_who_asks_for_a_link_for_a_long_address_or_with_a_torn_form_hears_why(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await ask(browser)
        token = token_of(await browser.get("/sign-in"))
        for address in ("a" * 500 + "@example.com", "", " ", "ada", "a@b@c", "\x00@example.com", "é" * 400):
            answer = await browser.post("/sign-in", data={"csrf": token, "address": address})
            assert (answer.status_code, "This is not a mail address" in answer.text) == (422, True), address
