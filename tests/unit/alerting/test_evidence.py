"""What an alert knows of what failed, and for whom."""

from dataclasses import replace

from guardian.alerting.briefing import brief
from guardian.alerting.evidence import Cause, Evidence, evidence
from guardian.alerting.incidents import Incident, Transition
from guardian.core.language import language
from guardian.settings.rules import parse_rule
from tests.support.plain import plain
from tests.support.verdict_samples import NOW_US, SECOND, many, snapshot

RULE = parse_rule("error_rate", {})
INCIDENT = Incident("i", "error_rate", "", "warning", "open", since_us=NOW_US, fired_us=NOW_US, value=0.5)
FAILING = [
    *many(8, 500, kind="KeyError", location="chat.py:118 answer", user="ann@x.org"),
    *many(3, 413, kind="HTTP 413", location="", feature="upload", user="bob@x.org"),
    *many(2, 500, kind="Boom", location="a.py:1 f", user="anonymous"),
    *many(1, 404, kind="HTTP 404", location="", user="eve@x.org", start=500),
    *many(20, 200, user="ann@x.org"),
    *many(5, 500, kind="Old", start=4000, user="old@x.org"),
]


def test_the_three_commonest_failures_are_told_with_their_numbers():
    found = evidence(RULE, INCIDENT, snapshot(FAILING), 3600)
    assert found == Evidence(
        3600, 14,
        (
            Cause(500, "KeyError", "chat.py:118 answer", 8),
            Cause(413, "HTTP 413", "", 3),
            Cause(500, "Boom", "a.py:1 f", 2),
        ),
        users=3, hits=(("ann@x.org", 8), ("bob@x.org", 3), ("eve@x.org", 1)),
    )  # fmt: skip


def test_only_what_the_rule_counts_is_evidence():
    server = evidence(parse_rule("error_rate", {"count": "server"}), INCIDENT, snapshot(FAILING), 3600)
    assert (server.failed, [c.status for c in server.causes], server.users) == (10, [500, 500], 1)
    upload = evidence(RULE, replace(INCIDENT, subject="upload"), snapshot(FAILING), 3600)
    assert (upload.failed, upload.hits) == (3, (("bob@x.org", 3),))
    fixed = evidence(RULE, replace(INCIDENT, judged_from_us=NOW_US - 1000 * SECOND), snapshot(FAILING), 3600)
    assert 0 < fixed.failed < 14, "since it was marked as fixed"
    assert evidence(parse_rule("latency", {}), INCIDENT, snapshot(FAILING), 3600) == Evidence(3600)


def test_of_a_burst_there_is_how_many_errors_and_of_a_new_error_only_that_one():
    burst = replace(INCIDENT, subject="bob@x.org")
    assert evidence(parse_rule("user_burst", {}), burst, snapshot(FAILING), 3600).failed == 3
    new = replace(INCIDENT, subject="Boom at a.py:1 f", facts={"kind": "Boom", "place": "a.py:1 f"})
    assert evidence(parse_rule("new_error", {}), new, snapshot(FAILING), 3600).failed == 2


def test_who_met_it_only_since_the_last_message_is_new_to_it():
    late = many(4, 500, within=100, user="new@x.org")
    told = replace(INCIDENT, told_us=NOW_US - 200 * SECOND)
    found = evidence(RULE, told, snapshot([*FAILING, *late]), 3600)
    assert (found.newcomers, found.new_names) == (1, ("new@x.org",))
    assert evidence(RULE, INCIDENT, snapshot(FAILING), 3600).newcomers == 0, "at its beginning all are"


def test_features_and_evidence_are_of_the_time_that_the_sentence_names():
    old = replace(INCIDENT, since_us=NOW_US - 3600 * SECOND)
    fires = brief(Transition(old, "reminder", NOW_US), RULE, snapshot(FAILING), language())
    assert plain(fires.sentence).startswith("50 % of the requests failed: 14 of 34 in the last hour")
    assert (fires.evidence.seconds, sum(bad for _, bad, _ in fires.features), fires.evidence.failed) == (3600, 14, 14)
    well = brief(Transition(replace(old, fired_us=0), "reminder", NOW_US), RULE, snapshot(FAILING), language())
    assert (well.evidence.seconds, well.evidence.failed) == (7200, 19)
