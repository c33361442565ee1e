"""Every page and every endpoint, from the table of routes, on both kinds of database with the same past: they say the
same. A new one without a line in REQUESTS fails here."""

import re
from datetime import timedelta
from html import unescape

import httpx2
import pytest

from guardian.alerting.links import make_link, make_unsubscribe_link
from guardian.application.reporting import send_due_reports, send_report_now
from guardian.application.signing_in import print_link
from guardian.web import create_app
from guardian.web.pages.assets import served
from tests.support.api_client import NOW, SCHEDULER, bearer, event, open_incident, opened
from tests.support.firestore import address_in
from tracker.event import Failure

pytestmark = pytest.mark.needs_firestore
ADMIN = "admin@example.com"
HERE = "http://127.0.0.1:8765"
GROWTH = (
    r"<li[^<]*<span[^<]*</span>[^<]*<strong><bdi>database</bdi></strong>[^<]*"
    r"<bdi>[^<]* come in a day[^<]*</bdi></li>\n*"
)
"""What `guardian check` says of a file's disk."""
ALERT, ENDS = "{link}", "{unsubscribe}"

REQUESTS = (
    ("GET /api/usage/summary", {"hours": 24}), ("GET /api/usage/summary", {"hours": 720}),
    ("GET /api/usage/users", {"hours": 24}), ("GET /api/usage/users", {"hours": 24, "format": "csv"}),
    ("GET /api/usage/health", {}),
    ("GET /api/usage/users/{email:path}/export", {"email": "bob@example.com"}),
    ("GET /api/guardian/status", {}), ("GET /api/guardian/reports", {}),
    ("GET /api/guardian/reports/{id}", {"id": "{report}"}),
    ("GET /api/guardian/alerts", {}), ("GET /api/guardian/alerts/{id}", {"id": "chat"}),
    ("GET /openapi.json", {}), ("GET /metrics", {}),
    ("GET /static/{name}", {"name": "{static}"}),
    ("GET /", {}), ("GET /", {"range": "30d"}), ("GET /people", {}), ("GET /people", {"q": "bob", "format": "csv"}),
    ("GET /people/person", {"name": "bob@example.com"}), ("GET /people/erase", {"name": "bob@example.com"}),
    ("GET /features", {}), ("GET /features", {"name": "chat_message"}), ("GET /errors", {}),
    ("GET /errors", {"feature": "chat_message"}), ("GET /incidents", {}), ("GET /incidents/{id}", {"id": "chat"}),
    ("GET /rules", {}), ("GET /rules", {"rule": "error_rate", "threshold": "0.02"}), ("GET /mail", {}),
    ("GET /mail/{id}", {"id": 1}), ("GET /mail/{id}/body", {"id": 1}), ("GET /system", {}),
    ("GET /system", {"check": "now"}),
    ("GET /sign-in", {}), ("POST /sign-in", {"address": ADMIN}), ("GET /sign-in/code", {}),
    ("POST /sign-in/code", {"code": "12345678"}), ("GET /sign-in/{token}", {"token": "nonsense"}),
    ("POST /sign-in/{token}", {"token": "{sign_in}"}), ("POST /sign-out", {}),
    ("GET /a/{token}", {"token": ALERT}), ("POST /a/{token}", {"token": ALERT}),
    ("GET /u/{token}", {"token": ENDS}), ("POST /u/{token}", {"token": ENDS, "List-Unsubscribe": "One-Click"}),
    ("POST /api/guardian/alerts/{id}/acknowledge", {"id": "chat"}),
    ("POST /api/guardian/alerts/{id}/silence", {"id": "chat"}),
    ("POST /api/guardian/alerts/{id}/fixed", {"id": "chat"}),
    ("POST /incidents/{id}", {"id": "chat", "action": "silence-1h"}),
    ("POST /incidents", {"id": "chat", "action": "fixed"}), ("POST /mail", {"do": "retry", "id": 1}),
    ("POST /mail/{id}", {"id": 1, "do": "drop"}),
    ("POST /api/guardian/alerts/{id}/resolve", {"id": "chat"}),
    ("POST /api/usage/generate-report", {"hours": 24}), ("POST /api/guardian/send-report", {"hours": 24}),
    ("POST /api/guardian/scheduled-report", {}), ("POST /api/guardian/tick", {}), ("POST /api/usage/cleanup", {}),
    ("POST /people/erase", {"name": "carl@example.com", "again": "carl@example.com"}),
    ("DELETE /api/usage/users/{email:path}", {"email": "bob@example.com"}),
)  # fmt: skip
"""By the method and path of the route, what is asked of it, in this order: parts of the path first, the rest goes into
the query or the form."""


def past():
    """Some days of three people, some of whose requests failed."""
    found = []
    for number in range(120):
        user = ("ada", "bob", "carl")[number % 3] + "@example.com"
        status = 500 if number % 11 == 0 else 413 if number % 7 == 0 else 200
        made = event(NOW - timedelta(minutes=61 * (120 - number)), user, status)
        found.append(made._replace(failure=Failure("Boom", "no", "app.py:3 f")) if status == 500 else made)
    return found


def routes_of(app):
    """The methods and paths that are served; HEAD goes with GET."""
    routes = create_app(app).routes
    return {f"{method} {route.path}" for route in routes for method in route.methods - {"HEAD"}}


async def asked(client, app, route, values, known):
    """The answer of a route."""
    method, path = route.split(" ", 1)
    values = {name: known.get(value, value) if isinstance(value, str) else value for name, value in values.items()}
    url = re.sub(r"\{(\w+)(:\w+)?\}", lambda found: str(values.pop(found[1])), path)
    headers = SCHEDULER if "scheduled-report" in path or "tick" in path else bearer(email=ADMIN)
    alone = path.startswith(("/a/", "/u/", "/sign-in"))  # whoever comes by a link is nobody yet
    if alone:
        headers = {}
    if method != "POST" or path.startswith("/api/"):
        return await client.request(method, url, params=values, headers=headers)
    if path in ("/sign-in", "/sign-in/code"):
        await client.post("/sign-in", data={"address": ADMIN, **await hidden(client, "/sign-in", {})})
    hides = await hidden(client, url if alone else "/system", headers)
    return await client.request(method, url, data={**hides, **values}, headers={"Origin": HERE, **headers})


async def hidden(client, page, headers):
    """The fields of the forms of a page that nobody sees."""
    text = (await client.get(page, headers=headers)).text
    fields = [each for each in re.findall(r"<input [^>]*>", text) if 'type="hidden"' in each]
    found = {re.search(r'name="([^"]*)"', each)[1]: re.search(r'value="([^"]*)"', each)[1] for each in fields}
    return {name: unescape(value) for name, value in found.items() if name in ("csrf", "token", "browser")}


async def answers(folder, database):
    """What every route of an application answers, by its place among the requests; and the routes."""
    keys = {"database": database, "public_url": HERE, "dashboard": {"viewers": ["v@example.com"]}}
    found = []
    async with opened(folder, events=past(), **keys) as app:
        await open_incident(app, "chat", names=("bob@example.com",), users=1)
        await send_report_now(app, hours=24)
        await send_due_reports(app, now=NOW - timedelta(hours=2))
        await send_due_reports(app, now=NOW)
        key = await app.stores.alerts.link_key()
        known = {
            ALERT: make_link("", key, "chat", "acknowledge", ADMIN, NOW).rpartition("/")[2],
            ENDS: make_unsubscribe_link("", key, app.schedules[0].name, ADMIN, NOW).rpartition("/")[2],
            "{static}": next(iter(served())),
            "{report}": "1",
            "{sign_in}": (await print_link(app, None)).rpartition("/")[2],
        }
        for route, values in REQUESTS:
            transport = httpx2.ASGITransport(app=create_app(app), raise_app_exceptions=False)
            async with httpx2.AsyncClient(transport=transport, base_url=HERE) as client:
                answer = await asked(client, app, route, values, known)
            found.append((answer.status_code, answer.headers.get("location", ""), scrubbed(answer, folder, database)))
        return found, routes_of(app)


def scrubbed(answer, folder, database):
    """What an answer says, without what is another in each database: where it is, how large it is, and secrets."""
    text = answer.text.replace(str(database), "DATABASE").replace(str(folder), "FOLDER")
    for pattern, word in (
        (r'"size_bytes":\s*\d+', "SIZE"),
        (r'"id": "\d+"', "ID"),
        (r"<dd>(–|[0-9.,]+[\s\u00a0\u202f][kMG]?B( <span[^>]*>[^<]*</span>)?)</dd>", "SIZE"),
        (r", [0-9.,]+ MB</bdi>", "</bdi>"),
       (GROWTH, ""),
        (r"[\w.~+/=-]{24,}", "SECRET"),
        (r"\d+\.\d+ ?m?s\b", "TOOK"),
    ):  # fmt: skip
        text = re.sub(pattern, word, text)
    return text


@pytest.fixture(scope="module")
def both(made_once):
    import asyncio

    def asked_of_both(folder):
        sqlite = asyncio.run(answers(folder / "s", folder / "s" / "guardian.db"))
        return sqlite, asyncio.run(answers(folder / "f", address_in(folder)))

    return made_once("endpoints", asked_of_both)


def test_every_route_has_its_request(both):
    (_, routes), _ = both
    assert {route for route, _ in REQUESTS} == routes


@pytest.mark.parametrize("place", range(len(REQUESTS)), ids=[f"{n}: {each[0]}" for n, each in enumerate(REQUESTS)])
def test_it_says_the_same_on_firestore(both, place):
    (here, _), (there, _) = both
    assert there[place] == here[place]
    assert here[place][0] < 500
