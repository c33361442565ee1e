"""After "Mark as fixed", an alert mail's words count what the rule counts: the requests since then."""

from datetime import timedelta

from guardian.alerting.actions import edit_for
from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.history import History
from guardian.core.language import language
from guardian.mail.alert.compose import AlertWriter
from guardian.settings.rules import parse_rule
from tests.unit.mail.test_alert_mail import START, START_US, ZURICH, email, events, policy, text

FIXED = 20


def test_an_alert_that_fires_again_after_mark_as_fixed_counts_what_came_since():
    rule = parse_rule("error_rate", {"window": "60m", "resolve_after": "5m"})
    happened = events(
        *((minute, 10, 200) for minute in range(5)),
        *((minute, 10, 500) for minute in range(5, FIXED)),
        *((minute, 10, 200) for minute in range(FIXED, 40)),
        *((minute, 10, 500) for minute in range(40, 50)),
    )
    history = History.of(happened, START_US, START_US + 60 * MINUTE_US)
    writer = AlertWriter(
        admins=("a@x.org",), sender="Guardian <g@example.com>", lang=language(), zone=ZURICH,
        public_url="https://g.example.com", link_key=None,
    )  # fmt: skip
    state, said = AlertState(), []
    for minute in range(1, 50):
        if minute == FIXED + 1:
            edit = edit_for("fixed", by="ann", now=START + timedelta(minutes=FIXED), zone=ZURICH)
            [incident] = state.incidents()
            state = edit(state, incident)
        snapshot = history.at(START_US // MINUTE_US + minute)
        around = Surroundings((rule,), ZURICH, admins=("a@x.org",))
        state, _, notices = advance(state, snapshot, around)
        for notice in notices:
            [mail] = writer.compose(notice, snapshot, START + timedelta(minutes=minute, seconds=6)).messages
            said.append((minute, text(email.message_from_bytes(mail.body, policy=policy.default))))
    assert [minute for minute, _ in said] == [6, 26, 43]
    again = said[-1][1]
    assert "Firing again. 13 % of the requests failed: 30 of 230 in the last 23 min.\n" in again
    assert "Affected     3 users: ann0@example.com (12 errors), ann1@example.com (9),\n" in again
    assert "What failed  500 Boom at app.py:7: 30 of 30\n" in again
    assert "Where        chat (30 of 230) in the last 23 min\n" in again
    assert "New to it    nobody since the last message\n" in again, "all of them met it before it was fixed"
