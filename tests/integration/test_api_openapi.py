"""The document of the API: valid, complete, and true of every answer."""

import asyncio
import json
import re
import time
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from guardian.web import create_app
from guardian.web.api import ENDPOINTS
from guardian.web.openapi import describe
from tests.support.api_client import SCHEDULER, bearer, calling, open_incident, opened

CALLS = [
    ("GET", "/api/usage/summary"),
    ("GET", "/api/usage/users?limit=1"),
    ("POST", "/api/usage/generate-report?hours=720"),
    ("GET", "/api/usage/health"),
    ("POST", "/api/guardian/scheduled-report"),
    ("POST", "/api/guardian/tick"),
    ("POST", "/api/guardian/send-report"),
    ("GET", "/api/guardian/status"),
    ("GET", "/api/guardian/reports"),
    ("GET", "/api/guardian/reports/1"),
    ("GET", "/api/guardian/alerts?open=true"),
    ("GET", "/api/guardian/alerts/chat"),
    ("POST", "/api/guardian/alerts/chat/acknowledge"),
    ("POST", "/api/guardian/alerts/chat/silence"),
    ("POST", "/api/guardian/alerts/chat/fixed"),
    ("POST", "/api/guardian/alerts/chat/resolve"),
    ("GET", "/api/usage/users/bob@example.com/export"),
    ("DELETE", "/api/usage/users/bob@example.com"),
    ("POST", "/api/usage/cleanup"),
    ("GET", "/openapi.json"),
]


def conforms(document, method, template, response):
    documented = document["paths"][template][method.lower()]["responses"]
    assert str(response.status_code) in documented, f"{method} {template} answered {response.status_code}"
    schema = documented[str(response.status_code)]["content"]["application/json"]["schema"]
    OAS31Validator({**schema, "components": document["components"]}).validate(response.json())


def template_of(document, method, path):
    for template in sorted(document["paths"], key=len, reverse=True):
        pattern = re.sub(r"\\\{email\\\}", ".*", re.escape(template)).replace(r"\{id\}", "[^/]+")
        if re.fullmatch(pattern, path) and method.lower() in document["paths"][template]:
            return template
    return None


@pytest.fixture
async def client(tmp_path):
    async with opened(tmp_path) as app, calling(app, {**bearer(), **SCHEDULER}) as client:
        await open_incident(app)
        yield client


async def test_the_document_is_valid_openapi(client):
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    validate(document)


async def test_every_route_is_in_the_document(tmp_path):
    document = describe(ENDPOINTS)
    async with opened(tmp_path) as app:
        # What lies under /a/ and /u/ are pages for people who follow a link of a mail, as is the dashboard.
        # /metrics is no JSON: Prometheus has a format of its own.
        pages = ("/a/", "/u/", "/me")
        no_dashboard = app.settings.dashboard.model_copy(update={"enabled": False})
        app.settings = app.settings.model_copy(update={"dashboard": no_dashboard})
        routes = [each for each in create_app(app).routes if isinstance(each, Route) and each.path[:3] not in pages]
    served = {(re.sub(r":\w+\}", "}", r.path), method) for r in routes for method in r.methods - {"HEAD"}}
    documented = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    assert served == documented
    called = {(template_of(document, method, path.split("?")[0]), method) for method, path in CALLS}
    assert called == documented, "a route without a call in this file"


async def test_every_answer_is_as_the_document_says(client):
    document = (await client.get("/openapi.json")).json()
    for method, path in CALLS:
        response = await client.request(method, path)
        assert response.status_code == 200, f"{method} {path}: {response.text}"
        conforms(document, method, template_of(document, method, path.split("?")[0]), response)


async def test_every_refusal_is_as_the_document_says(client, tmp_path):
    document = (await client.get("/openapi.json")).json()
    async with opened(tmp_path / "shut", api={}) as app, calling(app) as shut:
        for method, path in CALLS:
            bare = path.split("?")[0]
            answers = [
                await client.request(method, f"{bare}?nonsense=1"),
                await client.request(method, bare, headers={"Authorization": "", "X-Guardian-Scheduler-Token": ""}),
                await client.request(method, bare, headers=bearer(role="user")),
                await shut.request(method, bare),
            ]
            if method != "GET":
                answers.append(await client.request(method, bare, content=b"x" * 70_000))
            for response in answers:
                conforms(document, method, template_of(document, method, bare), response)
    for method, path in [("GET", "/api/usage/users/x/export"), ("DELETE", "/api/usage/users/x")]:
        conforms(document, method, template_of(document, method, path), await client.request(method, path))


async def test_the_document_knows_where_it_is_mounted(tmp_path):
    async with opened(tmp_path) as app:
        host = Starlette(routes=[Mount("/ops/guardian", create_app(app))])
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=host), base_url="http://host") as client:
            document = (await client.get("/ops/guardian/openapi.json")).json()
            assert document["servers"] == [{"url": "/ops/guardian"}]
            assert (await client.get("/ops/guardian/api/usage/summary", headers=bearer())).status_code == 200
            assert (await client.get("/api/usage/summary", headers=bearer())).status_code == 404


PATHS = st.one_of(
    st.sampled_from([path for _, path in CALLS]),
    st.binary(max_size=40).map(lambda raw: f"/api/usage/users/{quote(raw)}"),
    st.integers(-(10**30), 10**30).map(lambda number: f"/api/guardian/reports/{number}"),
    st.binary(max_size=40).map(lambda raw: f"/api/guardian/alerts/{quote(raw, safe='')}/silence"),
)
QUERIES = st.dictionaries(
    st.sampled_from(["hours", "limit", "schedule", "email", "id", "ready", "x"]),
    st.one_of(st.text(max_size=20), st.integers().map(str), st.floats().map(str)),
    max_size=3,
)
LATIN = st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f")
HEADERS = st.dictionaries(
    st.sampled_from(["Authorization", "X-Guardian-Scheduler-Token", "Content-Type", "Host", "X-Forwarded-Prefix"]),
    st.text(LATIN, max_size=60).map(lambda text: text.encode("latin-1")),
)


def test_no_input_makes_it_fail_or_takes_long(tmp_path, monkeypatch):
    """Whatever is asked, by an admin or anybody: a documented status, JSON of the documented form, never a 500, and no
    answer takes a second of the processor."""
    monkeypatch.setattr("guardian.web.limits.FAILURES", 10_000)
    with asyncio.Runner() as runner:
        context = opened(tmp_path)
        app = runner.run(context.__aenter__())
        calls = calling(app)
        client = runner.run(calls.__aenter__())
        document = runner.run(client.get("/openapi.json")).json()
        known, took = {**bearer(), **SCHEDULER}, []

        @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(
            method=st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD", "QUERY"]),
            path=PATHS,
            query=QUERIES,
            headers=HEADERS,
            admin=st.booleans(),
            body=st.binary(max_size=200),
        )
        def ask(method, path, query, headers, admin, body):
            sent = {**headers, **known} if admin else headers
            began = time.process_time()
            response = runner.run(client.request(method, path, params=query, headers=sent, content=body))
            took.append(time.process_time() - began)
            assert response.status_code < 500 or "ready" in query, response.text
            template = template_of(document, method, response.request.url.path)
            if template and response.status_code != 404:
                conforms(document, method, template, response)
            elif method != "HEAD":
                assert set(response.json()) == {"error"}

        try:
            ask()
            assert max(took) < 30, "an answer is worked on for ever"
        finally:
            runner.run(calls.__aexit__(None, None, None))
            runner.run(context.__aexit__(None, None, None))


def test_the_document_is_the_same_each_time():
    assert json.dumps(describe(ENDPOINTS)) == json.dumps(describe(ENDPOINTS))


def test_the_page_about_the_api_names_every_endpoint():
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    for endpoint in ENDPOINTS:
        path = endpoint.path.replace(":path", "")
        assert re.search(rf"^\| {endpoint.method} \| `{re.escape(path)}[?`]", page, re.MULTILINE), path
