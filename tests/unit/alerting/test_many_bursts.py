"""A storm in which very many people meet errors at once: so many of them have an incident each, and it is said how many
have none."""

from zoneinfo import ZoneInfo

from guardian.alerting.columns import MINUTE_US
from guardian.alerting.engine import AlertState, Surroundings, advance
from guardian.alerting.history import History
from guardian.alerting.kinds import judge
from guardian.alerting.kinds.user_burst import MOST
from guardian.alerting.wording import at_worst, sentence
from guardian.core.language import language
from tests.support.verdict_samples import NOW_US, SECOND, event, many, rule, snapshot

AROUND = Surroundings((rule("user_burst"),), ZoneInfo("UTC"))
MINUTE = NOW_US // MINUTE_US
EXTRA = 30


def name(number):
    return f"user{number:03}@example.com"


def burst(number, ago, errors=5):
    """A person's errors, the last one so many seconds ago."""
    return [event(ago + n, status=500, user=name(number)) for n in range(errors)]


def storm(people=MOST + EXTRA, ago=300):
    """Each person's burst is complete a tenth of a second after that of the one before, from the last by name on."""
    numbers = reversed(range(people))
    return [each for place, number in enumerate(numbers) for each in burst(number, ago - place / 10)]


def minute(state, events, after=0):
    """The state a minute on, and what changed."""
    at = MINUTE + after
    history = History.of(events, NOW_US - 86400 * SECOND, at * MINUTE_US)
    state, changes, _ = advance(state, history.at(at), AROUND)
    return state, changes


def going_on(state):
    return {each.subject for each in state.incidents() if each.status != "resolved"}


def test_of_very_many_people_those_whose_bursts_were_complete_first_have_an_incident_each():
    state, changes = minute(AlertState(), storm())
    assert going_on(state) == {name(number) for number in range(EXTRA, MOST + EXTRA)}
    assert [each.change for each in changes] == ["opened"] * MOST


def test_each_of_their_alerts_says_how_many_others_have_none():
    _, changes = minute(AlertState(), storm())
    told, counts = changes[0].incident, snapshot(many(7, 500, within=300)).counts(600)
    assert told.facts["left_out"] == EXTRA
    said = sentence(AROUND.rules[0], told, counts, language())
    others = "So did 30 more at that time, whom no alert follows."
    assert said == f"They hit 7 errors in the last 6\N{NO-BREAK SPACE}min. {others}"
    over = at_worst(AROUND.rules[0], told, language())
    assert over == f"They hit 5 or more errors within 10\N{NO-BREAK SPACE}min. {others}"


def test_as_many_people_as_there_is_room_for_leave_nobody_out():
    state, changes = minute(AlertState(), storm(MOST))
    assert len(going_on(state)) == MOST
    assert "left_out" not in changes[0].incident.facts


def test_who_has_an_incident_keeps_it_however_many_others_come():
    """Theirs go on although the others' bursts were complete before."""
    state, _ = minute(AlertState(), burst(900, 60))
    state, _ = minute(state, [*storm(ago=300), *burst(900, 60)], after=1)
    assert len(going_on(state)) == MOST
    assert name(900) in going_on(state)


def test_an_incident_that_ends_makes_room_for_who_still_meets_errors():
    events = storm()
    state, _ = minute(AlertState(), events)
    first = going_on(state)
    for after in range(1, 20):  # the others go on to meet errors, those who have an incident do not
        ago = 5 - 60 * after
        events += [each for number in range(EXTRA) for each in burst(number, ago)]
        state, _ = minute(state, events, after=after)
    assert going_on(state) == {name(number) for number in range(EXTRA)}
    assert not going_on(state) & first


def test_a_rule_for_many_people_at_once_counts_those_who_have_no_incident_too():
    few = rule("user_burst", min_users=MOST + EXTRA)
    assert {each.state for each in judge(few, snapshot(storm()))} == {"firing"}
    more = rule("user_burst", min_users=MOST + EXTRA + 1)
    assert {each.state for each in judge(more, snapshot(storm()))} == {"ok"}


def test_who_has_too_few_requests_takes_nobodys_room():
    """They come first in time, and say nothing."""
    idle = [each for number in range(200, 200 + MOST) for each in burst(number, 400)]
    busy = [each for number in range(3) for each in (*burst(number, 300), event(299, user=name(number)))]
    said = judge(rule("user_burst", min_requests=6), snapshot(idle + busy))
    assert {each.subject for each in said if each.state == "firing"} == {name(number) for number in range(3)}
    assert len(said) == MOST


def test_what_came_before_a_fix_counts_for_nobody():
    since = {name(2): NOW_US, name(77): NOW_US}
    said = judge(AROUND.rules[0], snapshot(storm(5)), since)
    assert {each.subject for each in said} == {name(number) for number in (0, 1, 3, 4)}
