"""The report's JSON, byte for byte: other programs read the file, and reports are compared with those of last year."""

import hashlib
import json
import random

import pytest

from guardian.core.notes import Note
from guardian.core.report.json import to_json
from guardian.core.report.model import Feature, Quantiles
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
    0: "2e543c6edb74cd2f",
    1: "0ab39b784b1e69e3",
    2: "b2423d27e156ba86",
    3: "119bff77282f0b5b",
    4: "4551cb7694cdecd6",
    5: "31322c984aadbaed",
    6: "833cc567b9924687",
    7: "43b16602912582ec",
    8: "5b46a5a996ceb736",
    9: "30ae972ac56e2d2b",
    10: "c55d99272d46dbc7",
    11: "67b829d5083180c5",
}
SAMPLES = {
    "ordinary": "f577427c6b99f2f2",
    "empty": "d16c9dba1c7456b4",
    "crowded": "35b81d5e8b118d2d",
    "hostile": "4e70e492bd454431",
}


def digest(report):
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
