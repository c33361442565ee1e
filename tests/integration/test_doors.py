"""The doors of the dashboard: what other pages, other apps on the same host, and servers in between do to them."""

import logging

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.support.api_client import bearer
from tests.support.doors import ADMIN, HERE, VIEWER, ask, inside, pages, sign_in, token_of

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
        mine = browser.cookies["guardian-8765"]
        pair = [f"guardian-8765={mine}", "guardian-8765=of-the-other-one-at-the-root"]
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


async def test_a_mount_in_another_script_has_its_cookies_and_addresses(tmp_path, monkeypatch):
    prefix = "/%C3%BCberwachung/%E7%9B%A3%E8%A6%96"
    keys = {"public_url": HERE + prefix}
    async with inside(tmp_path, monkeypatch, "/überwachung/監視", **keys) as world, world.browser() as browser:
        entered = await sign_in(world, browser, path=f"{prefix}/sign-in")
        assert entered.headers["location"] == f"{prefix}/"
        session = entered.headers.get_list("set-cookie")[0]
        assert f"; Path={prefix};" in session
        assert (await browser.get(f"{prefix}/")).status_code == 200
        moved = await browser.get(f"{prefix}/thing/7", headers={"Cookie": "none=1"})
        assert moved.headers["location"] == f"{prefix}/sign-in?next=%2Fthing%2F7"


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


FORWARDED = {"X-Forwarded-For": "10.0.0.9", "X-Forwarded-Email": ADMIN, "X-Forwarded-Prefix": "/g"}


def believing(app, client):
    """A server that puts the address of X-Forwarded-For in place of the connection's, as uvicorn does by default for
    connections of this machine, and for all with --forwarded-allow-ips '*'."""

    async def server(scope, receive, send):
        await app({**scope, "client": client}, receive, send)

    return server


@pytest.mark.parametrize(
    ("said", "client"),
    [("10.0.0.9", ("10.0.0.9", 0)), ("10.0.0.9:4711", ("10.0.0.9", 4711)), ("[fd00::9]:80", ("fd00::9", 80)),
     ("10.0.0.9", ["10.0.0.9", None])],
)  # fmt: skip
async def test_a_client_that_claims_the_address_of_a_proxy_lets_itself_in_nowhere(
    tmp_path, monkeypatch, caplog, said, client
):
    keys = {"dashboard": {"proxies": ["10.0.0.0/8", "fd00::/8"], "trusted_header": "X-Forwarded-Email"}}
    async with inside(tmp_path, monkeypatch, **keys) as world:
        world.asgi = believing(world.asgi, client)
        async with world.browser(peer=("192.0.2.1", 5), **{**FORWARDED, "X-Forwarded-For": said}) as browser:
            with caplog.at_level(logging.WARNING, "guardian.web"):
                for _ in range(3):
                    assert (await browser.get("/thing/7")).status_code == 303
            [line] = [each.getMessage() for each in caplog.records if each.name == "guardian.web"]
            assert line == (
                "X-Forwarded-Email is not believed: the server that runs Guardian has put the address of "
                "X-Forwarded-For in place of the proxy's, so that nobody knows who asks; for uvicorn add "
                "--no-proxy-headers"
            )


async def test_behind_a_server_that_believes_forwarded_addresses_the_prefix_of_the_proxy_counts(tmp_path, monkeypatch):
    keys = {"dashboard": {"proxies": ["127.0.0.1"]}, "public_url": "https://example.com/g"}
    async with inside(tmp_path, monkeypatch, **keys) as world:
        world.asgi = believing(world.asgi, ("203.0.113.9", 0))
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Prefix": "/elsewhere", "X-Forwarded-Proto": "https"}
        async with world.browser("http://internal.example", **headers) as browser:
            assert (await browser.get("/")).headers["location"] == "/elsewhere/sign-in"


async def test_a_proxy_of_this_machine_is_believed_about_a_client_of_this_machine(tmp_path, monkeypatch):
    """The address of X-Forwarded-For is then the connection's too, but not its port."""
    keys = {"dashboard": {"proxies": ["127.0.0.1"], "trusted_header": "X-Forwarded-Email"}}
    headers = {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Email": ADMIN}
    async with inside(tmp_path, monkeypatch, **keys) as world, world.browser(**headers) as browser:
        assert f"{ADMIN} is admin" in (await browser.get("/thing/7")).text


async def test_a_trusted_header_that_comes_twice_lets_nobody_in(tmp_path, monkeypatch):
    """A proxy that adds its own beside the client's has not removed what the client sent."""
    keys = {"dashboard": {"proxies": ["127.0.0.1"], "trusted_header": "X-Forwarded-Email", "viewers": [VIEWER]}}
    async with inside(tmp_path, monkeypatch, **keys) as world, world.browser() as browser:
        for first, second in ((ADMIN, VIEWER), (VIEWER, ADMIN), (ADMIN, "")):
            headers = [("Accept", "text/html"), ("X-Forwarded-Email", first), ("X-Forwarded-Email", second)]
            answer = await browser.get("/thing/7", headers=headers)
            assert answer.status_code == 403
            assert "X-Forwarded-Email came twice" in answer.text


PREFIXES = {
    "the proxy says what the server is told too": ("/g", "", "/g", "/g"),
    "and the host app mounts it": ("/g", "/ops", "/g", "/g/ops"),
    "the proxy says all of it": ("/g", "/ops", "/g/ops", "/g/ops"),
    "the proxy alone knows": ("", "/ops", "/g", "/g/ops"),
    "nobody strips": ("/g", "/ops", "", "/g/ops"),
}


@pytest.mark.parametrize("case", PREFIXES)
async def test_a_prefix_that_server_and_proxy_both_know_is_not_counted_twice(tmp_path, monkeypatch, case):
    root, mount, said, base = PREFIXES[case]
    async with inside(tmp_path, monkeypatch, dashboard={"proxies": ["127.0.0.1"]}) as world:
        inner = Starlette(routes=[Mount(mount, world.asgi)]) if mount else world.asgi

        async def server(scope, receive, send):
            """As uvicorn does with --root-path behind a proxy that strips it."""
            await inner({**scope, "root_path": root, "path": root + scope["path"]}, receive, send)

        world.asgi = server
        headers = {"X-Forwarded-Prefix": said} if said else {}
        async with world.browser("http://internal.example", **headers) as browser:
            moved = await browser.get(f"{mount}/thing/7")
            assert moved.headers["location"] == f"{base}/sign-in?next=%2Fthing%2F7"


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


async def test_as_much_is_done_for_a_stranger_as_for_an_admin(tmp_path, monkeypatch):
    """Requests that are answered meanwhile take as long: also by them nobody learns whose address it is."""
    async with inside(tmp_path, monkeypatch) as world:
        app, done = world.app, []
        for owner, name in (
            (app.stores.sign_ins, "keep_link"), (app.email, "compose_sign_in"), (app.state, "claim_due"),
        ):  # fmt: skip
            monkeypatch.setattr(type(owner), name, noting(done, name, getattr(type(owner), name)))
        found = []
        for address in (ADMIN, "stranger@example.com"):
            async with world.browser() as browser:
                await ask(browser, address)
                await world.mails()
                found.append(list(dict.fromkeys(done)))
                done.clear()
        assert found[0] == found[1] == ["keep_link", "compose_sign_in", "claim_due"]
        assert [mail["to"] for mail in await world.mails()] == [ADMIN]
        async with world.browser() as browser:
            token = token_of(await browser.get((await ask(browser, "stranger@example.com")).headers["location"]))
            for code in ("", "AAAA-AAAA"):
                assert (await browser.post("/sign-in/code", data={"csrf": token, "code": code})).status_code == 422


def noting(done, name, work):
    def noted(self, *args, **more):
        done.append(name)
        return work(self, *args, **more)

    return noted


@pytest.mark.parametrize("prefix", ["/guardian", "/%C3%BCber/wachung"])
async def test_a_proxy_may_hand_on_the_prefix_of_public_url_or_strip_it(tmp_path, monkeypatch, prefix):
    async with inside(tmp_path, monkeypatch, public_url=HERE + prefix) as world, world.browser() as browser:
        for inner in (prefix, ""):
            moved = await browser.get(f"{inner}/thing/7")
            assert moved.headers["location"] == f"{prefix}/sign-in?next=%2Fthing%2F7"
        shown = await browser.get(f"{prefix}/sign-in")
        form = {"csrf": token_of(shown), "address": ADMIN}
        asked = await browser.post(f"{prefix}/sign-in", data=form)
        assert asked.headers["location"] == f"{prefix}/sign-in/code"
        entered = await browser.get(await world.link())
        assert entered.headers["location"] == f"{prefix}/"
        for path in ("", "/", "/thing/7"):
            assert f"{ADMIN} is admin" in (await browser.get(prefix + path)).text, path
        assert (await browser.get(f"{prefix}x/sign-in")).status_code == 404
        assert (await browser.get(f"{prefix}/nowhere")).status_code == 404
        assert (await browser.get(f"{prefix}/api/usage/health")).status_code == 200
        assert (await browser.get(f"{prefix}/a/nonsense")).status_code == 410


async def test_on_one_machine_two_guardians_keep_their_sessions_apart(tmp_path, monkeypatch):
    """To cookies every port of a host is the same: signing in to the demo must not sign out of the daemon."""
    other = "http://127.0.0.1:8766"
    async with (
        inside(tmp_path / "one", monkeypatch) as one, inside(tmp_path / "two", monkeypatch) as two,
        one.browser() as here, two.browser(other) as there,
    ):  # fmt: skip
        there.cookies = here.cookies
        await sign_in(one, here)
        await ask(there)
        assert (await there.get((await two.link()).replace(HERE, other))).status_code == 303
        assert (await here.get("/")).status_code == 200
        assert (await there.get("/")).status_code == 200
        for odd in (
            "127.0.0.1",
            "[::1]",
            "[::1]:",
            "127.0.0.1:",
            "127.0.0.1:x",
            "127.0.0.1:1;a=b",
            "localhost:99999999",
        ):
            shown = await here.get("/sign-in", headers={"Host": odd, "Cookie": "x=1"})
            assert shown.status_code == 200
            assert shown.headers["set-cookie"].startswith("guardian-asked="), odd
