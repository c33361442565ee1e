"""What a report says beyond its totals: written, read, and people taken out of it."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from guardian.core.cause import Cause, Found, MovedCause, Way
from guardian.core.mentions import ERASED
from guardian.core.releases import Release, Since
from guardian.core.report.json import to_json
from guardian.core.report.people import people_of, renamed, replaced, text_without
from guardian.core.report.reading import from_json
from guardian.core.turnover import Cohort, Group, Turnover, Usage
from tests.support import report_samples as samples

AT = datetime(2026, 3, 12, 14, 2, tzinfo=UTC)
TURNOVER = Turnover(
    120, 115, Group(9, ("ann@x.org", "bob@x.org")), Group(1, ("cleo@x.org",)),
    (Group(2, ("dan@x.org", "eva@x.org"), "chat"), Group(3)), 10, 6,
    (Cohort(AT, 20, (10, 8)), Cohort(AT + timedelta(days=7), 12, (6,))),
    (Usage("export", 34, 11),), (Usage("old", 3, 30),),
)  # fmt: skip
SINCE = Since(AT, AT + timedelta(days=2), 900, 30, 85.5)
RELEASES = (
    Release(
        "2.4.1", SINCE, replace(SINCE, start=AT - timedelta(days=7), errors=9), ("errors", "requests"), ("errors",)
    ),
    Release("2.4.2", SINCE),
)
CAUSES = (
    MovedCause("chat", "", "failed", 7, Cause((Found("person", "finn@x.org", 90, 108, 100, 800, 0.8),)),
               Way(("KeyError", "chat.py:118 answer"), 108, 128, 0, 4012)),
    MovedCause("", "500", "failed", -1, Cause((Found("release", "2.4.1", 90, 108, 100, 800, 0.8),))),
)  # fmt: skip
NAMES = {f"{name}@x.org" for name in ("ann", "bob", "cleo", "dan", "eva", "finn")}


def told(**more):
    return replace(from_json(samples.empty()), turnover=TURNOVER, releases=RELEASES, causes=CAUSES, **more)


def test_all_of_it_is_written_and_read_as_it_was():
    made = told()
    written = json.loads(json.dumps(to_json(made)))
    assert from_json(written) == made
    assert to_json(from_json(written)) == written
    young = replace(made, turnover=replace(TURNOVER, quiet=None, came_new=None, came_back=None), releases=(), causes=())
    assert from_json(to_json(young)) == young


def test_a_report_of_before_has_none_of_it():
    old = samples.ordinary()
    assert not {"turnover", "releases", "causes"} & old.keys()
    assert (from_json(old).turnover, from_json(old).releases, from_json(old).causes) == (None, None, ())


def test_everybody_whom_it_names_is_found_and_can_be_named_otherwise():
    written = to_json(told())
    assert people_of(written) == NAMES
    shouted = replaced(written, str.upper)
    assert people_of(shouted) == {name.upper() for name in NAMES}
    assert to_json(renamed(told(), str.upper)) == shouted
    assert "finn@x.org" not in json.dumps(shouted)


def test_whoever_is_erased_stands_nowhere_in_it_any_more():
    text = json.dumps(to_json(told()), indent=2).encode()
    left = text_without(text, NAMES)
    assert b"@x.org" not in left
    assert left.count(json.dumps(ERASED).encode()) == len(NAMES)
