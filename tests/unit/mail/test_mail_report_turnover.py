"""The week in people, and releases, as the report mail says them."""

import email
from dataclasses import replace
from datetime import timedelta
from email import policy

import pytest

from guardian.core.language import language
from guardian.core.mentions import ERASED
from guardian.core.report.json import to_json
from guardian.core.report.reading import from_json
from guardian.core.turnover import Group
from guardian.mail.report import moved, releases, turnover
from guardian.mail.service import EmailService
from guardian.stores.forgetting import message_without
from tests.support import report_samples as samples
from tests.support.plain import plain
from tests.unit.core.test_report_additions import AT, CAUSES, RELEASES, SINCE, TURNOVER

WEEK = timedelta(days=7)
BASE = "https://guardian.example.com"


def week(told=TURNOVER, **more):
    report = from_json(samples.ordinary())
    return replace(report, period_start=AT, period_end=AT + WEEK, turnover=told, **more)


def lines(report, code="en"):
    view = turnover.words(report, language(code), samples.ZONE)
    return [
        plain(" ".join(filter(None, (each.text, ", ".join(name for name, _ in each.people), each.more))))
        for each in view["turnover"]
    ]


def bodies(report, code="en"):
    service = EmailService([], sender="g@example.com", clock=lambda: samples.END, pages_url=BASE)
    mail = service.compose_guardian_report("a@example.org", {"usage_stats": report}, key="report/1", code=code)
    message = email.message_from_bytes(mail.body, policy=policy.default)
    return mail, [message.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html")]


def test_the_week_in_people_is_told_in_sentences_with_names():
    assert lines(week()) == [
        "9 people are new: ann@x.org, bob@x.org and 7 more",
        "1 person is back after a week or more: cleo@x.org",
        "2 people who came in both periods before stayed away, after an error in chat: dan@x.org, eva@x.org",
        "3 people who came in both periods before stayed away.",
        "6 of 10 people who were new in the period before came back.",
        "More people use export: 34 of 120, before 11 of 115.",
        "Fewer people use old: 3 of 120, before 30 of 115.",
    ]
    assert lines(week(), "fr")[:3] == [
        "9 personnes sont nouvelles : ann@x.org, bob@x.org et 7 de plus",
        "1 personne est revenue après une semaine ou plus : cleo@x.org",
        "2 personnes venues lors des deux périodes précédentes ne sont pas revenues, après une erreur dans chat : "
        "dan@x.org, eva@x.org",
    ]


def test_of_many_features_after_whose_errors_people_stayed_away_three_are_named():
    many = replace(TURNOVER, quiet=(*(Group(9 - n, ("ann@x.org",), f"f{n}") for n in range(5)), Group(3)))
    assert [line for line in lines(week(many)) if "stayed away" in line][3:] == [
        "11 people who came in both periods before stayed away, after an error in 2 other features.",
        "3 people who came in both periods before stayed away.",
    ]
    many = replace(TURNOVER, adopted=TURNOVER.adopted * 7)
    assert lines(week(many))[-2:] == ["and 2 features more", "Fewer people use old: 3 of 120, before 30 of 115."]


def test_an_ordinary_week_is_one_line():
    ordinary = replace(TURNOVER, adopted=(), abandoned=(), quiet=(Group(3),), ordinary=True)
    view = turnover.words(week(ordinary), language(), samples.ZONE)
    assert lines(week(ordinary)) == ["As usual: 120 people, 9 of them new, 1 back after a week or more, 3 gone quiet."]
    assert view["cohorts"] is None


def test_nothing_is_said_where_the_report_does_not_know_or_nobody_was_there():
    nobody = replace(
        TURNOVER, active=0, active_before=0, new=Group(), returned=Group(), quiet=(), came_new=0, came_back=0,
        adopted=(), abandoned=(), cohorts=(),
    )  # fmt: skip
    for told in (None, nobody, replace(nobody, ordinary=True)):
        assert turnover.words(week(told), language(), samples.ZONE) == turnover.SECTION.blank


@pytest.mark.parametrize(
    ("days", "title"),
    [(7, "The week in people"), (30, "The month in people"), (31, "The month in people"), (60, "Who came and went")],
)
def test_the_title_says_how_long_it_was(days, title):
    report = replace(week(), period_end=AT + timedelta(days=days))
    assert turnover.words(report, language(), samples.ZONE)["turnover_title"] == title


def test_the_table_says_which_share_of_the_new_people_came_in_each_period_after():
    table = turnover.words(week(), language(), samples.ZONE)["cohorts"]
    assert table["head"] == ["New in", "People", "+1", "+2"]
    assert [[plain(cell) for cell in row] for row in table["rows"]] == [
        ["12 Mar", "20", "50 %", "40 %"],
        ["19 Mar", "12", "50 %", ""],
    ]


def test_each_line_leads_to_the_page_with_its_evidence():
    _, (text, html) = bodies(week())
    during, before = (
        f"range=own&start={start:%Y-%m-%dT%H:%MZ}&end={start + WEEK:%Y-%m-%dT%H:%MZ}" for start in (AT, AT - WEEK)
    )
    assert f"and 7 more\n  {BASE}/people?group=new&{during}\n" in text
    assert f"cleo@x.org\n  {BASE}/people?group=returned&{during}\n" in text
    assert f"came back.\n  {BASE}/people?group=new&{before}\n" in text
    assert f"before 11 of 115.\n  {BASE}/features?name=export&{during}\n" in text
    assert f"  {BASE}/people?{before}\n" in text
    for link in (f"name=ann@x.org&{during}", "name=dan@x.org&range=30d"):
        assert f'{BASE}/people/person?{link.replace("&", "&amp;")}"' in html


def test_whoever_is_erased_is_in_no_sentence_and_no_link_of_a_mail_that_waits():
    mail, _ = bodies(to_json(week(causes=CAUSES)))
    assert {"ann@x.org", "dan@x.org"} <= {mention.name for mention in mail.people}
    changed = message_without(mail, {"ann@x.org", "dan@x.org"})
    message = email.message_from_bytes(changed.body, policy=policy.default)
    for kind in ("plain", "html"):
        part = message.get_body((kind,)).get_content()
        assert "ann@x.org" not in part and "dan@x.org" not in part
        assert ERASED in part and "bob@x.org" in part


def test_releases_are_told_with_what_moved_since_and_nothing_more_than_is_known():
    def said(*found, code="en"):
        view = releases.words(week(releases=found), language(code), samples.ZONE)
        return [plain(line) for line in view["releases"]], plain(view["releases_from"])

    errors, unknown = RELEASES
    everything = replace(errors, compared=("errors", "latency", "requests"))
    assert said(errors, unknown) == (
        [
            "2.4.2, released Thu 12 Mar, 15:02.",
            "2.4.1, released Thu 12 Mar, 15:02: errors 3.3× (3.3 % of the requests, before 1 %).",
        ],
        "Since then, compared with the same time a week before:",
    )
    assert said(everything)[0] == [
        "2.4.1, released Thu 12 Mar, 15:02: errors 3.3× (3.3 % of the requests, before 1 %); nothing else moved."
    ]
    assert said(replace(everything, moved=()))[0] == [
        "2.4.1, released Thu 12 Mar, 15:02: nothing moved (900 requests, 3.3 % failed)."
    ]
    assert said(replace(errors, moved=()))[0] == ["2.4.1, released Thu 12 Mar, 15:02."]
    worse = replace(everything, before=replace(SINCE, errors=0, p95_ms=40.0, requests=400), moved=everything.compared)
    assert said(worse)[0] == [
        "2.4.1, released Thu 12 Mar, 15:02: 3.3 % of the requests failed, none before; "
        "slower (95 % within 86 ms, before 40 ms); more requests (900, before 400)."
    ]
    assert said(everything, code="fr")[0] == [
        "2.4.1, déployée jeu. 12 mars, 15:02 : erreurs × 3,3 (3,3 % des requêtes, avant 1 %) ; rien d'autre n'a bougé."
    ]
    assert said(*[unknown] * 5)[0][-1] == "and 2 releases more"
    assert said() == ([], "")


def test_what_moved_names_its_cause_with_the_figures():
    events = [samples.event(n, f"u{n % 9}@x.org", 500 if n < 60 else 200, "chat") for n in range(100)]
    before = [samples.event(n - 110, f"u{n % 9}@x.org", feature="chat") for n in range(100)]
    report = replace(from_json(samples.report(events, before)), causes=CAUSES)
    [line] = moved.words(report, language(), samples.ZONE)["moved"]
    assert plain(line) == (
        "chat fails, and did not before: 60 of 100 requests, 9 users, all 500. "
        "108 of 128 failures are KeyError at chat.py:118 (0 of 4,012 requests a week before). "
        "finn@x.org has 90 of 108 failures (90 % of its requests, 2.2 % of the others)."
    )
