"""How useful the rules were, and the threshold that would have made less noise: tried out, not guessed."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from guardian.alerting.incidents import Incident
from guardian.alerting.review import noisiest, review
from guardian.application.judging.backtest import replay
from guardian.application.judging.live import surroundings
from guardian.application.judging.review import find_better
from guardian.settings.schema import Settings
from guardian.stores.sqlite.history import read_history
from tests.support.events import event
from tracker.event import Failure
from tracker.sqlite.connection import connect
from tracker.sqlite.writer import Writer

NOW = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)
WEEK_AGO = NOW - timedelta(days=7)
AT_US = int(NOW.timestamp()) * 1_000_000


def incident(number, rule, acted=False, **more):
    known = {"since_us": AT_US, "opened_us": AT_US, "acted": acted, **more}
    return Incident(f"{number}", rule, "", "warning", "resolved", **known)


def test_the_review_counts_what_somebody_acted_on_the_noisiest_first():
    found = [incident(n, "error_rate") for n in range(5)] + [incident(5, "error_rate", acted=True)]
    found += [incident(6, "user_burst", acted=True), incident(7, "old", opened_us=0)]
    told = [(r.rule, r.incidents, r.acted_on) for r in review(found, WEEK_AGO)]
    assert told == [("error_rate", 6, 1), ("user_burst", 1, 1)]
    assert noisiest(found, WEEK_AGO).rule == "error_rate"
    assert noisiest(found[4:], WEEK_AGO) is None, "two are no noise"
    assert noisiest([replace(i, acted=True) for i in found], WEEK_AGO) is None


@pytest.fixture
def week(tmp_path):
    """Settings and a database: at each noon of six days some errors, on the seventh many."""
    settings = Settings(admins=["a@x.org"], database=tmp_path / "g.db", reports_dir=tmp_path, rules={"error_rate": {}})
    failure = Failure("B", "m", "a:1 f")

    def noon(day, bad):
        """An hour with so many errors among ten requests, and two without any."""
        start_us = int((WEEK_AGO + timedelta(days=day)).timestamp()) * 1_000_000
        found = []
        for n in range(540):
            failed = n < 180 and n % 10 < bad
            status, what = (500, failure) if failed else (200, None)
            found.append(
                event(
                    start_us + n * 20_000_000,
                    user=f"u{n % 7}@x.org",
                    path="/c",
                    status=status,
                    duration_us=900,
                    failure=what,
                )
            )
        return found

    writer = Writer(str(settings.database))
    for day in range(1, 7):
        writer.write(noon(day, 2 if day < 6 else 6))
    writer.close()
    return settings


def with_rule(settings, **keys):
    """The settings with other keys of the rule error_rate."""
    return settings.model_copy(update={"rules": {"error_rate": settings.rules["error_rate"].model_copy(update=keys)}})


def lived(settings):
    """The incidents that the daemon had; somebody acted on the last."""
    first, last = (int(at.timestamp()) // 60 for at in (WEEK_AGO, NOW))
    with closing(connect(str(settings.database))) as db:
        history = read_history(db, first - 400, last, single_events=8 * 86400)
    found = replay(history, surroundings(settings), first, last).incidents
    return [replace(each, acted=each is found[-1]) for each in found]


def test_a_better_threshold_keeps_what_somebody_acted_on_and_spares_others(week):
    incidents = lived(week)
    assert len(incidents) == 6
    better = find_better(week, incidents, WEEK_AGO, NOW)
    assert (better.rule.name, better.spared) == ("error_rate", 5)
    assert 0.2 < better.threshold < incidents[-1].peak
    [kept] = lived(with_rule(week, threshold=better.threshold))
    assert kept.opened_us - incidents[-1].opened_us < 3600 * 1_000_000


@pytest.mark.parametrize("acted", [lambda n: False, lambda n: True, lambda n: n == 0])
def test_where_none_would_do_better_none_is_named(week, acted):
    incidents = [replace(each, acted=acted(n)) for n, each in enumerate(lived(week))]
    assert find_better(week, incidents, WEEK_AGO, NOW) is None


def test_a_threshold_under_the_peak_is_not_named_where_it_would_not_have_held_for_long_enough(week):
    slow = with_rule(week, for_=50 * 60)
    incidents = lived(slow)
    better = find_better(slow, incidents, WEEK_AGO, NOW)
    assert better is not None
    just_under_the_peak = int(incidents[-1].peak * 100 - 1e-9) / 100
    assert better.threshold < just_under_the_peak
    assert lived(with_rule(slow, threshold=just_under_the_peak)) == [], "what reasoning with the peak would have named"
    assert len(lived(with_rule(slow, threshold=better.threshold))) == len(incidents) - better.spared


def test_without_a_database_nothing_is_named(week, tmp_path):
    gone = week.model_copy(update={"database": tmp_path / "nothing" / "g.db"})
    incidents = lived(week)
    assert find_better(gone, incidents, WEEK_AGO, NOW) is None
