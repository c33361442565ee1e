"""What is slow, where only a few requests are above the limit yet."""

import random
from dataclasses import replace

import pytest

from guardian.alerting.cause_words import cause_line
from guardian.alerting.explaining import explain
from guardian.alerting.incidents import Incident
from guardian.alerting.sample import Sample
from guardian.core.language import language
from guardian.settings.rules import parse_rule
from tests.support.events import event as made
from tests.support.plain import plain
from tracker.source import Source

SECOND, WEEK = 1_000_000, 7 * 86400
NOW = 1_772_442_000
INCIDENT = Incident(
    "i", "latency", "chat", "warning", "open", since_us=(NOW - 600) * SECOND, onset_us=(NOW - 600) * SECOND
)
RULE = parse_rule("latency", {})
ROUTES = {"/chat": 100_000, "/chat/stream": 400_000}
"""What each answers within, as a rule, µs."""


def answers(start, end, number, times=lambda user, route, source: 1.0, seed=16):
    """So many requests between `start` and `end` seconds before now, which take so many times as long as usual."""
    chance = random.Random(f"{seed} {start} {end}")
    found = []
    for n in range(number):
        user, route = f"u{chance.randrange(30)}@x.org", chance.choice(list(ROUTES))
        source = Source("2.4.0", f"web-{chance.randrange(3)}")
        took = ROUTES[route] * chance.lognormvariate(0, 0.4) * times(user, route, source)
        at_us = int((NOW - start + (start - end) * n / number) * SECOND)
        found.append((made(at_us, user=user, path=route, duration_us=int(took)), source))
    return found


def why(requests, incident=INCIDENT, rule=RULE):
    def read(start_us, end_us):
        return Sample.of([pair for pair in requests if start_us <= pair[0].at_us < end_us], 20_000)

    return explain(rule, incident, NOW * SECOND, read)


def of_instance(user, route, source):
    return 4.2 if source.instance == "web-2" else 1.0


def of_all(user, route, source):
    return 5.0


def slow_ones(requests):
    return [event for event, _ in requests if event.duration_us > 2 * SECOND]


@pytest.mark.parametrize("week", [True, False])
def test_the_instance_is_named_by_how_long_all_its_requests_take_and_counted_by_the_slow_ones(week):
    during = answers(600, 0, 60, of_instance)
    number = len(slow_ones(during))
    assert 3 <= number <= 6, "too few to tell by themselves"
    told = why([*during, *answers(4200, 600, 300), *(answers(WEEK + 600, WEEK, 100) if week else [])])
    [found] = told.cause.found
    assert (found.dimension, found.value, found.bad, found.of) == ("instance", "web-2", number, number)
    assert found.requests > number and found.other_requests > 60, "of what came before the incident too"
    assert plain(cause_line(told, language())).startswith(f"instance web-2 has {number} of {number} slow requests (")


@pytest.mark.parametrize("seed", range(20))
def test_where_all_answers_take_longer_alike_no_instance_and_no_person_is_blamed(seed):
    during = answers(600, 0, 60, of_all, seed)
    told = why([*during, *answers(4200, 600, 300, seed=seed), *answers(WEEK + 600, WEEK, 100, seed=seed)])
    assert all(found.dimension not in ("instance", "person") for found in told.cause.found)


def test_who_is_slow_below_the_limit_is_not_the_cause_of_what_is_above_it():
    """An instance takes four times as long as usual, and stays below the limit; another has what is above it."""

    def times(user, route, source):
        return {"web-0": 4.0, "web-1": 1.0, "web-2": 1.0}[source.instance]

    during = [(e._replace(duration_us=min(e.duration_us, 1_900_000)), s) for e, s in answers(600, 0, 60, times)]
    rows = [n for n, (_, source) in enumerate(during) if source.instance != "web-0"][:4]
    for n in rows:
        during[n] = during[n][0]._replace(duration_us=3 * SECOND), during[n][1]
    told = why([*during, *answers(4200, 600, 300)])
    assert ("instance", "web-0") not in [(found.dimension, found.value) for found in told.cause.found]


def test_where_nobody_knows_what_is_usual_a_few_slow_requests_have_no_cause():
    during = answers(600, 0, 30, of_instance)
    assert slow_ones(during) and why(during).cause.found == ()
    assert why([]).cause.found == ()


def test_it_does_not_matter_by_what_names_or_in_which_order_or_at_what_speed():
    requests = [*answers(600, 0, 60, of_instance), *answers(4200, 600, 300)]
    told = why(requests)
    assert why(requests[::-1]).cause == told.cause
    thrice = [(event._replace(duration_us=event.duration_us * 3), source) for event, source in requests]
    assert why(thrice, rule=parse_rule("latency", {"threshold_ms": 6000})).cause == told.cause
    renamed = [(event, source._replace(instance=f"x{source.instance}")) for event, source in requests]
    assert why(renamed).cause.found == tuple(replace(f, value=f"x{f.value}") for f in told.cause.found)
