"""Signing in to the dashboard over HTTP: by a link, by a code, by a token, by a proxy; and who stays outside."""

import re
from datetime import timedelta

import pytest

from guardian.application.signing_in import print_link
from guardian.stores.sqlite.database import StateDatabase
from guardian.web.pages import routes
from tests.support.api_client import NOW, bearer
from tests.support.doors import ADMIN, HERE, VIEWER, ask, inside, pages, sign_in, token_of

__all__ = ["pages"]
CSP = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


async def test_a_link_signs_in_the_browser_that_asked_and_once(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser, world.browser() as other:
        first = await browser.get("/thing/7", params={"name": "<b>"})
        assert first.status_code == 303
        assert first.headers["location"] == "/sign-in?next=%2Fthing%2F7%3Fname%3D%253Cb%253E"
        asked = await ask(browser, path=first.headers["location"])
        assert (asked.status_code, asked.headers["location"]) == (303, "/sign-in/code")
        link = await world.link()
        entered = await browser.get(link)
        assert (entered.status_code, entered.headers["location"]) == (303, "/thing/7?name=%3Cb%3E")
        shown = await browser.get(entered.headers["location"])
        assert shown.status_code == 200
        assert "admin@example.com is admin: &lt;b&gt;" in shown.text
        assert shown.headers["content-security-policy"] == CSP
        answer = await other.get(link)
        assert answer.status_code == 410
        assert "has been used" in answer.text
        again = await browser.get(link)
        assert (again.status_code, again.headers["location"], again.headers.get_list("set-cookie")) == (303, "/", [])
        browser.cookies.clear()
        assert (await browser.get(link)).status_code == 410


async def test_a_cookie_is_for_this_machine_over_plain_http_and_read_by_no_script(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        entered = await sign_in(world, browser)
        [session] = [each for each in entered.headers.get_list("set-cookie") if each.startswith("guardian-8765=")]
        assert re.fullmatch(r"guardian-8765=[\w-]{43}; HttpOnly; Max-Age=604800; Path=/; SameSite=lax", session)


async def test_in_another_browser_a_link_shows_a_code_that_signs_in_the_first(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as desk, world.browser() as phone:
        waiting = await desk.get((await ask(desk)).headers["location"])
        shown = await phone.get(await world.link())
        assert shown.status_code == 200
        assert "guardian-8765=" not in str(shown.headers.get_list("set-cookie"))
        code = re.search(r"<code>([A-Z0-9]{4}-[A-Z0-9]{4})</code>", shown.text)[1]
        wrong = await desk.post("/sign-in/code", data={"csrf": token_of(waiting), "code": "AAAA-AAAA"})
        assert wrong.status_code == 422
        typed = code.lower().replace("-", " ")
        entered = await desk.post("/sign-in/code", data={"csrf": token_of(waiting), "code": typed})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert (await desk.get("/")).status_code == 200
        assert (await phone.get("/")).status_code == 303


async def test_a_scanner_that_fetches_and_presses_gets_in_nowhere_and_spoils_nothing(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser, world.browser() as scanner:
        await ask(browser)
        link = await world.link()
        await scanner.head(link)
        shown = await scanner.get(link)
        scanner.cookies.clear()
        pressed = await scanner.post(link, data={"csrf": token_of(shown)})
        assert pressed.status_code == 403
        assert (await scanner.post(link)).status_code == 403
        assert (await scanner.get("/")).status_code == 303
        assert len(await world.mails()) == 1
        assert (await browser.get(link)).status_code == 303


async def test_the_button_mails_a_link_for_this_browser_and_no_third(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as desk, world.browser() as phone:
        await ask(desk)
        first = await world.link()
        shown = await phone.get(first)
        pressed = await phone.post(first, data={"csrf": token_of(shown)})
        assert (pressed.status_code, pressed.headers["location"]) == (303, "/sign-in/code")
        assert (await phone.get("/")).status_code == 303
        second = await world.link()
        assert second != first
        assert (await phone.post(first, data={"csrf": token_of(shown)})).status_code == 410
        async with world.browser() as third:
            assert "<form" not in (await third.get(second)).text
        assert len(await world.mails()) == 2
        assert (await phone.get(second)).status_code == 303
        assert (await phone.get("/")).status_code == 200
        assert (await desk.get(first)).status_code == 303


async def test_asking_never_tells_whose_address_it_is(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world:
        answers = []
        for address in (ADMIN, VIEWER, "stranger@example.com"):
            async with world.browser() as browser:
                asked = await ask(browser, address)
                page = await browser.get(asked.headers["location"])
                answers.append((asked.status_code, asked.text, re.sub(r'value="\w+"', "", page.text)))
        assert answers[0] == answers[1] == answers[2]
        assert [mail["to"] for mail in await world.mails()] == [ADMIN, VIEWER]


async def test_asking_changes_the_store_as_often_whosever_address_it_is(tmp_path, monkeypatch):
    """A code that is typed meanwhile waits for these changes: by how long, one could tell an admin's address."""
    changes, transact = [], StateDatabase.transact

    async def noted(self, work, **more):
        def counted(db):
            before = db.total_changes
            found = work(db)
            changes.append(db.total_changes > before)
            return found

        return await transact(self, counted, **more)

    async with inside(tmp_path, monkeypatch) as world:
        await world.app.stores.alerts.link_key()  # made once for all
        composed, compose = [], world.app.email.compose_sign_in
        monkeypatch.setattr(
            type(world.app.email), "compose_sign_in", lambda _, *a, **k: composed.append(a) or compose(*a, **k)
        )
        monkeypatch.setattr(StateDatabase, "transact", noted)
        done = []
        for address in (ADMIN, "stranger@example.com", VIEWER, "nobody@example.net"):
            async with world.browser() as browser:
                await ask(browser, address)
                await world.mails()
                done.append((changes.count(True), changes.count(False), len(composed)))
                changes.clear()
                composed.clear()
        assert len(set(done)) == 1, done
        assert done[0][0] >= 4
        assert len(await world.mails()) == 2


async def test_a_link_is_over_after_a_quarter_of_an_hour(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await ask(browser)
        link = await world.link()
        world.clock[0] = NOW + timedelta(minutes=15)
        assert (await browser.get(link)).status_code == 410


async def test_a_prefetch_signs_nobody_in(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await ask(browser)
        link = await world.link()
        assert (await browser.head(link)).status_code == 200
        assert (await browser.get(link, headers={"Sec-Purpose": "prefetch;prerender"})).status_code == 200
        assert (await browser.get("/")).status_code == 303
        assert (await browser.get(link)).status_code == 303


async def test_more_than_ten_links_an_hour_for_an_address_are_refused_whosever_it_is(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world:
        for address in (ADMIN, "stranger@example.com"):
            for number in range(11):
                async with world.browser(peer=(f"192.0.2.{number}", 1)) as browser:
                    answer = await ask(browser, address.upper() if number % 2 else address)
                assert answer.status_code == (303 if number < 10 else 429), number
            assert 3500 < int(answer.headers["retry-after"]) <= 3600
        assert len(await world.mails()) == 10


async def test_more_than_twenty_links_an_hour_for_a_client_are_refused_whatever_it_claims(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world:
        for number in range(21):
            async with world.browser(**{"X-Forwarded-For": f"192.0.2.{number}"}) as browser:
                answer = await ask(browser, f"somebody{number}@example.com")
            assert answer.status_code == (303 if number < 20 else 429), number


async def test_behind_a_configured_proxy_each_of_its_clients_is_counted_alone(tmp_path, monkeypatch):
    keys = {"dashboard": {"proxies": ["127.0.0.0/8"]}}
    async with inside(tmp_path, monkeypatch, **keys) as world:
        for number in range(21):
            async with world.browser(**{"X-Forwarded-For": f"spoofed, 192.0.2.{number}, 127.0.0.2"}) as browser:
                assert (await ask(browser, f"somebody{number}@example.com")).status_code == 303


async def test_a_form_of_another_page_is_refused(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await sign_in(world, browser)
        form = {"csrf": token_of(await browser.get("/thing/7")), "what": "it"}
        for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
            assert (await browser.post("/thing/7", data=form, headers=headers)).status_code == 403, headers
        for wrong in ({}, {"csrf": ""}, {"csrf": "0" * 40}, {"csrf": "é"}):
            assert (await browser.post("/thing/7", data={**wrong, "what": "it"})).status_code == 403, wrong
        for headers in ({"Origin": HERE}, {"Sec-Fetch-Site": "same-origin"}, {}):
            answer = await browser.post("/thing/7", data=form, headers=headers)
            assert (answer.status_code, answer.headers["location"]) == (303, "/done/it"), headers


async def test_a_viewer_looks_and_changes_nothing(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await sign_in(world, browser, VIEWER)
        shown = await browser.get("/thing/7")
        assert "viewer@example.com is viewer" in shown.text
        answer = await browser.post("/thing/7", data={"csrf": token_of(shown), "what": "it"})
        assert answer.status_code == 403
        assert "You may look, but change nothing" in answer.text


async def test_a_session_ends_when_it_is_idle_when_it_is_old_and_when_the_settings_drop_its_address(
    tmp_path, monkeypatch
):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await sign_in(world, browser, VIEWER)
        world.clock[0] += timedelta(hours=11)
        assert (await browser.get("/")).status_code == 200
        world.clock[0] += timedelta(hours=11)
        assert (await browser.get("/")).status_code == 200
        world.clock[0] += timedelta(hours=12)
        assert (await browser.get("/")).status_code == 303
        await sign_in(world, browser, VIEWER)
        for _ in range(7 * 3):
            assert (await browser.get("/")).status_code == 200
            world.clock[0] += timedelta(hours=8)
        assert (await browser.get("/")).status_code == 303
        await sign_in(world, browser, VIEWER)
        dashboard = world.app.settings.dashboard.model_copy(update={"viewers": ()})
        world.app.settings = world.app.settings.model_copy(update={"dashboard": dashboard})
        assert (await browser.get("/")).status_code == 303


async def test_one_signs_out_here_or_everywhere(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as desk, world.browser() as phone:
        for browser in (desk, phone):
            await sign_in(world, browser)
        stolen = desk.cookies["guardian-8765"]
        token = token_of(await desk.get("/"))
        assert (await desk.post("/sign-out", data={"csrf": "0"})).status_code == 403
        left = await desk.post("/sign-out", data={"csrf": token})
        assert (left.status_code, left.headers["location"]) == (303, "/sign-in")
        assert "guardian-8765" not in desk.cookies
        assert (await desk.get("/", headers={"Cookie": f"guardian-8765={stolen}"})).status_code == 303
        assert (await phone.get("/")).status_code == 200
        await sign_in(world, desk)
        token = token_of(await desk.get("/"))
        await desk.post("/sign-out", data={"csrf": token, "everywhere": "1"})
        assert (await phone.get("/")).status_code == 303


async def test_a_token_of_an_admin_opens_the_pages_and_a_wrong_one_does_not(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        shown = await browser.get("/", headers=bearer())
        assert "admin@example.com is admin" in shown.text
        assert "/sign-out" not in shown.text
        answer = await browser.post("/thing/7", data={"what": "it"}, headers=bearer())
        assert answer.status_code == 303
        assert (await browser.get("/", headers=bearer(role="user"))).status_code == 403
        assert (await browser.get("/", headers={"Authorization": "Bearer x"})).status_code == 401
        assert (await browser.get("/", headers={"Authorization": "Basic eDp5"})).status_code == 303


async def test_a_header_is_believed_of_the_proxies_alone(tmp_path, monkeypatch):
    keys = {"dashboard": {"proxies": ["10.0.0.0/8"], "trusted_header": "X-Forwarded-Email", "viewers": [VIEWER]}}
    async with inside(tmp_path, monkeypatch, **keys) as world:
        said = {"X-Forwarded-Email": "Admin@Example.com"}
        async with world.browser(peer=("10.1.2.3", 1), **said) as browser:
            shown = await browser.get("/thing/7")
            assert "Admin@Example.com is admin" in shown.text
            assert (await browser.post("/thing/7", data={"what": "it"})).status_code == 403
            answer = await browser.post("/thing/7", data={"what": "it", "csrf": token_of(shown)})
            assert answer.status_code == 303
            stranger = await browser.get("/", headers={"X-Forwarded-Email": "mallory@example.com"})
            assert stranger.status_code == 403
            assert "mallory@example.com" in stranger.text
        async with world.browser(peer=("192.0.2.1", 1), **said) as browser:
            assert (await browser.get("/")).status_code == 303


async def test_a_printed_link_opens_by_a_button_in_any_browser_and_once(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser, world.browser() as other:
        link = await print_link(world.app)
        shown = await browser.get(link)
        assert (await browser.get("/")).status_code == 303
        entered = await browser.post(link, data={"csrf": token_of(shown)})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        assert (await browser.get("/")).status_code == 200
        assert (await other.get(link)).status_code == 410


async def test_a_link_is_printed_only_for_those_who_may_sign_in(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world:
        assert "/sign-in/" in await print_link(world.app, VIEWER.upper())
        with pytest.raises(ValueError, match=r'"x@example\.com" may not sign in: give an address that admins'):
            await print_link(world.app, "x@example.com")


async def test_over_plain_http_elsewhere_a_sentence_says_why_nobody_can_sign_in_and_what_to_do(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser("http://guardian.lan:8765") as browser:
        shown = await browser.get("/sign-in")
        assert "plain HTTP" in shown.text
        assert "Put HTTPS in front of Guardian and set public_url" in shown.text
        assert "set-cookie" not in shown.headers
        assert (await browser.post("/sign-in", data={"address": ADMIN})).status_code == 403
        assert await world.mails() == []


MATRIX = {
    "alone": ("", "", HERE, {}, "guardian-8765", "/"),
    "mounted": ("/ops", "", HERE, {}, "guardian-8765", "/ops"),
    "https": ("", "", "https://guardian.example.com", {}, "__Host-guardian", "/"),
    "https mounted": ("/ops", "", "https://example.com", {}, "__Secure-guardian", "/ops"),
    "proxy ends tls": ("", "", "http://127.0.0.1:8765", {"X-Forwarded-Proto": "https"}, "__Host-guardian", "/"),
    "proxy strips": ("", "/g", "http://example.com", {"X-Forwarded-Proto": "https"}, "__Secure-guardian", "/g"),
    "proxy strips and says": (
        "", "", "http://127.0.0.1:8765", {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/g/h"},
        "__Secure-guardian", "/g/h",
    ),
    "proxy strips before a mount": (
        "/ops", "/g", "http://example.com", {"X-Forwarded-Proto": "https"}, "__Secure-guardian", "/g/ops",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MATRIX)
async def test_addresses_and_cookies_are_right_wherever_it_is_mounted(tmp_path, monkeypatch, case):
    mount, stripped, origin, headers, cookie, path = MATRIX[case]
    host = origin.partition("://")[2]
    scheme = "https" if origin.startswith("https") or headers else "http"
    public = f"{scheme}://{host}{stripped}{mount}"
    keys = {"dashboard": {"proxies": ["127.0.0.1"]}, "public_url": public}
    async with inside(tmp_path, monkeypatch, mount, **keys) as world, world.browser(origin, **headers) as browser:
        prefix = path.rstrip("/")
        first = await browser.get(f"{mount}/")
        assert first.headers["location"] == f"{prefix}/sign-in"
        shown = await browser.get(f"{mount}/sign-in")
        assert f'action="{prefix}/sign-in"' in shown.text
        asset = re.search(r'href="([^"]+style\.\w+\.css)"', shown.text)[1]
        assert asset.startswith(f"{prefix}/static/")
        outside = len(prefix) - len(mount)
        assert (await browser.get(asset[outside:])).status_code == 200
        held = {}
        for each in shown.headers.get_list("set-cookie"):
            name, _, rest = each.partition("=")
            held[name] = rest.partition(";")[0]
        said = {"Cookie": "; ".join(f"{name}={value}" for name, value in held.items()), "Origin": f"{scheme}://{host}"}
        form = {"csrf": token_of(shown), "address": ADMIN}
        asked = await browser.post(f"{mount}/sign-in", data=form, headers=said)
        assert asked.headers["location"] == f"{prefix}/sign-in/code"
        link = await world.link()
        inner = f"{mount}/sign-in/{link.rpartition('/')[2]}"
        entered = await browser.get(inner, headers=said)
        assert entered.headers["location"] == f"{prefix}/"
        session = next(each for each in entered.headers.get_list("set-cookie") if each.startswith(f"{cookie}="))
        assert f"; Path={path};" in session
        assert ("; Secure" in session) == (scheme == "https")
        said["Cookie"] = session.partition(";")[0]
        overview = await browser.get(f"{mount}/", headers=said)
        assert overview.status_code == 200
        assert f'<a href="{prefix}/" aria-current="page" data-key="1">' in overview.text


async def test_every_answer_of_the_pages_has_strict_headers_errors_too(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        for path in ("/", "/sign-in", "/sign-in/nonsense", "/no/such/page"):
            answer = await browser.get(path)
            assert answer.headers["content-security-policy"] == CSP, path
            assert answer.headers["x-content-type-options"] == "nosniff", path
            assert answer.headers["cache-control"] == "no-store", path
            assert answer.headers["referrer-policy"] == "no-referrer", path
        answer = await browser.post("/sign-in", data={"address": "x"})
        assert (answer.status_code, answer.headers["content-security-policy"]) == (403, CSP)


async def test_a_way_back_leads_nowhere_else(tmp_path, monkeypatch):
    hostile = ("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)")
    async with inside(tmp_path, monkeypatch) as world:
        for number, way in enumerate(hostile):
            async with world.browser(peer=(f"192.0.2.{number}", 1)) as browser:
                await browser.get("/sign-in", params={"next": way})
                await ask(browser)
                assert (await browser.get(await world.link())).headers["location"] == "/", way


async def test_what_was_typed_is_kept_nowhere(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await ask(browser, "stranger@example.com", "/sign-in?next=/thing/secret")
        await ask(browser)
        link = await world.link()
        secret = browser.cookies["guardian-asked-8765"].partition(".")[0]
        await world.app.state.close()
        kept = b"".join(each.read_bytes() for each in tmp_path.glob("guardian.db*"))
        assert b"stranger" not in kept and b"thing/secret" not in kept and secret.encode() not in kept
        assert link


async def test_without_the_dashboard_there_are_no_pages(tmp_path, monkeypatch):
    async with inside(tmp_path, monkeypatch, dashboard={"enabled": False}) as world, world.browser() as browser:
        assert (await browser.get("/sign-in")).status_code == 404
        assert (await browser.get("/static/style.css")).status_code == 404
        assert (await browser.get("/api/guardian/health")).status_code in (200, 404)


async def test_a_mail_with_a_link_to_sign_in_by_is_shown_to_no_other_admin(tmp_path, monkeypatch):
    from guardian.web.pages import PAGES

    monkeypatch.setattr(routes, "PAGES", PAGES)
    async with inside(tmp_path, monkeypatch) as world, world.browser() as browser:
        await ask(browser)
        token = (await world.link()).rpartition("/")[2]
        shown = await browser.get("/mail/1", headers=bearer(sub="other@example.com"))
        assert shown.status_code == 200
        assert "shown to nobody but whom it was sent to" in shown.text
        assert token not in shown.text
        assert (await browser.get("/mail/1/body", headers=bearer())).status_code == 403
