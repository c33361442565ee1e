"""What keeps strangers out, on every route there is: headers, who may act, forms of other pages, headers in values."""

import re
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from guardian.application.reporting import send_report_now
from guardian.web import create_app
from guardian.web.doors.forms import form_token
from guardian.web.pages import PAGES
from tests.support.api_client import NOW, bearer, event, open_incident, opened

HERE = "http://127.0.0.1:8765"
ADMIN, VIEWER = "admin@example.com", "viewer@example.com"
DOORS = {"viewers": [VIEWER], "proxies": ["127.0.0.1"], "trusted_header": "X-User"}
ACTING = [page for page in PAGES if page.act is not None]
FORMS = {
    "/incidents": {"action": "resolve", "id": "chat"}, "/incidents/{id}": {"action": "resolve", "id": "chat"},
    "/mail": {"do": "send", "hours": "24"}, "/mail/{id}": {"do": "drop", "id": "1"},
    "/people/erase": {"name": "ada@example.com", "again": "ada@example.com"},
}  # fmt: skip
"""A form of each page that has one, which would do something."""


@asynccontextmanager
async def inside(folder, mount="", **keys):
    """The application with an incident and a mail, and a browser's client at its address."""
    async with opened(folder, **{"dashboard": DOORS, "public_url": HERE + mount, **keys}) as app:
        await open_incident(app, "chat")
        await send_report_now(app, hours=24)
        asgi = Starlette(routes=[Mount(mount, create_app(app))]) if mount else create_app(app)
        transport = httpx2.ASGITransport(app=asgi, client=("127.0.0.1", 5000), raise_app_exceptions=False)
        headers = {"Accept": "text/html", "Origin": HERE}
        async with httpx2.AsyncClient(transport=transport, base_url=HERE, headers=headers) as client:
            yield app, client


def routes_of(app):
    """Every path with its methods, the parameters filled in."""
    for route in create_app(app).routes:
        assert isinstance(route, Route)
        path = re.sub(r"{id(:\w+)?}", "chat" if "incidents" in route.path else "1", route.path)
        yield re.sub(r"{\w+(:\w+)?}", "x", path), route.methods


def filled(path):
    return path.replace("{id}", "chat" if "incident" in path else "1")


async def token(app, who):
    return form_token(await app.stores.alerts.link_key(), f"proxy:{who}")


def told(answer):
    """What is wrong with the headers of an answer."""
    headers, found = answer.headers, []
    policy = headers.get("content-security-policy", "")
    if "default-src 'none'" not in policy or "frame-ancestors" not in policy:
        found.append(f"policy {policy!r}")
    if not re.search("frame-ancestors '(none|self)'", policy):
        found.append("may be framed")
    for name, value in (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer")):
        if headers.get(name) != value:
            found.append(f"{name} {headers.get(name)!r}")
    if "no-store" not in headers.get("cache-control", "") and "/static/" not in str(answer.url):
        found.append(f"cache-control {headers.get('cache-control')!r}")
    return [f"{answer.request.method} {answer.url} {answer.status_code}: {each}" for each in found]


async def test_every_answer_of_every_route_has_strict_headers(tmp_path, monkeypatch):
    async with inside(tmp_path / "d") as (app, client):
        wrong, met = [], {}

        async def ask(method, path, **more):
            answer = await client.request(method, path, **more)
            met.setdefault(answer.status_code, f"{method} {path}")
            wrong.extend(told(answer))
            return answer

        for path, methods in routes_of(app):
            for who in ({}, {"X-User": ADMIN}, {"X-User": VIEWER}, bearer(email=ADMIN)):
                for method in sorted(methods | {"PUT"}):
                    await ask(method, path, headers=who)
        admin = {"X-User": ADMIN}
        await ask("GET", "/no/such/page")
        await ask("POST", "/no/such/page")
        await ask("GET", "/people?table=no", headers=admin)
        await ask("GET", "/people?table=people", headers=admin)
        await ask("GET", "/", headers={"X-User": "stranger@example.com"})
        await ask(
            "POST",
            "/mail",
            headers=admin,
            content=b"a=" + b"b" * 70_000,
        )
        await ask("POST", "/mail", headers={**admin, "Content-Type": "application/json"}, content=b"{}")
        await ask("POST", "/mail", headers=admin, data={"csrf": await token(app, ADMIN), "do": "send", "hours": "3"})
        await ask("POST", "/mail/1", headers=admin, data={"csrf": await token(app, ADMIN), "do": "drop", "id": "1"})
        await ask("GET", "/", headers={"Sec-Fetch-Dest": "empty"})
        for _ in range(25):
            await ask("GET", "/", headers={"Authorization": "Bearer wrong"})
        limited = await client.get("/", headers={"Authorization": "Bearer wrong"})
        assert limited.status_code == 429 and int(limited.headers["retry-after"]) > 0

        async def broken(*args, **more):
            raise RuntimeError("a secret of the inside")

        monkeypatch.setattr(type(app.stores.alerts), "incidents", broken)
        failed = await ask("GET", "/incidents", headers=admin)
        assert (failed.status_code, "secret of the inside" in failed.text) == (500, False)
        assert wrong == []
        assert {200, 303, 401, 403, 404, 405, 409, 413, 415, 422, 429, 500} <= set(met), met


async def test_a_form_that_is_cut_off_is_a_400_with_strict_headers(tmp_path):
    async with inside(tmp_path / "d") as (app, _):
        sent, asgi = [], create_app(app)
        headers = [(b"host", b"127.0.0.1:8765"), (b"x-user", ADMIN.encode()), (b"origin", HERE.encode())]
        scope = {"type": "http", "method": "POST", "path": "/mail", "raw_path": b"/mail", "query_string": b"",
                 "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http", "root_path": ""}  # fmt: skip

        async def receive():
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)

        await asgi(scope, receive, send)
        assert sent[0]["status"] == 400
        assert dict(sent[0]["headers"])[b"x-content-type-options"] == b"nosniff"


def test_each_page_that_acts_has_its_form_here():
    assert {page.path for page in ACTING} == set(FORMS)


@pytest.mark.parametrize("page", ACTING, ids=lambda page: page.path)
async def test_a_viewer_is_refused_on_every_form_even_with_a_token_of_their_own(tmp_path, page):
    async with inside(tmp_path / "d") as (app, client):
        form = {**FORMS[page.path], "csrf": await token(app, VIEWER)}
        answer = await client.post(filled(page.path), data=form, headers={"X-User": VIEWER})
        assert (answer.status_code, "You may look, but change nothing" in answer.text) == (403, True)
        assert len(await app.state.outbox()) == 1
        assert [each.status for each in await app.stores.alerts.incidents()] == ["open"]


async def state_of(app):
    """What a form could change."""
    return (
        [(each.id, each.status) for each in await app.state.outbox()],
        [each for each in await app.stores.alerts.incidents()],
        len(await app.repository.steps("ada@example.com", NOW.replace(year=2020), NOW, most=9)),
        await app.state.reports(),
        [await app.state.unsubscribed(each.name) for each in app.schedules],
    )


@pytest.mark.parametrize("mount", ["", "/ops"])
async def test_a_viewer_changes_nothing_by_any_route_and_method_that_there_is(tmp_path, mount):
    every = {name: value for form in FORMS.values() for name, value in form.items()}
    async with inside(tmp_path / "d", mount) as (app, client):
        form = {**every, "csrf": await token(app, VIEWER), "List-Unsubscribe": "One-Click"}
        before, asked, wrong = await state_of(app), 0, []
        for path, methods in routes_of(app):
            for method in sorted(methods - {"GET", "HEAD"}):
                if path == "/sign-out":  # it ends what is theirs
                    continue
                for body in ({"data": form}, {"json": {}}):
                    answer = await client.request(method, mount + path, headers={"X-User": VIEWER}, **body)
                    asked += 1
                    if answer.status_code not in (401, 403, 410, 415):
                        wrong.append(f"{method} {path}: {answer.status_code}")
        assert wrong == []
        assert asked > 20
        assert await state_of(app) == before


FOREIGN = {
    "of another page": {"Origin": "https://evil.example"}, "of no page": {"Origin": "null"},
    "of a page that the browser calls another": {"Sec-Fetch-Site": "cross-site"},
    "of a neighbour": {"Sec-Fetch-Site": "same-site", "Origin": "https://app.example.com"},
    "of another port": {"Origin": "http://127.0.0.1:9999"}, "of plain HTTP's other scheme": {"Origin": "https://127.0.0.1:8765"},
}  # fmt: skip


@pytest.mark.parametrize("page", ACTING, ids=lambda page: page.path)
async def test_a_form_does_nothing_without_its_token_or_from_another_page(tmp_path, page):
    async with inside(tmp_path / "d") as (app, client):
        form, path, admin = FORMS[page.path], filled(page.path), {"X-User": ADMIN}
        for bad in ({}, {"csrf": ""}, {"csrf": "x" * 40}, {"csrf": await token(app, VIEWER)}):
            answer = await client.post(path, data={**form, **bad}, headers=admin)
            assert answer.status_code == 403, bad
        good = {**form, "csrf": await token(app, ADMIN)}
        for name, headers in FOREIGN.items():
            answer = await client.post(path, data=good, headers={**admin, **headers})
            assert answer.status_code == 403, name
        stranger = await client.post(path, data=good)
        assert stranger.status_code == 401, "nobody is let in by a token alone"
        assert len(await app.state.outbox()) == 1
        assert [each.status for each in await app.stores.alerts.incidents()] == ["open"]
        assert await app.repository.steps("ada@example.com", NOW.replace(year=2020), NOW, most=1)
        done = await client.post(path, data=good, headers=admin)
        assert done.status_code in (303, 409), "with both it is done, or refused by what it is about"


INJECTED = "x\r\nSet-Cookie: evil=1\r\n\r\n<script>"
PARAMETERS = (
    "range", "start", "end", "zone", "compare", "live", "q", "sort", "group", "feature", "status", "name", "page",
    "rule", "threshold", "table", "as", "export", "check", "done", "next",
)  # fmt: skip


@pytest.mark.parametrize("mount", ["", "/ops"])
async def test_a_line_end_in_any_parameter_makes_no_header(tmp_path, mount):
    events = [event(NOW.replace(hour=12), user=INJECTED)._replace(feature=INJECTED, endpoint="/" + INJECTED)]
    async with inside(tmp_path / "d", mount, events=events) as (app, client):
        paths = [path for path, methods in routes_of(app) if "GET" in methods and "/api/" not in path]
        assert len(paths) > 20
        signed, answers = {"X-User": ADMIN}, []
        for path in paths:
            for who in (signed, {}):
                answers += [await client.get(mount + path, params={name: INJECTED}, headers=who) for name in PARAMETERS]
        for form in (
            {"action": INJECTED, "id": INJECTED},
            {"do": INJECTED, "id": INJECTED},
            {"name": INJECTED, "again": INJECTED},
        ):
            for page in ACTING:
                posted = {**form, "csrf": await token(app, ADMIN)}
                answers.append(await client.post(mount + filled(page.path), data=posted, headers=signed))
        for answer in answers:
            for name, value in answer.headers.multi_items():
                assert "\r" not in value and "\n" not in value and "evil" not in name, answer.url
                assert name != "set-cookie" or value.startswith("guardian-asked-8765="), answer.url
            assert answer.status_code < 500, answer.url


AWAY = (
    "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
    "javascript:alert(1)", "/\r\n/evil.example", "/%09/evil.example", "http:evil.example", "evil.example",
    "/\x00//evil", "//\\evil", "/\u2028/evil", "@evil.example", ".evil.example", "/sign-out", "/" + "x" * 600,
)  # fmt: skip


@pytest.mark.parametrize("mount", ["", "/ops"])
async def test_a_way_back_never_leads_to_another_host(tmp_path, mount):
    async with inside(tmp_path / "d", mount) as (_, client):
        for way in AWAY:
            answer = await client.get(f"{mount}/sign-in", params={"next": way}, headers={"X-User": ADMIN})
            assert answer.status_code == 303
            to = httpx2.URL(HERE).join(answer.headers["location"])
            assert to.host == "127.0.0.1" and to.path.startswith(f"{mount}/"), way


@pytest.mark.parametrize("prefix", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\\..\\b", "evil"])
async def test_a_prefix_that_is_another_host_is_none(tmp_path, prefix):
    async with inside(tmp_path / "d") as (_, client):
        answer = await client.get("/", headers={"X-Forwarded-Prefix": prefix})
        assert answer.headers["location"] == "/sign-in"
        page = await client.get("/", headers={"X-Forwarded-Prefix": prefix, "X-User": ADMIN})
        assert "evil" not in page.text
