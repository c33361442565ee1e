"""What channels are told of incidents: a title and a severity that are true, and which incident a message ends."""

import json
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from guardian.alerting.history import History
from guardian.alerting.incidents import Incident, Transition
from guardian.alerting.notices import Audience, Notice
from guardian.core.language import language
from guardian.mail.alert.compose import AlertWriter
from guardian.mail.channels.message import read_message
from guardian.mail.channels.sender import kind
from guardian.mail.channels.services import follows_each, make_sender
from guardian.settings.rules import parse_rule
from tests.support.events import event
from tests.support.plain import plain
from tests.unit.mail.test_alert_mail import OUTAGE, START, START_US, ZURICH
from tracker.event import Failure

MINUTE = 60_000_000
NOW_US = START_US + 16 * MINUTE
RULES = {
    "feature_down": parse_rule("feature_down", {}, critical_features=("chat",)),
    "error_rate": parse_rule("error_rate", {"min_requests": 5}),
}


def incident(rule="feature_down", change="opened", **more):
    """A transition of an incident that began at minute 8, and is over since minute 12 if the change is an end."""
    rule = RULES[rule]
    over = change in ("resolved", "closed", "removed", "unwatched")
    known = {"value": 0.3, "peak": 0.5, "facts": {"why": "failing"}, "onset_us": START_US + 8 * MINUTE, **more}
    if over:
        known |= {"well_since_us": START_US + 12 * MINUTE, "resolved_us": START_US + 16 * MINUTE}
    else:
        known |= {"fired_us": NOW_US}
    subject = "chat" if rule.name == "feature_down" else ""
    made = Incident(
        f"i-{rule.name}",
        rule.name,
        subject,
        rule.severity,
        "resolved" if over else "open",
        START_US + 8 * MINUTE,
        **known,
    )
    return Transition(made, change, NOW_US)


def told(*transitions, form=None, first=False, alone=False, app=""):
    """The messages of a channel about these."""
    form = form or ("single" if len(transitions) == 1 else "bundle")
    notice = Notice(form, transitions, Audience(("ops",), ()), "the-thread", first, NOW_US, rules=RULES)
    writer = AlertWriter(
        admins=("a@x.org",), sender="g@example.com", lang=language(), zone=ZURICH, public_url="https://g.example.com",
        link_key=None, app=app, alone=frozenset({"ops"} if alone else ()),
    )  # fmt: skip
    snapshot = History.of(OUTAGE, START_US, NOW_US).at(NOW_US // MINUTE)
    rows = writer.compose(notice, snapshot, START).messages
    assert len({row.key for row in rows}) == len(rows)
    return [(row, read_message(row.body)) for row in rows]


@pytest.mark.parametrize(
    ("change", "title", "severity", "sort"),
    [
        ("opened", "● chat is down – Guardian", "critical", "failure"),
        ("reminder", "● Still firing: chat is down – Guardian", "critical", "failure"),
        ("unsilenced", "● Still firing: chat is down – Guardian", "critical", "failure"),
        ("reopened", "● Firing again: chat is down – Guardian", "critical", "failure"),
        ("flapping", "● Comes and goes: chat is down – Guardian", "critical", "failure"),
        ("resolved", "✓ Resolved: chat is down – Guardian", "info", "success"),
        ("closed", "✓ Resolved: chat is down – Guardian", "info", "success"),
        ("removed", "No longer watched: chat is down – Guardian", "info", "info"),
        ("unwatched", "No longer watched: chat is down – Guardian", "info", "info"),
    ],
)
def test_the_title_and_the_severity_say_what_became_of_it(change, title, severity, sort):
    [(row, message)] = told(incident(change=change))
    assert (message.title, message.severity, row.severity, row.subject) == (title, severity, severity, title)
    assert (kind(message), message.change) == (sort, change)
    assert (message.resolved, message.over) == (sort == "success", severity == "info")


@pytest.mark.parametrize(
    ("changes", "form", "title", "severity", "resolved"),
    [
        (("opened", "opened"), "bundle", "● 2 alerts: chat is down, … – Guardian", "critical", False),
        (("resolved", "reminder"), "bundle", "⚠ 2 alerts, 1 of them over: Error rate above 10 %, … – Guardian",
         "warning", False),
        (("reminder", "resolved"), "bundle", "● 2 alerts, 1 of them over: chat is down, … – Guardian",
         "critical", False),
        (("resolved", "closed"), "bundle", "✓ 2 alerts, resolved: chat is down, … – Guardian", "info", True),
        (("resolved", "unwatched"), "bundle", "2 alerts, over or no longer watched: chat is down, … – Guardian",
         "info", False),
        (("resolved", "resolved"), "overflow",
         "✓ 2 alerts held back by the hourly limit, resolved: chat is down, … – Guardian", "info", True),
        (("resolved", "opened"), "digest",
         "⚠ 2 alerts in the quiet hours, 1 of them over: Error rate above 10 %, … – Guardian", "warning", False),
    ],
)  # fmt: skip
def test_a_message_about_several_is_as_grave_as_the_gravest_that_goes_on(changes, form, title, severity, resolved):
    pair = (incident(change=changes[0]), incident("error_rate", changes[1]))
    [(_, message)] = told(*pair, form=form)
    assert (message.title, message.severity, message.resolved) == (title, severity, resolved)


def test_the_end_of_one_of_two_that_opened_together_is_good_news_that_names_it():
    [(_, message)] = told(
        incident(change="resolved", thread="the-thread", thread_subject="● 2 alerts: chat is down, …")
    )
    assert message.title == "✓ Resolved: chat is down – Guardian"
    [shown] = next(make_sender("slack://T0/B0/tok").say(message)).body["attachments"]
    assert (message.severity, message.resolved, shown["color"]) == ("info", True, "#3AA337")
    assert plain(message.text).startswith("Resolved after 4 min: chat is down. At worst, every request failed.")


def test_a_channel_that_follows_each_incident_gets_a_message_an_incident_whose_thread_is_its_own():
    pair = (incident(change="resolved"), incident("error_rate", "reminder"))
    messages = [message for _, message in told(*pair, alone=True)]
    assert [(each.thread, each.over, each.severity) for each in messages] == [
        ("i-error_rate", False, "warning"), ("i-feature_down", True, "info"),
    ]  # fmt: skip
    sent = [next(make_sender("pagerduty://key@api").say(each)).body for each in messages]
    assert [(each["event_action"], each["dedup_key"]) for each in sent] == [
        ("trigger", "i-error_rate"), ("resolve", "i-feature_down"),
    ]  # fmt: skip


@pytest.mark.parametrize("change", ["resolved", "closed", "removed", "unwatched"])
def test_pagerduty_closes_its_incident_at_every_end_and_a_webhook_hears_which(change):
    [(_, message)] = told(incident(change=change), alone=True)
    assert next(make_sender("pagerduty://key@api").say(message)).body["event_action"] == "resolve"
    body = next(make_sender("jsons://example.com/hook").say(message)).body
    assert (body["over"], body["resolved"], body["change"]) == (True, change in ("resolved", "closed"), change)
    assert (body["thread"], body["severity"]) == ("i-feature_down", "info")


@pytest.mark.parametrize("address, each", [
    ("pagerduty://key@api", True), ("jsons://example.com", True), ("json://example.com", True),
    ("slack://T0/B0/tok", False), ("discord://1/a", False), ("ntfy://topic", False), ("https://ntfy.sh/topic", False),
])  # fmt: skip
def test_who_keeps_incidents_of_its_own_follows_each(address, each):
    assert follows_each(address) == each


@pytest.mark.parametrize(
    ("change", "rule", "priority", "tags"),
    [
        ("opened", "feature_down", "max", "rotating_light"),
        ("reminder", "error_rate", "high", "warning"),
        ("resolved", "feature_down", None, "white_check_mark"),
        ("unwatched", "feature_down", None, None),
    ],
)
def test_ntfy_is_as_loud_as_the_news_is_bad(change, rule, priority, tags):
    [(_, message)] = told(incident(rule, change))
    headers = next(make_sender("ntfys://ntfy.example.com/topic").say(message)).headers
    assert (headers.get("X-Priority"), headers.get("X-Tags")) == (priority, tags)
    headers = next(make_sender("ntfys://ntfy.example.com/topic?priority=low&xtags=a,b").say(message)).headers
    assert (headers["X-Priority"], headers["X-Tags"]) == ("low", f"{tags},a,b" if tags else "a,b")


@pytest.mark.parametrize("address", [
    "slack://T0/B0/tok", "workflows://prod-1.logic.azure.com:443/w/s", "discord://1/a", "ntfy://topic",
    "pagerduty://key@api", "jsons://example.com",
])  # fmt: skip
def test_every_service_says_the_title_and_names_the_app(address):
    [(_, message)] = told(incident(), app="Shop (staging)")
    assert message.title == "● Shop (staging): chat is down – Guardian"
    said = json.dumps(next(make_sender(address).say(message)).body, ensure_ascii=False).replace("\\", "")
    assert "Shop (staging): chat is down" in said


def test_what_failed_is_told_by_its_three_most_frequent_causes_with_how_many_did_otherwise():
    def failing(number, status, kind, place="", noted=False, offset=0):
        what = Failure(kind, "words of the app", place)
        return [event(NOW_US - MINUTE + offset + n, user=f"u{n % 7}@x.org", path="/api/chat", method="POST",
                      status=status, duration_us=9, failure=what) for n in range(number)]  # fmt: skip

    events = failing(108, 500, "KeyError", "app/chat.py:118 answer") + failing(9, 413, "HTTP 413", offset=1000)
    events += failing(6, 200, "Noted", offset=2000) + failing(5, 504, "TimeoutError", "db.py:7 ask", offset=3000)
    history = History.of(sorted(events), START_US, NOW_US)
    notice = Notice("single", (incident("error_rate"),), Audience(("ops",), ()), "t", True, NOW_US, rules=RULES)
    writer = AlertWriter(("a@x.org",), "g@example.com", language(), ZoneInfo("UTC"), "", None)
    [row] = writer.compose(notice, history.at(NOW_US // MINUTE), START).messages
    lines = plain(read_message(row.body).text).splitlines()
    assert "What failed: 500 KeyError at app/chat.py:118: 108 of 128; 413 Content Too Large: 9; " \
        "200 noted as failed: 6; others: 5" in lines  # fmt: skip
    assert "Rule error_rate: error rate above 10 % in the last hour; now 30 %" in lines
    gone = replace(history, singles_us=NOW_US)
    [row] = writer.compose(notice, gone.at(NOW_US // MINUTE), START).messages
    assert "What failed: 500 KeyError at app/chat.py:118: at least 108; 413 Content Too Large: at least 9;" in (
        plain(read_message(row.body).text)
    )
