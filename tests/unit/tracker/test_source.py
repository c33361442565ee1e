import sqlite3
from contextlib import closing

import pytest

from tests.support.events import event as made
from tracker import Recorder, UsageTrackingMiddleware
from tracker.source import RELEASE_VARIABLES, Source, find_source
from tracker.sqlite.writer import Writer


def found(release=None, host="web-1", **environ):
    return find_source(release, environ, lambda: host)


def test_the_release_that_the_app_names_counts():
    assert found("2.4.1", GIT_SHA="abc") == Source("2.4.1", "web-1")


@pytest.mark.parametrize("name", RELEASE_VARIABLES)
def test_each_variable_of_the_usual_platforms_names_the_release(name):
    assert found(**{name: "abc"}).release == "abc"


def test_of_several_variables_the_first_that_is_not_empty_counts():
    assert found(GIT_SHA="second", SENTRY_RELEASE="first", GUARDIAN_RELEASE=" ").release == "first"


def test_without_any_there_is_no_release():
    assert found() == Source("", "web-1")


def test_the_instance_is_the_platforms_own_name_or_the_hosts():
    assert found(FLY_MACHINE_ID="148e", HOSTNAME="x").instance == "148e"
    assert found(HOSTNAME="pod-7").instance == "pod-7"
    assert found().instance == "web-1"


def test_a_host_without_a_name_of_its_own_is_no_instance():
    assert found(host="localhost").instance == ""
    assert found(HOSTNAME="localhost").instance == ""


def test_names_are_one_line_that_is_not_too_long():
    assert found("a\nb\x00c", GIT_SHA="x").release == "a b c"
    assert len(found("é" * 500).release) == 100
    assert found("\n\t", GIT_SHA="x").release == "x"


def test_long_names_that_differ_only_at_their_end_stay_apart():
    """As the digests of images in one repository, and the pods of one deployment."""
    image = "europe-west1-docker.pkg.dev/a-project-of-some-length/the-repository/chat-service-of-the-team@sha256:"
    first, second = (found(f"{image}{digit * 64}") for digit in "ab")
    assert first.release != second.release
    assert (len(first.release), first.release[:40], first.release[-8:]) == (100, image[:40], "a" * 8)
    pods = [found(host=f"{'chat-' * 60}{n}").instance for n in range(2)]
    assert pods[0] != pods[1]


def event(second):
    return made(second * 1_000_000, user="ann@example.com")


def sources(path):
    with closing(sqlite3.connect(path)) as db:
        return db.execute(
            "SELECT e.id >> 10, s.release, s.instance FROM guardian_request e LEFT JOIN guardian_source s "
            "ON s.id = e.source ORDER BY e.id"
        ).fetchall()


def record(path, second, **settings):
    recorder = Recorder(path, **settings)
    recorder.add(event(second))
    assert recorder.close()


def test_each_request_has_one_number_for_its_release_and_instance(tmp_path, monkeypatch):
    monkeypatch.setenv("GUARDIAN_INSTANCE", "web-1")
    path = str(tmp_path / "guardian.db")
    record(path, 100, release="2.4.0")
    record(path, 200, release="2.4.1")
    record(path, 300, release="2.4.0")
    assert [(release, instance) for _, release, instance in sources(path)] == [
        ("2.4.0", "web-1"), ("2.4.1", "web-1"), ("2.4.0", "web-1"),
    ]  # fmt: skip
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*) FROM guardian_source").fetchone() == (2,)


def test_where_nothing_is_known_no_source_is_noted(tmp_path):
    path = str(tmp_path / "guardian.db")
    writer = Writer(path, made_by=Source())
    writer.write([event(100)])
    writer.close()
    assert sources(path) == [(100_000_000, None, None)]


def test_a_batch_that_was_rolled_back_leaves_no_number_behind_that_nobody_has(tmp_path):
    path = str(tmp_path / "guardian.db")
    writer = Writer(path, made_by=Source("1", "a"))

    def fail(db):
        raise sqlite3.OperationalError("disk full")

    with pytest.raises(sqlite3.OperationalError):
        writer.write([event(100)], along=fail)
    writer.write([event(200)])
    writer.close()
    assert sources(path) == [(200_000_000, "1", "a")]


async def app(scope, receive, send):
    raise AssertionError("no request comes")


def test_the_middleware_takes_the_release_and_says_what_is_none(tmp_path):
    path = str(tmp_path / "guardian.db")
    assert UsageTrackingMiddleware(app, database=path, release="2.4.1").problem is None
    assert UsageTrackingMiddleware(app, database=path, release=2.4).problem == (
        "release = 2.4 must be a text that is not empty"
    )
    assert UsageTrackingMiddleware(app, database=path, version="2").problem.endswith("did you mean release?")
    given = UsageTrackingMiddleware(app, recorder=Recorder(path), release="2.4.1")
    assert given.problem.startswith("release is set, but a recorder was given")
