"""What the report mail says, from the real report object; and what nobody can make it say."""

import csv
import email
import gzip
from datetime import timedelta
from email import policy
from html.parser import HTMLParser
from io import BytesIO, StringIO

import pytest
from jinja2 import meta
from PIL import Image

from guardian.core.language import language
from guardian.core.notes import Note
from guardian.core.quiet import Quiet
from guardian.core.report.reading import from_json
from guardian.mail.companions import read_companion
from guardian.mail.render import breakable, cut, mail_templates
from guardian.mail.report.sections import SECTIONS
from guardian.mail.report.view import report_view
from guardian.mail.service import EmailService
from guardian.mail.transport import DeliveryError, PermanentError, UnknownOutcome
from tests.support import report_samples as samples
from tests.support.plain import plain
from tracker.event import Failure

FIXED = {
    "period_start", "period_end", "active_users", "total_requests", "total_errors", "users", "top_features",
    "error_breakdown",
}  # fmt: skip
NEXT = (samples.END + timedelta(hours=2), (samples.END, samples.END + timedelta(hours=2)))


def compose(reports, **more):
    service = EmailService([], sender="guardian@example.com", timezone="Europe/Zurich", clock=lambda: samples.END)
    return service.compose_guardian_report("admin@example.org", reports, key="report/1", **more)


def parts(reports, **more):
    """The subject, the text and the HTML, as they go over the wire."""
    message = email.message_from_bytes(compose(reports, **more).body, policy=policy.default)
    bodies = (plain(message.get_body((kind,)).get_content()) for kind in ("plain", "html"))
    return message["Subject"], *bodies


def test_the_text_part_as_a_whole():
    reports = {
        "usage_stats": samples.ordinary(),
        "prod_report.json": samples.COMPANION,
        "docs_report.json": {"status": "OK"},
        "integrity_report.json": [],
    }
    subject, text, _ = parts(reports, next_report=NEXT)
    assert subject == "⚠ 1.4 % of the requests failed with a server error – Guardian"
    assert text == TEXT


TEXT = """\
1.4 % of the requests failed with a server error.
=================================================
WARNING · Mon 2 Mar, 09:00 – 11:00 (Europe/Zurich)

Prod report                                DEGRADED
integrity_report.json                      unreadable
Docs report                                OK

Active users                  6   ↓ from 9
Requests                    423   ↑ from 300
Failed                    5.4 %   ↑ from 0 %
95 % within              100 ms

WHAT MOVED
* document_upload fails often: 14 of 14 requests, 5 users, all 413.
* chat_message fails, and did not before: 6 of 121 requests, 1 user, all 500.

ACTIVE USERS
09:00 ▆▆▆▆▆▆███▆▆▆▆▆▆▆▆▆▆▆▆▆▆▆ 11:00
Active users through the period: at most 6, around 09:30.

WHAT FAILED
      14   413 Content Too Large
       6   500 Internal Server Error
       3   404 Not Found

USERS WHO NEED HELP
ada@example.com · 9 of 76 requests failed
    09:40  413 File too large (3×)  /api/document_upload
    10:05  500 KeyError (6×)  /api/chat_message
    Last steps: chat_message 500 (4×)
ben@example.com · 3 of 136 requests failed
    09:41  413 File too large (3×)  /api/document_upload
    Last steps: chat_message → threads → documents → document_upload 413
cleo@example.com · 3 of 3 requests failed
    09:42  413 File too large (3×)  /api/document_upload
    Last steps: document_upload 413 (3×)
dan@example.com · 3 of 3 requests failed
    09:43  413 File too large (3×)  /api/document_upload
    Last steps: document_upload 413 (3×)

GONE QUIET
They used the app regularly, hit an error, and have not been back for three
days.
* olga@example.com: not seen since Fri 27 Feb, 07:40; their last request: 500
  KeyError, /api/search

WHAT THEY USED
     121   chat_message               95 % within 98 ms    6 failed
     114   documents                  95 % within 96 ms
     114   threads                    95 % within 96 ms
      57   search                     95 % within 96 ms
      14   document_upload            95 % within 100 ms   14 failed
       3   (unmatched)                95 % within 100 ms   3 failed

WHO USED IT
Requests  Errors         Time   User
     136       3   1 h 57 min   ben@example.com
     135       2   1 h 58 min   eva@example.com
      76       9   1 h 56 min   ada@example.com
      67       0   1 h 58 min   jan@example.com
       3       3       10 min   cleo@example.com
       3       3       10 min   dan@example.com
Not signed in: 3 requests, 3 failed.

PROD REPORT · DEGRADED
Mon 2 Mar, 07:00
  checks passed: 41
  checks failed: 2
* HIGH · Add an index on threads.owner – It takes 1.2 s.
Errors:
  check: search · error: timeout
Patterns:
  timeout: 2
Log:
  06:00 WARN pool exhausted

DOCS REPORT · OK

integrity_report.json could not be shown: it is not a JSON object.

--
The next report goes out on Mon 2 Mar, 13:00 and covers Mon 2 Mar, 11:00 –
13:00.
Stored: 12,345 events: who used which feature when, and what failed; never
what anybody wrote. The oldest is from Saturday 31 January 2026. 678 older
ones have been deleted. The totals of each user since Tuesday 2 December 2025
are kept. 1 event was lost this week, because the tracker's buffer was full.
You get this because you are named in Guardian's configuration.
"""


def noted(minutes, feature="chat_message"):
    return samples.event(minutes, feature=feature)._replace(failure=Failure("Noted", "tool error"))


def test_an_answer_of_200_that_the_app_noted_as_failed_is_shown_as_failed():
    events = [samples.event(1), noted(2), noted(3), noted(4)]
    quiet = Quiet("olga@example.com", noted(-4400).at_us, 31, noted(-4401))
    _, text, html = parts({"usage_stats": samples.report(events, quiet=[quiet])})
    for shown in (text, html):
        assert "noted as failed" in shown
        assert "200 (failed) tool error" in " ".join(shown.split())
        assert "Last steps: chat_message → chat_message 200 (failed) (3×)" in " ".join(shown.split())
    assert "their last request: 200 (failed) tool error" in " ".join(text.split())


def test_notes_stand_on_top_and_a_name_that_somebody_else_chose_stays_text():
    detail = f"the token is for the audience '{samples.HOSTILE}'"
    report = samples.report([samples.event(1)], notes=[Note("token_refused", 212, detail)])
    _, text, html = parts({"usage_stats": report})
    assert text.index("212 bearer tokens were refused") < text.index("Active users")
    assert "212 bearer tokens were refused" in html and "<script>alert" not in html


class Exact(dict):
    """A part of a report that knows no other keys than its own, asked in whichever way."""

    def get(self, key, default=None):
        return self[key]


def exact(value):
    """The report of Exact parts. A table of counts is looked up by what was counted, so it stays as it is."""
    if isinstance(value, dict):
        return Exact({key: part if key == "error_breakdown" else exact(part) for key, part in value.items()})
    return [exact(part) for part in value] if isinstance(value, list) else value


def test_every_key_that_the_mail_uses_is_in_the_real_report():
    view = report_view(from_json(exact(samples.ordinary())), [], lang=language(), zone=samples.ZONE)
    assert all(
        view[part]
        for part in ("figures", "moved", "chart", "errors", "help", "gone_quiet", "features", "users", "privacy")
    )


@pytest.mark.parametrize("key", [
    "users", "previous", "latency_ms", "features", "anonymous", "privacy", "status", "timeline", "help", "gone_quiet",
])  # fmt: skip
def test_a_key_that_the_report_no_longer_has_is_noticed(key):
    report = exact(samples.ordinary())
    del report[key]
    with pytest.raises(KeyError, match=key):
        report_view(from_json(report), [], lang=language(), zone=samples.ZONE)


@pytest.mark.parametrize("name", [
    f"{name}.{kind}"
    for name in ("guardian_report_email", *(f"report/{section.name}" for section in SECTIONS if section.templates))
    for kind in ("html", "txt")
])  # fmt: skip
def test_a_template_is_given_all_that_it_names(name):
    source = mail_templates().loader.get_source(mail_templates(), name)[0]
    assert meta.find_undeclared_variables(mail_templates().parse(source)) <= {"view", "lang", "_", "parts"}


def test_a_report_of_nothing_but_the_fixed_keys_is_enough():
    report = {key: value for key, value in samples.ordinary().items() if key in FIXED}
    subject, text, html = parts({"usage_stats": report})
    assert subject == "⚠ 1.4 % of the requests failed with a server error – Guardian"
    assert "413   Content" not in text and "413 Content Too Large" in text and "ada@example.com" in html


def test_a_report_that_was_read_already_makes_the_same_mail():
    made = samples.ordinary()
    assert parts({"usage_stats": from_json(made)}) == parts({"usage_stats": made})


def test_a_mail_says_which_app_it_is_about():
    service = EmailService([], sender="g@example.com", clock=lambda: samples.END, app="Shop (staging)")
    mail = service.compose_guardian_report("a@example.com", {"usage_stats": samples.ordinary()}, key="k")
    assert mail.subject == "⚠ Shop (staging): 1.4 % of the requests failed with a server error – Guardian"
    message = email.message_from_bytes(mail.body, policy=policy.default)
    assert "Guardian · Shop (staging)" in message.get_body(("html",)).get_content()
    assert "WARNING · Shop (staging) · Mon 2 Mar" in message.get_body(("plain",)).get_content()
    assert service.compose_test("a@example.com", key="t").subject == "Shop (staging): Guardian can reach you"


def test_a_mail_of_companions_only_has_no_usage_section():
    subject, text, html = parts({"prod_report.json": samples.COMPANION})
    assert subject == "⚠ Prod report reports DEGRADED – Guardian"
    assert "Active users" not in text + html
    assert "Add an index on threads.owner" in text and "Add an index on threads.owner" in html


def test_a_period_without_anybody_is_short():
    subject, text, _ = parts({"usage_stats": samples.empty()})
    assert subject == "Nobody used the app – Guardian"
    assert text.startswith("""\
Nobody used the app.
====================
OK · Mon 2 Mar, 09:00 – 11:00 (Europe/Zurich)

--
""")


def test_that_nobody_came_any_more_is_worth_its_figures():
    text = parts({"usage_stats": samples.report([], [samples.event(-60)])})[1]
    assert "Active users                  0   ↓ from 1" in text


@pytest.mark.parametrize(
    "statuses, expected, headline",
    [
        ({}, "OK", "1 person used the app, and nothing failed."),
        ({"a.json": "ok", "b.json": "Ok"}, "OK", "1 person used the app, and nothing failed."),
        ({"a.json": "ok", "b.json": "warning"}, "WARNING", "B reports WARNING."),
        ({"a.json": "Unknown"}, "WARNING", "A reports UNKNOWN."),
        ({"a.json": "degraded", "b.json": "failed"}, "CRITICAL", "B reports FAILED."),
        ({"a.json": "critical"}, "CRITICAL", "A reports CRITICAL."),
        ({"a.json": "gut"}, "WARNING", "a.json could not be shown: its status 'GUT' is not one of OK, DEGRADED, "
                                       "WARNING, CRITICAL, FAILED, UNKNOWN."),
    ],
)  # fmt: skip
def test_the_status_is_that_of_the_worst_part(statuses, expected, headline):
    companions = [read_companion(name, {"status": status}) for name, status in statuses.items()]
    view = report_view(from_json(samples.report([samples.event(1)])), companions, lang=language(), zone=samples.ZONE)
    assert (view["grave"], view["headline"]) == (expected, headline)


def test_5000_users_make_a_mail_that_gmail_shows_whole():
    _, text, html = parts({"usage_stats": samples.crowded()})
    assert len(html.encode()) < 100_000
    assert "and 4,990 more people; the 1,000 with most errors, then most requests, are in the" in " ".join(text.split())


def test_more_users_than_the_mail_shows_come_in_an_attached_table():
    message = email.message_from_bytes(compose({"usage_stats": samples.crowded()}).body, policy=policy.default)
    [table] = message.iter_attachments()
    assert (table.get_filename(), table.get_content_type()) == ("users.csv.gz", "application/gzip")
    rows = list(csv.reader(StringIO(gzip.decompress(table.get_payload(decode=True)).decode("utf-8-sig"))))
    assert rows[0] == ["User", "Requests", "Errors", "Minutes", "Features"]
    assert len(rows) == 1_001
    message = email.message_from_bytes(compose({"usage_stats": samples.ordinary()}).body, policy=policy.default)
    assert list(message.iter_attachments()) == []


def test_names_that_begin_alike_can_be_told_apart_in_the_text_part():
    found = [cut(f"organisations/{{organisation_id}}/{what}", 24) for what in ("members", "invoices")]
    assert found == ["organisation…id}/members", "organisation…d}/invoices"]
    assert cut("chat_message", 24) == "chat_message"


@pytest.mark.parametrize("failures, said", [(20, "(20×)"), (33, "(≥ 20×)")])
def test_of_a_user_with_more_errors_than_are_listed_the_mail_says_at_least_how_many(failures, said):
    made = samples.report([samples.event(n, status=500, kind="KeyError") for n in range(failures)])
    _, text, html = parts({"usage_stats": made})
    assert f"ada@example.com · {failures} of {failures} requests failed" in text
    assert f"500 KeyError: Bad Request {said}  /api/chat_message" in text
    assert said in html.replace("&nbsp;", " ")


def test_the_chart_goes_along_as_a_picture_with_words_for_who_sees_none():
    message = email.message_from_bytes(compose({"usage_stats": samples.ordinary()}).body, policy=policy.default)
    [image] = [part for part in message.walk() if part.get_content_type() == "image/png"]
    html = message.get_body(("html",)).get_content()
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in html
    assert 'alt="Active users through the period: at most 6, around 09:30."' in html
    picture = Image.open(BytesIO(image.get_payload(decode=True)))
    assert picture.size == (1072, 300)
    assert "transparency" not in picture.info and picture.convert("RGBA").getextrema()[3] == (255, 255)


@pytest.mark.parametrize(
    "text, html",
    [
        ("ada@mail.example.com", "ada@<wbr>mail.<wbr>example.<wbr>com"),
        ("chat_message", "chat_<wbr>message"),
        ("<b>&'.x", "&lt;b&gt;&amp;&#39;.<wbr>x"),
        ("end.", "end."),
        ("", ""),
    ],
)
def test_a_name_may_break_after_its_parts_and_stays_escaped(text, html):
    assert str(breakable(text)) == html


def test_companions_that_would_make_it_too_large_are_cut_and_the_rest_is_counted():
    talkative = samples.hostile_companion("words of all kinds " * 40) | {"log_samples": ["line " * 200] * 60}
    _, text, html = parts({f"tool_{n:02}.json": talkative for n in range(30)})
    assert len(html.encode()) < 100_000
    assert "and 18 more reports" in text
    assert "and 60 more" in text


class Tags(HTMLParser):
    """Which elements and attributes a page has."""

    def __init__(self, html):
        super().__init__()
        self.names, self.attributes = set(), set()
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.mark.parametrize(
    "text",
    [samples.HOSTILE, '"><a href="javascript:alert(1)">', "' onload='x", "{% raw %}", "%(n)s", "x\nBcc: y", "\ud800"],
)
def test_what_somebody_else_chose_is_only_text(text):
    reports = {"usage_stats": samples.hostile(text), f"{text}.json": samples.hostile_companion(text)}
    subject, _, html = parts(reports)
    tags, usual = Tags(html), Tags(parts({"usage_stats": samples.ordinary(), "x.json": samples.COMPANION})[2])
    assert tags.names <= usual.names and tags.attributes <= usual.attributes
    assert "a" not in tags.names
    assert "\n" not in subject


def test_no_name_can_add_a_line_to_the_text_part():
    text = parts({"usage_stats": samples.hostile("ada\n\nAll is well.\u202e\x1b[2J")})[1]
    assert "ada All is well. [2J" in text
    assert "\nAll is well" not in text


@pytest.mark.parametrize("make", [samples.ordinary, samples.empty, samples.crowded, samples.hostile,
                                  lambda: samples.hostile(samples.LONG)])  # fmt: skip
def test_no_line_of_the_text_part_is_wider_than_78(make):
    companions = {"long.json": samples.hostile_companion(samples.LONG), "prod.json": samples.COMPANION}
    text = parts({"usage_stats": make(), **companions}, next_report=NEXT)[1]
    assert max(map(len, text.splitlines())) <= 78


@pytest.mark.parametrize("suffix, escaped", [("html", True), ("html.j2", True), ("jinja", True), ("txt", False)])
def test_every_template_but_plain_text_is_escaped(suffix, escaped):
    assert mail_templates().autoescape(f"name.{suffix}") is escaped


class Recorded:
    """A transport that notes what it is given, and fails as it is told."""

    name, channel, login = "recorded", "mail", None

    def __init__(self, error=None):
        self.error, self.sent = error, []

    async def send(self, message, *, sender, recipient):
        self.sent.append((message, sender, recipient))
        if self.error:
            raise self.error


@pytest.mark.parametrize("error", [DeliveryError("no"), PermanentError("never")])
async def test_the_next_transport_takes_what_the_first_surely_did_not_send(error):
    first, second = Recorded(error), Recorded()
    service = EmailService([first, second], sender="Guardian <guardian@example.com>")
    await service.send_guardian_report("admin@example.org", {"usage_stats": samples.empty()})
    assert first.sent == second.sent
    assert second.sent[0][1:] == ("guardian@example.com", "admin@example.org")


async def test_what_may_have_been_sent_goes_through_no_other_transport():
    first, second = Recorded(UnknownOutcome("perhaps")), Recorded()
    service = EmailService([first, second], sender="guardian@example.com")
    with pytest.raises(UnknownOutcome):
        await service.send_guardian_report("admin@example.org", {"usage_stats": samples.empty()})
    assert second.sent == []


async def test_without_a_transport_nothing_is_said_to_be_sent():
    with pytest.raises(DeliveryError, match="no transport is configured"):
        service = EmailService([], sender="guardian@example.com")
        await service.send_guardian_report("admin@example.org", {"usage_stats": samples.empty()})
