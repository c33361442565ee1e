"""What a report says of incidents, and of rules that nobody acts on."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from guardian.alerting.incidents import Incident
from guardian.alerting.review import Better
from guardian.core.language import language
from guardian.mail.report.incidents import incident_lines
from guardian.settings.rules import parse_rule
from tests.support.plain import plain

END = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
RULES = {"error_rate": parse_rule("error_rate", {}), "feature_down": parse_rule("feature_down", {})}


def incident(hours_ago, lasted_minutes=None, *, rule="feature_down", subject="chat", peak=None, by=None):
    opened = int((END - timedelta(hours=hours_ago)).timestamp()) * 1_000_000
    ended = None if lasted_minutes is None else opened + lasted_minutes * 60_000_000
    status = "open" if ended is None else "resolved"
    known = {"opened_us": opened, "resolved_us": ended, "peak": peak, "acknowledged_by": by, "acted": bool(by)}
    return Incident(f"{hours_ago}", rule, subject, "critical", status, opened, **known)


def lines(incidents, days=1, better=None):
    start = END - timedelta(days=days)
    zone = ZoneInfo("Europe/Zurich")
    return [
        plain(line.text)
        for line in incident_lines(incidents, RULES, start, END, lang=language(), zone=zone, better=better)
    ]


def test_open_ones_come_first_and_those_outside_the_period_not_at_all():
    found = [incident(30, 60), incident(25, 120), incident(5, 12, by="ann@example.com"), incident(2), incident(-1)]
    assert lines(found) == [
        "chat is down: open since Mon 16 Mar, 11:00",
        "chat is down: Mon 16 Mar, 08:00, over after 12 min, acknowledged by ann@example.com",
        "chat is down: Sun 15 Mar, 12:00, over after 2 h",
    ]


def test_a_quiet_period_has_no_lines():
    assert lines([]) == []


def test_a_week_names_the_noisiest_rule_and_what_nobody_acts_on():
    noisy = [incident(20 + i, 5, rule="error_rate", subject="", peak=0.12) for i in range(5)]
    noisy += [incident(40, 5, rule="error_rate", subject="", peak=0.42, by="ann@example.com")]
    ignored = [incident(60 + i, 5) for i in range(3)]
    better = Better(RULES["error_rate"], 0.41, 5)
    assert lines(noisy + ignored, days=7, better=better)[-2:] == [
        "Rule error_rate is the noisiest: it fired 6 times, and somebody acted on 1 of them. "
        "A threshold of 41 % would have kept those and spared you 5 others.",
        "Rule feature_down fired 3 times, and nobody acted on it.",
    ]
    alone = "Rule error_rate is the noisiest: it fired 6 times, and somebody acted on 1 of them."
    assert lines(noisy + ignored, days=7)[-2] == alone
    assert not [line for line in lines(noisy + ignored, days=1) if line.startswith("Rule")]
