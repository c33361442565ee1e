"""What alert mails say: the whole text of one, the threads, the buttons, and hostile names."""

import email
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import policy
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.briefing import brief
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.explaining import UNEXPLAINED, Explanation
from guardian.alerting.history import History
from guardian.alerting.incidents import Incident, Transition
from guardian.alerting.kinds import KINDS
from guardian.alerting.notices import Audience, Notice
from guardian.alerting.rule_words import rule_in_words
from guardian.alerting.whom import Hit, Whom
from guardian.alerting.wording import at_worst, sentence, title
from guardian.core.cause import Cause, Found, Way
from guardian.core.language import language
from guardian.mail.alert.compose import AlertWriter
from guardian.mail.alert.facts import affected
from guardian.mail.alert.view import AlertView
from guardian.settings.rules import parse_rule
from tests.support.events import event
from tests.support.plain import plain
from tracker.event import Failure

START = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
ZURICH = ZoneInfo("Europe/Zurich")


def events(*rows, feature="chat", user="ann{i}@example.com"):
    """Events from (minute, number, status)."""
    found = []
    for minute, number, status in rows:
        for i in range(number):
            at_us = START_US + minute * MINUTE_US + (i + 1) * 1_000_000
            failure = Failure("Boom", "Internal Server Error", "app.py:7 f") if status >= 400 else None
            who = user.format(i=i % 3)
            found.append(
                event(
                    at_us,
                    user=who,
                    path=f"/api/{feature}",
                    method="POST",
                    feature=feature,
                    status=status,
                    ms=9,
                    failure=failure,
                )
            )
    return found


def mails(happened, minutes, *rules, link_key="k" * 32, admins=("admin@example.org",), **more):
    """Every alert mail of so many minutes, parsed, with the thread subject kept as the daemon keeps it."""
    around = Surroundings(tuple(rules), ZURICH, admins=admins)
    writer = AlertWriter(
        admins=admins, sender="Guardian <guardian@example.com>", lang=language(), zone=ZURICH,
        public_url="https://guardian.example.com", link_key=link_key, **more,
    )  # fmt: skip
    history = History.of(happened, START_US, START_US + minutes * MINUTE_US)
    state, found, keys = AlertState(), [], set()
    for minute in range(1, minutes + 1):
        snapshot = history.at(START_US // MINUTE_US + minute)
        state, _, notices = advance(state, snapshot, around)
        for notice in notices:
            written = writer.compose(notice, snapshot, START + timedelta(minutes=minute, seconds=6))
            found += [email.message_from_bytes(m.body, policy=policy.default) for m in written.messages if m.body]
            lost = [m for m in written.messages if not m.body]
            assert all(m.unwritten and m.kind == "alert" and m.severity == "critical" for m in lost)
            assert keys.isdisjoint(m.key for m in written.messages), "the outbox keeps one mail a key"
            keys |= {m.key for m in written.messages}
    return found


def text(message):
    return plain(message.get_body(("plain",)).get_content())


def html(message):
    return message.get_body(("html",)).get_content()


DOWN = parse_rule("feature_down", {"resolve_after": "2m", "window": "5m"}, critical_features=("chat",))
OUTAGE = events((0, 5, 200), (8, 6, 503), *((m, 4, 200) for m in range(9, 16)))


def test_the_mail_that_an_outage_opens_with():
    opened, _ = mails(OUTAGE, 14, DOWN, link_key=None)
    assert opened["Subject"] == "● chat is down – Guardian"
    assert (
        text(opened)
        == """\
chat is down
============
Opened. All 6 requests in the last 5 min failed.
Rule feature_down: 5 or more requests to chat in the last 5 min, and every one
failed; now 6 of 6.

Since        Mon 16 Mar, 10:08 (Europe/Zurich)
Last good    Mon 16 Mar, 10:00
Affected     3 users: ann0@example.com (2 errors), ann1@example.com (2),
             ann2@example.com (2)
Happened     for the first time
What failed  503 Boom at app.py:7: 6 of 6
Where        chat (6 of 6) in the last 5 min
Fires when   Every request to chat failed within 5 min. Or none came for 1 h,
             where each earlier week saw 20 or more. With at least 5
             requests. With at least 2 users affected.

Failed       ···································▇
             04:09 – 10:09 · 6 of 11 requests failed in the last 6 hours

--
You get this because you are named in Guardian's configuration.
"""
    )


def test_the_end_comes_in_the_same_thread_with_the_duration_and_without_buttons():
    opened, resolved = mails(OUTAGE, 14, DOWN)
    assert resolved["Subject"] == "Re: ● chat is down – Guardian"
    assert resolved["In-Reply-To"] == resolved["References"] == opened["Message-ID"]
    assert resolved["Message-ID"] != opened["Message-ID"]
    assert "Resolved after 1 min" in text(resolved)
    assert "guardian.example.com/a/" in text(opened)
    assert "guardian.example.com/a/" not in text(resolved) + html(resolved)


def facts(message):
    """Label and value of a mail about one incident, from its text."""
    return dict(re.findall(r"^([A-Z][a-z]+(?: [a-z]+)*) {2,}(\S.*)$", text(message), re.MULTILINE))


def test_what_fires_again_says_since_when_how_long_it_lasted_in_all_and_nothing_of_who_took_the_first_on():
    calm = [(m, 4, 200) for m in range(9, 60)]
    rule = parse_rule(
        "feature_down", {"resolve_after": "1m", "window": "1m", "silence": 0}, critical_features=("chat",)
    )
    found = mails(events((0, 5, 200), (8, 6, 503), *calm[:20], (29, 6, 503), *calm[21:]), 40, rule)
    _, resolved, again, over = found
    assert "Resolved after 1 min" in text(resolved)
    assert (facts(again)["Since"], facts(again)["Again since"]) == (
        "Mon 16 Mar, 10:08 (Europe/Zurich)",
        "Mon 16 Mar, 10:29",
    )
    assert facts(again)["Last good"] == "Mon 16 Mar, 10:28"
    assert "Resolved after 2 min" in text(over), "the twenty calm minutes are not counted"
    assert "Acknowledged" not in facts(again)


def test_the_end_tells_how_many_users_it_concerned_though_their_events_are_long_gone():
    rule = parse_rule("error_rate", {"window": "5m", "min_requests": 5, "resolve_after": "1m"})
    rows = [(8, 6, 503), *((m, 5, 503) for m in range(9, 200)), *((m, 40, 200) for m in range(200, 220))]
    found = events(*rows)
    history = History.of(found, START_US, START_US + 220 * MINUTE_US)
    opened, resolved = mails(found, 220, parse_rule("error_rate", {**rule.model_dump(by_alias=True), "repeat": 0}))
    assert facts(opened)["Affected"].startswith("3 users: ann0@example.com")
    assert facts(resolved)["Affected"].startswith("3 users: ann0@example.com")
    late = replace(history, singles_us=START_US + 100 * MINUTE_US).at(START_US // MINUTE_US + 205)
    incident = Incident(
        "i", rule.name, "", "warning", "open", since_us=START_US + 9 * MINUTE_US, users=22, names=("a@x",)
    )
    told = brief(Transition(incident, "reminder", late.now_us), rule, late, language())
    assert affected(told, language(), names=False) == "at least 22 users, one of whom hit 384 errors"
    unknown = replace(told, users=0)
    assert affected(unknown, language(), names=False) == "no longer known"


def test_a_rule_that_counts_server_errors_tells_of_no_others():
    rule = parse_rule("error_rate", {"count": "server", "min_requests": 5})
    wrong = events((1, 9, 422), user="typo{i}@example.com", feature="form")
    [mail] = mails(sorted(wrong + events((1, 6, 503))), 2, rule)
    assert facts(mail)["Affected"].startswith("3 users: ann0@example.com (2 errors), ann1")
    assert facts(mail)["Where"] == "chat (6 of 6) in the last hour"
    assert facts(mail)["What failed"] == "503 Boom at app.py:7: 6 of 6"
    assert "6 of 15 requests failed in the last 6 hours" in text(mail)
    assert facts(mail)["Fires when"].startswith("More than 10 % server errors within 1 h, ")


def test_a_slow_feature_tells_nothing_of_failures():
    slow = parse_rule("latency", {"feature": "chat", "threshold_ms": 5, "min_requests": 5})
    [mail] = mails(events((0, 15, 200), (0, 2, 500)), 4, slow)
    assert "Where" not in facts(mail)
    assert text(mail).splitlines()[2] == "Opened. 95 % of the requests took up to 9 ms; the limit is 5 ms."


def test_a_channel_hears_what_the_mail_says_but_no_names_of_users():
    rule = parse_rule("feature_down", {"window": "5m", "channels": ["ops"]}, critical_features=("chat",))
    around = Surroundings((rule,), ZURICH)
    history = History.of(OUTAGE, START_US, START_US + 9 * MINUTE_US)
    _, _, [notice] = advance(AlertState(), history.at(START_US // MINUTE_US + 9), around)
    writer = AlertWriter(
        admins=("a@x.org",), sender="g@example.com", lang=language(), zone=ZURICH, public_url="", link_key=None
    )
    [message] = writer.compose(notice, history.at(START_US // MINUTE_US + 9), START).messages
    assert plain(json.loads(message.body)["text"]).splitlines() == [
        "Opened: chat is down. All 6 requests in the last 5 min failed.",
        "Rule feature_down: 5 or more requests to chat in the last 5 min, and every one failed; now 6 of 6",
        "Since: Mon 16 Mar, 10:08 (Europe/Zurich)",
        "Last good: Mon 16 Mar, 10:00",
        "Affected: 3 users, one of whom hit 2 errors",
        "Happened: for the first time",
        "What failed: 503 Boom at app.py:7: 6 of 6",
        "Where: chat (6 of 6) in the last 5 min",
    ]


@pytest.mark.parametrize(
    ("change", "more", "pill", "facts"),
    [
        ("closed", {"status": "resolved", "well_since_us": START_US}, "Resolved by ann@x.org", {}),
        ("removed", {"status": "resolved", "well_since_us": START_US},
         "No longer watched: its rule was removed or switched off",
         {"Acknowledged": "by ann@x.org"}),
        ("unsilenced", {}, "Still firing, and the silence is over", {"Acknowledged": "by ann@x.org"}),
        ("reminder", {"silenced_until_us": START_US + 120 * MINUTE_US}, "Still firing",
         {"Silenced": "until Mon 16 Mar, 12:00 by ann@x.org"}),
        ("reminder", {"earlier": 1}, "Still firing", {"Happened": "once before"}),
        ("reminder", {"earlier": 2}, "Still firing", {"Happened": "2 times before"}),
    ],
)  # fmt: skip
def test_every_change_and_state_is_said(change, more, pill, facts):
    rule = parse_rule("error_rate", {})
    snapshot = History.of(OUTAGE, START_US, START_US + 9 * MINUTE_US).at(START_US // MINUTE_US + 9)
    known = {"status": "open", "acknowledged_by": "ann@x.org", "since_us": START_US, **more}
    told = brief(
        Transition(Incident("i", rule.name, "", "warning", **known), change, snapshot.now_us),
        rule,
        snapshot,
        language(),
    )
    block = AlertView(language(), ZURICH).of([told], "subject", START)["blocks"][0]
    assert block["change"] == pill
    assert facts.items() <= dict(block["facts"]).items()
    assert ("Acknowledged" in dict(block["facts"])) == ("Acknowledged" in facts or "Happened" in facts)


def test_where_nothing_failed_the_chart_shows_the_requests():
    slow = parse_rule("latency", {"feature": "chat", "threshold_ms": 5, "min_requests": 5})
    [mail] = mails(events((0, 15, 200)), 4, slow)
    assert "Requests     ···································█\n" in text(mail)
    assert "04:01 – 10:01 · 15 requests in the last 6 hours, none failed\n" in text(mail)
    assert "15 requests in the last 6 hours, none failed" in html(mail)


def test_each_recipient_has_buttons_of_their_own():
    both = mails(OUTAGE, 9, DOWN, admins=("a@example.org", "b@example.org"))
    assert [m["To"] for m in both] == ["a@example.org", "b@example.org"]
    links = [{word for word in text(m).split() if "/a/" in word} for m in both]
    assert [len(each) for each in links] == [5, 5]
    assert not links[0] & links[1]


def test_a_recipient_whose_mail_cannot_be_written_blocks_no_other(caplog):
    both = mails(OUTAGE, 9, DOWN, admins=("a@example.org\r\nBcc: x@y", "b@example.org"))
    assert [m["To"] for m in both] == ["b@example.org"]
    assert "to one recipient: it cannot be written: " in caplog.text


def test_two_that_open_together_come_in_one_mail():
    rate = parse_rule("error_rate", {"min_requests": 5})
    [both] = mails(OUTAGE, 9, DOWN, rate)
    assert both["Subject"] == "● 2 alerts: chat is down, … – Guardian"
    assert "chat is down\n------------\n" in text(both)
    assert "Error rate above 10 %" in text(both)


def test_an_outage_that_hundreds_of_users_meet_makes_one_mail_that_gmail_shows_whole_the_gravest_first():
    met = [e for n in range(400) for e in events((1, 6, 500), user=f"user{n}@example.com")]
    rules = [parse_rule(kind, {}) for kind in ("user_burst", "error_rate")]
    [mail] = mails(sorted(met), 9, *rules, DOWN)
    assert mail["Subject"] == "● 102 alerts: chat is down, … – Guardian"
    assert len(html(mail).encode()) < 100_000
    titles = [
        line for line in text(mail).splitlines() if line.endswith("hitting errors") or line.startswith(("*", "Err"))
    ]
    assert titles[0] == "Error rate above 10 %"
    assert len([line for line in titles if line.startswith("* Opened: user")]) == 40
    assert "and 56 more, which 'guardian alerts list' shows" in text(mail)
    assert "So did 300 more at that time, whom no alert follows." in " ".join(text(mail).split())
    acknowledge = re.findall(r"^  Acknowledge: https://guardian.example.com/a/\S+$", text(mail), re.MULTILINE)
    assert len(set(acknowledge)) == 40 == html(mail).count('">Acknowledge</a></span>'), "each line has a button"


def test_long_names_leave_fewer_alerts_in_full_so_that_gmail_shows_the_mail_whole():
    long = "organisations/{organisation_id}/" * 6
    met = [e for n in range(60) for e in events((1, 12, 500), user=f"u{n}@{'x' * 60}.example.com", feature=long)]
    burst = parse_rule("user_burst", {})
    [mail] = mails(sorted(met), 9, burst, admins=("a" * 64 + "@" + "b" * 63 + ".example.org",))
    assert len(html(mail).encode()) < 100_000
    assert html(mail).count("/a/") >= 5


def test_an_alert_about_one_user_lists_their_steps_and_can_be_answered():
    burst = parse_rule("user_burst", {})
    steps = events((0, 2, 200), user="rosa@example.com") + events(
        (1, 5, 413), feature="upload", user="rosa@example.com"
    )
    [mail] = mails(steps, 3, burst)
    assert mail["Subject"] == "⚠ rosa@example.com keeps hitting errors – Guardian"
    assert mail["Reply-To"] == "rosa@example.com"
    assert "THEIR LAST 7 REQUESTS\n10:00  200  chat\n10:00  200  chat\n10:01  413  upload\n" in text(mail)
    assert "upload (5 of 5)" in text(mail)
    met = [
        each._replace(status=200, failure=Failure("Noted", "tool error")) if each.failure else each for each in steps
    ]
    [mail] = mails(met, 3, burst)
    assert "THEIR LAST 7 REQUESTS\n10:00  200  chat\n10:00  200  chat\n10:01  200 (failed)  upload\n" in text(mail)
    assert 'class="num worse" width="20%">200 (failed)' in html(mail) or "200 (failed)</td>" in html(mail)
    [mail] = mails(steps, 3, burst, support_email="support@example.com")
    assert mail["Reply-To"] == "support@example.com"


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "=?utf-8?q?a=0ABcc:_x@y?=", "a\r\nBcc: x@y", "x" * 200, "%(n)s {{ 7*7 }}"]
)
def test_a_hostile_feature_is_only_text(name):
    rule = parse_rule("feature_down", {"features": [name], "min_users": 1})
    [mail] = mails(events((0, 6, 500), feature=name), 2, rule)
    assert mail["Bcc"] is None
    assert "<script>" not in html(mail)
    assert "49" not in str(mail["Subject"])
    assert "\n" not in str(mail["Subject"])


def test_every_kind_of_rule_can_be_said():
    for kind in KINDS:
        rule = parse_rule(kind, {}, critical_features=("chat",))
        incident = Incident("i", kind, "chat", "warning", "open", since_us=START_US, value=0.5)
        counts = History.of([], START_US, START_US + MINUTE_US).at(START_US // MINUTE_US).counts(60)
        said = [title(rule, "chat", language()), sentence(rule, incident, counts, language())]
        said += [rule_in_words(rule, language()), at_worst(rule, incident, language())]
        assert all(said), kind
        assert not [words for words in said if "%(" in words], kind


@pytest.mark.parametrize(
    "kind, facts, peak, words",
    [
        ("error_rate", {}, 0.167, "At worst, 16.7 % of the requests failed in 1 h."),
        ("feature_down", {"why": "failing"}, 1.0, "At worst, every request failed."),
        ("feature_down", {"why": "silent", "usual": 40}, None, "Nobody used it; about 40 requests are usual."),
        (
            "feature_down",
            {"why": "probe", "url": "https://x.org/"},
            None,
            "https://x.org did not answer as it should.",
        ),
        ("user_burst", {}, 5.0, "They hit 5 or more errors within 10 min."),
        ("latency", {}, 4321.0, "At worst, 95 % of the requests took up to 4.3 s; the limit is 2 s."),
        ("traffic_drop", {"usual": 90}, 12.0, "There were 12 requests in 1 h; 90 are usual."),
        ("traffic_drop", {"usual": 90}, 0.0, "There were 0 requests in 1 h; 90 are usual."),
        ("new_error", {}, 3.0, "It had never been seen before."),
        ("burn_rate", {}, 14.5, "At worst, the 30-day budget would have been gone in 2 d 1 h."),
    ],
)
def test_the_end_says_how_bad_it_was_and_nothing_of_the_present(kind, facts, peak, words):
    rule = parse_rule(kind, {}, critical_features=("chat",))
    ended = {"since_us": START_US, "value": 77.0}
    incident = Incident("i", kind, "chat", "warning", "resolved", peak=peak, facts=facts, **ended)
    assert plain(at_worst(rule, incident, language())) == words


def test_each_admin_reads_alerts_and_their_threads_in_their_own_language():
    admins = ("ann@example.org", "zoe@example.org")
    spoken = {"zoe@example.org": language("fr")}
    found = mails(OUTAGE, 14, DOWN, admins=admins, language_of=lambda to: spoken.get(to, language()))
    english, french = ([mail for mail in found if mail["To"] == to] for to in admins)
    assert [mail["Subject"] for mail in english] == ["● chat is down – Guardian", "Re: ● chat is down – Guardian"]
    first, last = (mail["Subject"] for mail in french)
    assert first.startswith("● chat ") and first != english[0]["Subject"]
    assert last == f"Re: {first}"
    assert "Opened" in text(english[0]) and "Opened" not in text(french[0])
    assert french[1]["References"] == english[1]["References"]


def test_an_hour_in_which_one_user_after_the_other_meets_errors_makes_a_handful_of_mails():
    met = [e for minute in range(60) for n in range(4) for e in events((minute, 6, 500), user=f"u{minute}-{n}@x.org")]
    found = mails(sorted(met), 60, parse_rule("user_burst", {}), DOWN)
    subjects = [str(mail["Subject"]) for mail in found]
    assert subjects[0] == "● 5 alerts: chat is down, … – Guardian"
    minutes = [mail["Date"].datetime.minute for mail in found]
    openings = [m for m, subject in zip(minutes, subjects, strict=True) if not subject.startswith("Re: ")]
    ends = [m for m, subject in zip(minutes, subjects, strict=True) if subject.startswith("Re: ")]
    assert (openings, ends) == ([1, 11, 21, 31, 41, 51], [16, 26, 36, 46, 56])


def test_a_name_that_runs_from_right_to_left_stands_apart_from_the_numbers_beside_it():
    rule = parse_rule("feature_down", {"features": ["חיפוש"], "min_users": 1, "silence": 0})
    [mail] = mails(events((0, 6, 500), feature="חיפוש"), 2, rule, link_key=None)
    assert "\u2068חיפוש\u2069 (6 of 6)" in text(mail)
    assert "<bdi>חיפוש</bdi> (6 of 6)" in html(mail)
    assert html(mail).count("<bdi>") == html(mail).count("</bdi>") > 1
    assert "\u2068" not in mail["Subject"]


def test_an_alert_of_the_night_in_which_clocks_are_put_back_says_which_of_the_two_hours():
    begin = datetime(2026, 10, 25, 0, 50, tzinfo=UTC)
    since_us, end_us = (int(at.timestamp()) * 1_000_000 for at in (begin, begin + timedelta(minutes=31)))
    rule = parse_rule("error_rate", {})
    incident = Incident(
        "i", rule.name, "", "warning", "resolved", since_us, onset_us=since_us, recovery_us=end_us,
        well_since_us=end_us, resolved_us=end_us, peak=0.5,
    )  # fmt: skip
    snapshot = History.of([], since_us, end_us).at(end_us // MINUTE_US)
    told = brief(Transition(incident, "resolved", end_us), rule, snapshot, language())
    block = AlertView(language(), ZURICH).of([told], "subject", begin)["blocks"][0]
    assert plain(block["change"]) == "Resolved after 31 min"
    assert [(label, plain(value)) for label, value in block["facts"][:2]] == [
        ("Since", "Sun 25 Oct, 02:50 UTC+2 (Europe/Zurich)"), ("Until", "Sun 25 Oct, 02:21 UTC+1"),
    ]  # fmt: skip


def test_a_thread_keeps_the_subject_that_it_began_with_in_each_language():
    rules = {"feature_down": DOWN, "error_rate": parse_rule("error_rate", {"min_requests": 5})}
    admins, spoken = ("ann@example.org", "zoe@example.org"), {"zoe@example.org": language("fr")}
    writer = AlertWriter(
        admins, "g@example.com", language(), ZURICH, "", None, language_of=lambda to: spoken.get(to, language())
    )
    now_us = START_US + 12 * MINUTE_US
    snapshot = History.of(OUTAGE, START_US, now_us).at(now_us // MINUTE_US)
    both = [
        Incident("i", "feature_down", "chat", "critical", "open", now_us, fired_us=now_us, facts={"why": "failing"}),
        Incident("j", "error_rate", "", "warning", "open", now_us, fired_us=now_us, value=0.5),
    ]
    opened = [Transition(incident, "opened", now_us) for incident in both]
    audience = Audience(("mail",), ())
    begun = writer.compose(Notice("bundle", tuple(opened), audience, "i", True, now_us, rules=rules), snapshot, START)
    known = {"thread": "i", "thread_subject": begun.subjects[""], "thread_subjects": {"fr": begun.subjects["fr"]}}
    over = replace(both[1], status="resolved", resolved_us=now_us, well_since_us=now_us, **known)
    notice = Notice("single", (Transition(over, "resolved", now_us),), audience, "i", False, now_us, rules=rules)
    rows = writer.compose(notice, snapshot, START).messages
    ends = [email.message_from_bytes(row.body, policy=policy.default) for row in rows]
    assert [mail["Subject"] for mail in ends] == [
        "Re: ● 2 alerts: chat is down, … – Guardian", "Re: ● 2 alertes : chat est en panne, … – Guardian",
    ]  # fmt: skip


BROKEN = Explanation(
    cause=Cause((Found("release", "2.4.1", 60, 61, 65, 1_200, 0.98),)),
    way=Way(("Boom", "app.py:7 f"), 60, 61, 0, 4_012),
    days=7,
)


def test_an_alert_tells_its_cause_and_how_often_the_error_came_before():
    looked = []

    def look(rule, incident, now_us):
        looked.append((rule.name, incident.id, now_us))
        return BROKEN

    happened = events(*((minute, 10, 200) for minute in range(5)), *((minute, 10, 500) for minute in range(5, 20)))
    admins = ("a@example.org", "b@example.org")
    first, _ = mails(happened, 10, parse_rule("error_rate", {}), look=look, admins=admins)
    words = " ".join(text(first).split())
    assert "Cause release 2.4.1 has 60 of 61 failures (92.3 % of its requests, 0.08 % of the others)" in words
    assert re.search(r"500 Boom at app.py:7: \d+ of \d+ \(0 of 4,012 requests a week before\)", words)
    assert "release 2.4.1" in plain(html(first))
    assert len(looked) == 1, "once for all recipients"


def test_an_alert_whose_cause_nobody_looks_for_says_nothing_of_it():
    happened = events(*((minute, 10, 500) for minute in range(20)))
    [mail] = mails(happened, 10, parse_rule("error_rate", {}))
    assert "Cause" not in text(mail)


def hit(name, fate="away", times=2):
    return Hit(name, times, START_US, START_US + MINUTE_US, "/api/chat", "chat", fate)


def told_after(*hits, **more):
    """The mail of an end that hit these people."""
    found = Whom(tuple(hits), **more)
    *_, mail = mails(OUTAGE, 16, DOWN, look=lambda *_: replace(UNEXPLAINED, whom=found))
    return mail


def test_the_end_says_whom_to_tell_with_a_list_a_draft_and_a_file():
    mail = told_after(
        hit("eve@example.com"), hit("=zoe"), hit("bob@example.com", "again"), hit("ann@example.com", "back"),
        erased=1, anonymous=2,
    )  # fmt: skip
    words = " ".join(text(mail).split())
    assert (
        "WHOM TO TELL 5 people were hit: 1 has used chat since, 1 has tried again and failed, 2 have not come back. "
        "1 of them was erased, and is not named. 2 failed requests came from people who were not signed in. "
        "Not come back or failed again, to copy: eve@example.com, bob@example.com "
        "1 of them has no mail address: =zoe Everybody who was hit is in the attached people.csv."
    ) in words
    draft = 'href="mailto:?bcc=eve@example.com,bob@example.com&amp;subject=It%20works%20again%3A%20chat&amp;'
    assert draft in html(mail)
    [file] = mail.iter_attachments()
    assert file.get_filename() == "people.csv"
    rows = file.get_payload(decode=True).decode("utf-8-sig").splitlines()
    assert rows[0] == '"User","Errors","First","Last","Route","Feature","Since then"'
    assert rows[2].startswith('"\'=zoe",2,"2026-03-16T09:00:00+00:00","2026-03-16T09:01:00+00:00","/api/chat","chat",')
    assert rows[4].endswith('"succeeded"')


@pytest.mark.parametrize("end", ["removed", "unwatched"])
def test_where_nobody_knows_whether_it_is_well_no_draft_says_that_it_works_again(end):
    b = ended_briefing(Whom((hit("eve@example.com"),)))
    b = replace(b, change=end, incident=replace(b.incident, end=end))
    [block] = AlertView(language(), ZURICH).of([b], "s", START)["blocks"]
    assert (block["whom"]["draft"], block["whom"]["addresses"]) == ("", "eve@example.com")
    assert block["whom"]["notes"] == []


def test_of_what_goes_on_a_mail_does_not_say_whom_to_tell_yet():
    found = Whom((hit("eve@example.com"),))
    first, *_ = mails(OUTAGE, 16, DOWN, look=lambda *_: replace(UNEXPLAINED, whom=found))
    assert "WHOM TO TELL" not in text(first)
    assert list(first.iter_attachments()) == []


def test_too_many_for_a_draft_are_copied_and_the_mail_says_so():
    mail = told_after(*(hit(f"somebody.with.a.long.name.{n:03}@department.example.com") for n in range(150)))
    words = " ".join(text(mail).split())
    assert "mailto:" not in html(mail)
    assert "They are too many for one draft: copy the addresses to Bcc." in words
    assert ".099@department.example.com" in words and ".100@" not in words
    assert "and 50 more." in words
    [file] = mail.iter_attachments()
    assert len(file.get_content().splitlines()) == 151


def test_where_everybody_is_fine_again_there_is_nobody_to_write_to():
    mail = told_after(hit("ann@example.com", "back"))
    assert "1 person was hit: 1 has used chat since." in text(mail)
    assert "mailto:" not in html(mail) and "to copy" not in text(mail)


def test_people_to_tell_can_be_erased_from_the_mail():
    found = Whom((hit("eve@example.com"),))
    writer_mails = []
    around = Surroundings((DOWN,), ZURICH, admins=("admin@example.org",))
    writer = AlertWriter(
        admins=("admin@example.org",), sender="g@example.com", lang=language(), zone=ZURICH, public_url="",
        link_key=None, look=lambda *_: replace(UNEXPLAINED, whom=found),
    )  # fmt: skip
    history, state = History.of(OUTAGE, START_US, START_US + 16 * MINUTE_US), AlertState()
    for minute in range(1, 17):
        snapshot = history.at(START_US // MINUTE_US + minute)
        state, _, notices = advance(state, snapshot, around)
        for notice in notices:
            writer_mails += writer.compose(notice, snapshot, START + timedelta(minutes=minute)).messages
    end = writer_mails[-1]
    places = {mention.part for mention in end.people if mention.name == "eve@example.com"}
    parts = list(email.message_from_bytes(end.body, policy=policy.default).walk())
    holding = {
        str(n) for n, part in enumerate(parts)
        if not part.is_multipart() and "eve@example.com" in part.get_content()
    }  # fmt: skip
    assert places >= holding
    assert len(holding) == 3, "in the text, the page and the file"


def test_a_channel_hears_how_many_were_hit_and_nobody_by_name():
    lines = AlertView(language(), ZURICH).lines([ended_briefing(Whom((hit("eve@example.com"),)))])
    assert "1 person was hit: 1 has not come back." in lines
    assert not any("eve@example.com" in line for line in lines)


def ended_briefing(found):
    """What is told of the end of an outage that hit these people."""
    around, history, state = Surroundings((DOWN,), ZURICH, admins=("a@example.org",)), None, AlertState()
    history = History.of(OUTAGE, START_US, START_US + 16 * MINUTE_US)
    for minute in range(1, 17):
        snapshot = history.at(START_US // MINUTE_US + minute)
        state, transitions, _ = advance(state, snapshot, around)
        for each in transitions:
            if each.change == "resolved":
                return brief(each, DOWN, snapshot, language(), why=replace(UNEXPLAINED, whom=found))
    raise AssertionError("it does not end")
