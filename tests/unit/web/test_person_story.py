from guardian.web.pages.person_story import story_of, visits_of
from tests.support.events import event
from tracker.event import Failure

MINUTE = 60_000_000


def step(minute, status=200, feature="chat"):
    failure = Failure(f"HTTP {status}", "Too Large") if status >= 400 else None
    return event(minute * MINUTE, feature=feature, status=status, failure=failure)


def test_who_met_no_error_has_no_story():
    assert story_of([step(1), step(2)]) is None
    assert story_of([]) is None


def test_the_story_goes_from_the_last_good_step_through_the_bad_run_to_the_first_good_one():
    steps = [step(1), step(2, feature="search"), step(3, 413), step(4, feature="search"), step(5, 413), step(6)]
    found = story_of(steps)
    assert (found.good, found.first_bad, found.last_bad, found.recovered) == (steps[1], steps[2], steps[4], steps[5])
    assert found.tries


def test_another_feature_that_goes_well_is_no_recovery():
    steps = [step(1, 500), step(2, feature="search")]
    found = story_of(steps)
    assert (found.good, found.recovered, found.tries) == (None, None, False)


def test_a_run_begins_after_the_last_time_that_it_went_well():
    steps = [step(1, 500), step(2), step(3, 500)]
    assert story_of(steps).first_bad is steps[2]


def test_sessions_end_where_nothing_came_for_half_an_hour():
    found = visits_of([step(0), step(29), step(60, 500)])
    assert [(visit.requests, visit.errors) for visit in found] == [(2, 0), (1, 1)]
