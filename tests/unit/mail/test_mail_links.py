"""Each line of a mail leads to the page of the dashboard that shows its evidence, where it is known where that is."""

import email
import re
from datetime import UTC, datetime, timedelta
from email import policy
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from starlette.routing import compile_path

from guardian.core.mentions import ERASED, marked_name, plain, unmarked
from guardian.mail.pages import Pages
from guardian.mail.report.incidents import IncidentLine
from guardian.mail.service import EmailService
from guardian.settings.rules import parse_rule
from guardian.settings.schema import Settings
from guardian.stores.erasure import as_kept
from guardian.stores.forgetting import message_without
from guardian.web.pages import PAGES
from tests.support import report_samples as samples
from tests.unit.mail.test_alert_mail import events, mails

BASE = "https://guardian.example.com/ops"
TIME = "range=own&start=2026-03-02T08:00Z&end=2026-03-02T10:00Z"
START, END = datetime(2026, 3, 2, 8, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC)
RULE = parse_rule("feature_down", {"features": ["chat"], "window": "5m", "for": "0m", "min_requests": 3})


def report_mail(pages_url=BASE, report=None, **more):
    service = EmailService([], sender="g@example.com", clock=lambda: samples.END, pages_url=pages_url)
    reports = {"usage_stats": report or samples.ordinary()}
    return service.compose_guardian_report("admin@example.org", reports, key="report/1", **more)


def bodies(body):
    message = email.message_from_bytes(body, policy=policy.default)
    return [message.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html")]


def hrefs(html):
    return [unescape(found) for found in re.findall(r'href="([^"]*)"', html)]


def page_of(address):
    """The page of the dashboard that an address is of, and its query."""
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}" == "https://guardian.example.com"
    path = parts.path.removeprefix("/ops")
    found = next(page for page in PAGES if compile_path(page.path)[0].match(path))
    return found.path, dict(parse_qsl(parts.query))


def test_a_report_links_its_people_features_statuses_figures_and_incidents():
    lines = [IncidentLine("chat is down", incident="i-1"), IncidentLine("Rule x fired", rule="x"), IncidentLine("more")]
    text, html = bodies(report_mail(incidents=lines).body)
    found = hrefs(html)
    for wanted in (
        f"{BASE}/?{TIME}",
        f"{BASE}/people?{TIME}",
        f"{BASE}/people/person?name=ada@example.com&{TIME}",
        f"{BASE}/features?name=document_upload&{TIME}",
        f"{BASE}/errors?status=413&{TIME}",
        f"{BASE}/incidents/i-1",
        f"{BASE}/rules#rule-x",
    ):
        assert wanted in found, wanted
    assert f"* chat is down\n  {BASE}/incidents/i-1\n* Rule x fired\n  {BASE}/rules#rule-x\n* more\n" in text
    assert f"See it on the dashboard:\n{BASE}/?{TIME}\n" in text
    assert f"* document_upload fails often: 14 of 14 requests, 5 users, all 413.\n  {BASE}/features?name=" in text


def test_every_link_is_of_a_page_and_carries_only_names_and_times():
    lines = [IncidentLine("chat is down", incident="i-1")]
    found = [each for each in hrefs(bodies(report_mail(incidents=lines).body)[1]) if each.startswith("http")]
    opening = mails(events((1, 9, 500)), 3, RULE, pages_url=BASE)[0]
    found += [each for each in hrefs(opening.get_body(("html",)).get_content()) if "/a/" not in each]
    assert len(found) > 25
    for each in found:
        path, query = page_of(each)
        assert path in {page.path for page in PAGES}
        assert query.keys() <= {"name", "range", "start", "end", "status", "feature", "group"}


def test_a_mail_has_no_link_where_it_is_not_known_where_the_pages_are():
    text, html = bodies(report_mail(pages_url="", incidents=[IncidentLine("chat is down", incident="i-1")]).body)
    assert not hrefs(html)
    assert "http" not in text
    assert "dashboard" not in text
    opening = mails(events((1, 9, 500)), 3, RULE, link_key=None)[0]
    assert "http" not in opening.get_body(("plain",)).get_content()


def test_an_alert_links_to_its_incident_people_feature_errors_and_rule():
    opening = mails(events((1, 9, 500)), 3, RULE, pages_url=BASE)[0]
    text, html = (opening.get_body((kind,)).get_content() for kind in ("plain", "html"))
    found = hrefs(html)
    paths = [page_of(each)[0] for each in found if "/a/" not in each]
    assert {"/incidents/{id}", "/people/person", "/people", "/features", "/errors", "/rules"} <= set(paths)
    during = "range=own&start=2026-03-16T08:57Z&end="
    assert any(each.startswith(f"{BASE}/people/person?name=ann0@example.com&{during}") for each in found)
    assert any(each.startswith(f"{BASE}/features?name=chat&{during}") for each in found)
    assert re.search(rf"See it on the dashboard:\r?\n  {BASE}/incidents/\S+\r?\n", text)


HOSTILE = [
    "o'neil+1@example.com",
    "a b/c?d=e&f#g",
    "<b>&\"'",
    "שלום",
    "100%",
    "javascript:alert(1)",
    "é@bücher.example",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_encoded_whole_and_found_again_by_who_erases_it(name):
    address = Pages(BASE).person(marked_name(name))
    shown, (span,) = unmarked(address)
    assert dict(parse_qsl(urlsplit(shown).query)) == {"name": name}
    assert span.name == name
    linked = Pages(BASE).with_people(f"met {marked_name(name)} & more")
    assert plain(linked).count("<a ") == 1 and "<b>" not in linked
    assert hrefs(plain(linked)) == [shown]


@pytest.mark.parametrize("name", [as_kept(name) for name in HOSTILE])
def test_who_is_erased_is_in_no_link_of_a_mail_that_waits(name):
    mail = report_mail(report=samples.report([samples.event(n, user=name, status=500) for n in range(1, 6)]))
    assert name in {mention.name for mention in mail.people}
    changed = message_without(mail, {name})
    for part in bodies(changed.body):
        assert "name=(erased)" in part.replace("&amp;", "&") and ERASED in part


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, ""),
        ({"public_url": BASE}, BASE),
        ({"public_url": BASE, "dashboard": {"enabled": False}}, ""),
        ({"public_url": BASE, "api": {"enabled": False}}, ""),
    ],
)
def test_the_pages_are_where_public_url_says_and_they_are_served(given, found):
    assert Settings(**given).pages_url == found


def test_a_time_with_seconds_keeps_them():
    pages = Pages(BASE).during(START + timedelta(seconds=5), END)
    assert pages.errors() == f"{BASE}/errors?range=own&start=2026-03-02T08:00:05Z&end=2026-03-02T10:00Z"
