"""The report's JSON, byte for byte: other programs read the file, and reports are compared with those of last year."""

import hashlib
import json
import random
from dataclasses import replace

import pytest

from guardian.core.notes import Note
from guardian.core.report.json import to_json
from guardian.core.report.model import Comparison, Feature, Fired, Previous, Quantiles
from guardian.core.report.reading import from_json
from tests.support import report_samples as samples
from tracker.event import Failure


def arbitrary(seed):
    """A report on requests of every kind; the same for the same seed on every Python."""
    number = random.Random(seed).random  # the one method whose numbers no version of Python changes
    pick = lambda *choices: choices[int(number() * len(choices))]  # noqa: E731
    users = ["anonymous", *(f"u{n}@example.com" for n in range(1 + int(number() * 9)))]
    events = []
    for _ in range(int(number() * 90)):
        made = samples.event(
            int(number() * 119), pick(*users), pick(200, 200, 201, 404, 413, 500), pick("chat", "pay", "(unmatched)"),
            kind=pick(None, "KeyError"), duration_ms=int(number() * 4000),
        )  # fmt: skip
        noted = made.status == 200 and number() < 0.2
        events.append(made._replace(failure=Failure("Noted", "tool error")) if noted else made)
    events.sort(key=lambda event: (event.at_us, event.user, event.feature, event.status))
    before = [samples.event(-n, pick(*users), pick(200, 500)) for n in range(1, int(number() * 60))]
    more = {"critical_features": pick((), ("chat*",), ("none",)), "known_features": pick(None, ("chat", "old"))}
    more["notes"] = [Note("token_refused", int(number() * 9), "é"), Note("newer", 1)][: pick(0, 1, 2)]
    return samples.report(events, sorted(before, key=lambda event: event.at_us), **more)


SEEDS = {
    0: "f6d53b613fb0b2aa",
    1: "74515602c83d1ff2",
    2: "ba662183f3f6d436",
    3: "3e553f44a9b0cd1a",
    4: "8d65c23f2c2141a5",
    5: "3ca709b7d2c223cb",
    6: "3be9854c5d5b96c2",
    7: "b0eae5c715b22f4b",
    8: "8d2dc9055727baee",
    9: "b61f1812380316be",
    10: "5d9fb786295c4f85",
    11: "8ffefb667abc67bb",
}
SAMPLES = {
    "ordinary": "bf50e0752ceb10f5",
    "empty": "8656458c4b76b75d",
    "crowded": "202415a68c4fb8ab",
    "hostile": "f25feb1f49035303",
}


def digest(report):
    """Of all but the judgement, whose rule may change (`judge`)."""
    report = {key: value for key, value in report.items() if key not in ("status", "status_reason")}
    return hashlib.sha256(json.dumps(report).encode()).hexdigest()[:16]


@pytest.mark.parametrize(("seed", "expected"), SEEDS.items())
def test_the_json_of_an_arbitrary_report_stays_as_it_was(seed, expected):
    assert digest(arbitrary(seed)) == expected


@pytest.mark.parametrize(("name", "expected"), SAMPLES.items())
def test_the_json_of_a_sample_stays_as_it_was(name, expected):
    assert digest(getattr(samples, name)()) == expected


@pytest.mark.parametrize("made", [*map(arbitrary, SEEDS), samples.ordinary(), samples.empty(), samples.hostile()])
def test_a_report_that_was_read_is_written_as_it_was(made):
    for report in (made, {**made, "only_features": ["chat*"]}):
        assert json.dumps(to_json(from_json(report))) == json.dumps(report)


def test_what_a_report_is_compared_with_and_which_rules_fired_are_written_and_read():
    made = samples.ordinary()
    assert not {"comparison", "incidents"} & set(made)
    period = Previous(2, 30, 1, samples.START, samples.END, {"500": 1})
    known = replace(
        from_json(made),
        comparison=Comparison("weekday", period, samples.START, 0.002),
        fired=(Fired("error_rate", "warning"),),
    )
    written = json.loads(json.dumps(to_json(known)))
    assert written["incidents"] == [{"rule": "error_rate", "severity": "warning"}]
    assert written["comparison"] | {"period": None} == {
        "with": "weekday",
        "period": None,
        "recorded_since": "2026-03-02T08:00:00+00:00",
        "usual_server_error_rate": 0.002,
    }
    assert written["comparison"]["period"]["total_requests"] == 30
    assert from_json(written) == known


def test_an_older_report_has_defaults_for_what_it_does_not_say():
    fixed = ("period_start", "period_end", "active_users", "total_requests", "total_errors", "users", "top_features",
             "error_breakdown")  # fmt: skip
    made = samples.ordinary()
    read = from_json({key: made[key] for key in fixed})
    assert (read.status, read.previous, read.features, read.latency_ms) == ("", None, (), Quantiles())
    nothing = dict.fromkeys(set(made) - set(fixed) - {"only_features"})
    assert from_json(made | nothing) == read


def test_a_feature_of_an_older_report_knows_neither_its_users_nor_its_speed():
    older = {"name": "chat", "requests": 2, "errors": 1}
    assert from_json({**samples.empty(), "features": [older]}).features == (Feature("chat", 2, 1, statuses={}),)


@pytest.mark.parametrize("key", ["period_start", "users", "error_breakdown"])
def test_a_fixed_key_that_is_not_there_is_named(key):
    made = samples.ordinary()
    del made[key]
    with pytest.raises(KeyError, match=key):
        from_json(made)
