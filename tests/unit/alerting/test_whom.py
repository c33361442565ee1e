"""Whom to tell: who was hit, and how it went for them since."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.alerting.incidents import Incident
from guardian.alerting.recorded import Recorded
from guardian.alerting.whom import NOBODY, Hit, Whom, whom
from guardian.alerting.whom_words import letter, whom_lines
from guardian.core.language import language
from guardian.mail.alert.letter import people_file
from guardian.settings.rules import parse_rule
from tests.support.events import event as made
from tests.support.plain import plain
from tracker.event import ANONYMOUS, Failure

SECOND = 1_000_000
RULE = parse_rule("error_rate", {"count": "server"})
OVER = Incident(
    "i", "error_rate", "", "warning", "resolved", since_us=100 * SECOND, onset_us=100 * SECOND,
    recovery_us=200 * SECOND, resolved_us=300 * SECOND, end="resolved",
)  # fmt: skip
LIVE = replace(OVER, status="open", recovery_us=None, resolved_us=None, end=None)


def at(second, user, status=200, feature="chat"):
    failure = Failure("KeyError", "no", "chat.py:118 answer") if status >= 400 else None
    return made(
        second * SECOND,
        user=user,
        path=f"/api/{feature}",
        feature=feature,
        method="POST",
        status=status,
        ms=5,
        failure=failure,
    )


def told(*events, incident=OVER, rule=RULE, now=1000):
    return whom(rule, incident, now * SECOND, Recorded(events))


def fates(found):
    return {hit.name: hit.fate for hit in found.people}


def test_each_person_is_told_with_how_often_where_first_and_last():
    found = told(at(110, "ann", 500), at(150, "ann", 500, "files"), at(120, "bob", 503))
    assert found.people == (
        Hit("ann", 2, 110 * SECOND, 150 * SECOND, "/api/files", "files", "away"),
        Hit("bob", 1, 120 * SECOND, 120 * SECOND, "/api/chat", "chat", "away"),
    )


def test_who_succeeded_since_in_the_same_feature_is_back_and_who_used_another_is_not():
    found = told(
        at(110, "ann", 500), at(250, "ann"),
        at(110, "bob", 500), at(250, "bob", feature="files"),
        at(110, "cat", 500), at(105, "cat"),
    )  # fmt: skip
    assert fates(found) == {"ann": "back", "bob": "away", "cat": "away"}


def test_who_tried_after_the_end_and_failed_failed_again_unless_it_went_well_later():
    found = told(
        at(110, "ann", 500), at(250, "ann", 500),
        at(110, "bob", 500), at(250, "bob", 500), at(260, "bob"),
        at(110, "cat", 500), at(250, "cat"), at(260, "cat", 500),
    )  # fmt: skip
    assert fates(found) == {"ann": "again", "bob": "back", "cat": "again"}
    assert [hit.times for hit in found.people] == [1, 1, 1], "what fails after the end is no hit of this incident"


def test_who_failed_only_before_or_after_it_was_not_hit():
    assert told(at(99, "ann", 500), at(201, "bob", 500), at(150, "cat")).people == ()


def test_while_it_goes_on_everyone_until_now_is_hit():
    found = told(at(110, "ann", 500), at(900, "bob", 500), at(950, "ann"), incident=LIVE)
    assert fates(found) == {"ann": "back", "bob": "away"}


def test_those_to_write_to_come_first():
    found = told(at(110, "ann", 500), at(250, "ann"), at(110, "bob", 500), at(110, "cat", 500), at(111, "cat", 500))
    assert [hit.name for hit in found.people] == ["cat", "bob", "ann"]


def test_the_erased_and_the_anonymous_are_counted_and_not_named():
    gone = "erased-0123456789abcdef"
    found = told(at(110, gone, 500), at(111, ANONYMOUS, 500), at(112, ANONYMOUS, 500), at(113, "ann", 500))
    assert (found.number, found.erased, found.anonymous) == (2, 1, 2)
    assert [hit.name for hit in found.people] == ["ann"]


def test_only_what_the_rule_counts_is_a_hit_and_only_success_is_back():
    found = told(at(110, "ann", 404), at(110, "bob", 500), at(250, "bob", 404))
    assert fates(found) == {"bob": "away"}


def test_a_rule_of_one_feature_tells_of_no_other():
    rule = parse_rule("feature_down", {})
    found = told(at(110, "ann", 500), at(110, "bob", 500, "files"), incident=replace(OVER, subject="chat"), rule=rule)
    assert fates(found) == {"ann": "away"}


def test_who_met_slow_answers_is_hit_where_the_rule_is_about_them():
    rule = parse_rule("latency", {})
    assert fates(told(slow(110, "ann"), at(250, "ann"), rule=rule)) == {"ann": "back"}


@pytest.mark.parametrize("kind", ["traffic_drop", "traffic_spike", "tracker_silent"])
def test_where_nothing_fails_nobody_is_hit(kind):
    assert told(at(110, "ann", 500), rule=parse_rule(kind, {})) is NOBODY


def slow(second, user):
    return at(second, user)._replace(duration_us=3_600_000_000)


def test_who_has_only_slow_answers_since_is_not_back_and_tried_again():
    rule = parse_rule("latency", {})
    found = told(slow(110, "ann"), slow(250, "ann"), slow(110, "bob"), at(250, "bob", 500), rule=rule)
    assert fates(found) == {"ann": "again", "bob": "away"}


EVENTS = st.lists(
    st.builds(
        at, st.integers(90, 400), st.sampled_from(["ann", "bob", "cat"]), st.sampled_from([200, 404, 500]),
        st.sampled_from(["chat", "files"]),
    ),
    max_size=40,
)  # fmt: skip


def failed(event):
    return event.status >= 500


def well(event):
    return event.status == 200


def plainly(events, incident, now_us, failed=failed, well=well):
    """Who was hit, and their fate, by the words of the docs, request by request."""
    found = {}
    for name in {event.user for event in events}:
        mine = sorted(event for event in events if event.user == name and 0 <= event.at_us < now_us)
        bad = [event for event in mine if failed(event) and event.at_us >= incident.first_us]
        hits = [event for event in bad if incident.over_us is None or event.at_us <= incident.over_us]
        if hits:
            last = max(hits, key=lambda event: (event.at_us, event.endpoint, event.feature))
            same = [event for event in mine if event.feature == last.feature]
            again = [event.at_us for event in same if event in bad and event.at_us > last.at_us]
            good = [event.at_us for event in same if well(event) and event.at_us > last.at_us]
            fate = "back" if max(good, default=-1) > max(again, default=-1) else "again" if again else "away"
            found[name] = (len(hits), hits[0].at_us, last.at_us, last.endpoint, fate)
    return found


@given(EVENTS, st.sampled_from([OVER, LIVE]))
def test_it_is_what_the_plain_rule_says(events, incident):
    found = told(*events, incident=incident)
    said = {hit.name: (hit.times, hit.first_us, hit.last_us, hit.endpoint, hit.fate) for hit in found.people}
    assert said == plainly(events, incident, 1000 * SECOND)


TOOK = st.sampled_from([0, 5_000, 2_000_000, 2_000_001, 9_000_000])
ANSWERS = st.lists(
    st.builds(
        lambda took_us, *more: at(*more)._replace(duration_us=took_us), TOOK, st.integers(90, 400),
        st.sampled_from(["ann", "bob"]), st.sampled_from([200, 500, 101]), st.sampled_from(["chat", "files"]),
    ),
    max_size=40,
)  # fmt: skip


@given(ANSWERS, st.sampled_from([OVER, LIVE]))
def test_of_a_rule_about_slow_answers_it_is_what_the_plain_rule_says_too(events, incident):
    incident = replace(incident, rule="latency", subject="chat")
    found = told(*events, incident=incident, rule=parse_rule("latency", {}))
    said = {hit.name: (hit.times, hit.first_us, hit.last_us, hit.endpoint, hit.fate) for hit in found.people}
    chat = [event for event in events if event.feature == "chat"]
    quick = plainly(
        chat, incident, 1000 * SECOND,
        failed=lambda event: event.status == 200 and event.duration_us > 2_000_000,
        well=lambda event: event.status == 200 and event.duration_us <= 2_000_000,
    )  # fmt: skip
    assert said == quick


@given(EVENTS, st.integers(1, 50), st.sampled_from([OVER, LIVE]))
def test_how_it_is_read_changes_nothing(events, some, incident):
    class InPieces(Recorded):
        def failed(self, start_us, end_us):
            for first in range(start_us, end_us, some * SECOND):
                yield from super().failed(first, min(first + some * SECOND, end_us))

    assert whom(RULE, incident, 1000 * SECOND, InPieces(events)) == told(*events, incident=incident)


@given(EVENTS)
def test_the_order_of_requests_changes_nothing_and_names_are_only_names(events):
    found = told(*events)
    assert told(*reversed(events)) == found
    renamed = told(*(event._replace(user=f"x-{event.user}") for event in events))
    assert renamed == found.named(lambda name: f"x-{name}")


@given(EVENTS)
def test_every_failure_of_its_time_is_counted_once(events):
    counted = [e for e in events if e.status >= 500 and 100 * SECOND <= e.at_us <= 200 * SECOND]
    found = told(*events)
    assert sum(hit.times for hit in found.people) == len(counted)
    assert {hit.name for hit in found.people} == {e.user for e in counted}
    assert found.number == len(found.fared("away")) + len(found.fared("again")) + len(found.fared("back"))


@given(EVENTS)
def test_a_success_in_the_end_brings_everyone_back(events):
    more = [at(500, user, feature=feature) for user in ("ann", "bob", "cat") for feature in ("chat", "files")]
    assert {hit.fate for hit in told(*events, *more).people} <= {"back"}


def test_the_draft_is_about_what_failed_for_those_who_are_to_be_told():
    found = Whom((
        Hit("ann@x.org", 1, 10_000_000, 20_000_000, "/chat", "chat", "back"),
        Hit("bob@x.org", 1, 3600_000_000, 3601_000_000, "/files", "files", "away"),
    ))  # fmt: skip
    subject, body = letter(found, language(), ZoneInfo("UTC"), over=None)
    assert subject == "It works again: files"
    assert "chat" not in body
    assert "01:00" in body


@pytest.mark.parametrize(
    ("features", "verb"),
    [(("chat",), "chat n'a pas fonctionné"), (("chat", "files"), "chat, files n'ont pas fonctionné")],
)
def test_the_french_draft_has_the_verb_for_one_feature_or_several(features, verb):
    hits = [Hit(f"{name}@x.org", 1, 0, 0, f"/{name}", name, "away") for name in features]
    _, body = letter(Whom(tuple(hits)), language("fr"), ZoneInfo("UTC"), over=None)
    assert verb in plain(body)


def lines(found, lang="en"):
    return [plain(line) for line in whom_lines(found, language(lang), ZoneInfo("UTC"))]


SLOW = parse_rule("latency", {"feature": "chat", "threshold_ms": 5})


def test_who_had_slow_answers_is_not_said_to_have_met_failures():
    took = [at(110, "ann"), at(120, ANONYMOUS), at(250, "ann"), at(130, "bob")]
    found = told(
        *(each._replace(duration_us=9_000) for each in took), rule=SLOW, incident=replace(OVER, subject="chat")
    )
    assert found.slow
    assert lines(found) == [
        "2 people were hit: 1 has tried again, and it was slow, 1 has not come back.",
        "1 slow request came from somebody who was not signed in.",
    ]
    assert lines(found, "fr") == [
        "2 personnes touchées : 1 a réessayé, et c'était lent, 1 n'est pas revenue.",
        "1 requête lente venait de quelqu'un qui n'était pas connecté.",
    ]
    subject, body = letter(found, language(), ZoneInfo("UTC"), over=None)
    assert plain(subject) == "It is fast again: chat"
    assert "chat was slow for you" in plain(body) and "work" not in body
    file = people_file(found, language(), "people.csv").content.decode("utf-8-sig")
    assert file.splitlines()[0].startswith('"User","Slow requests",')
    assert [line.rpartition(",")[2] for line in file.splitlines()[1:]] == ['"not come back"', '"slow again"']


def test_where_everybody_was_erased_it_is_not_said_that_they_are_some_of_them():
    assert lines(Whom(erased=1)) == ["1 person was hit.", "1 person was erased, and is not named."]
    assert lines(Whom(erased=2), "fr") == [
        "2 personnes touchées.", "2 personnes ont été effacées et ne sont pas nommées.",
    ]  # fmt: skip


@pytest.mark.parametrize("features", [["(unmatched)"], ["(other)", "(unmatched) websocket"], list("abcdef")])
def test_a_draft_to_users_names_few_features_and_only_such_as_say_something(features):
    found = Whom(tuple(Hit(f"{name}@x.org", 1, 0, 0, "/a", name, "away") for name in features))
    subject, body = letter(found, language(), ZoneInfo("UTC"), over=None)
    assert plain(subject) == "It works again: our service"
    assert "our service did not work for you" in plain(body)
    _, french = letter(found, language("fr"), ZoneInfo("UTC"), over=None)
    assert "notre service n'a pas fonctionné" in plain(french)


def test_who_used_what_has_no_route_has_succeeded():
    found = Whom((Hit("ann@x.org", 1, 0, 0, "(unmatched)", "(unmatched)", "back"),))
    assert lines(found) == ["1 person was hit: 1 has succeeded since."]
