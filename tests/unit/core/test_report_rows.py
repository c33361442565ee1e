from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from guardian.core.activity import Active
from guardian.core.report.model import FailedRequest, UserRow
from guardian.core.report.rows import UserRows, users_json
from guardian.core.time import micros
from tests.support.events import event as made
from tracker.event import Failure

AT = datetime(2026, 3, 2, 9, tzinfo=UTC)
TIMES = st.integers(0, micros(datetime(9999, 12, 31, tzinfo=UTC))) | st.integers(0, 4_000_000_000).map(
    lambda second: second * 1_000_000
)
FAILURES = st.sampled_from(
    [None, Failure("Noted", "tool error"), Failure("KeyError", "no such key", "app.py:7 chat"), Failure("Boom", "é")]
)
FAILED = st.builds(
    lambda at_us, status, failure: made(
        at_us, user="", path="/api/chat", method="POST", status=status, failure=failure
    ),
    TIMES, st.sampled_from([200, 404, 500, 599]), FAILURES,
)  # fmt: skip
USERS = st.dictionaries(
    st.text(max_size=5),
    st.tuples(st.builds(Active, st.just(""), st.integers(1, 9), st.integers(0, 9), st.integers(0, 99),
                        st.lists(st.sampled_from("abc"), unique=True).map(tuple)),
              st.none() | st.lists(FAILED, max_size=25)),
    max_size=8,
)  # fmt: skip


@given(USERS)
def test_the_json_of_users_is_the_same_whether_their_rows_were_made_or_not(found):
    users = [active._replace(name=name) for name, (active, _) in found.items()]
    failures = {name: failed for name, (_, failed) in found.items() if failed is not None}
    assert users_json(UserRows(users, failures)) == users_json(tuple(UserRows(users, failures)))


def test_the_json_of_very_many_failed_requests_has_each_at_its_time():
    failed = [made(AT + n * timedelta(milliseconds=250), user="", feature="a", status=500) for n in range(4_100)]
    [row] = users_json(UserRows([Active("ada", 4_100, 4_100, 0, ("a",))], {"ada": failed}))
    assert [each["timestamp"] for each in row["errors"]] == [
        (AT + n * timedelta(milliseconds=250)).isoformat() for n in range(4_100)
    ]
    assert [each["timestamp"] for each in row["errors"][3:5]] == [
        "2026-03-02T09:00:00.750000+00:00", "2026-03-02T09:00:01+00:00"
    ]  # fmt: skip


def test_rows_are_a_sequence_equal_to_a_tuple_of_the_same():
    event = made(AT, user="ada", feature="a", status=404)
    rows = UserRows([Active("ada", 3, 1, 2, ("a",)), Active("bob", 1, 0, 0, ())], {"ada": [event]})
    ada = UserRow("ada", 2, ("a",), 3, 1, (FailedRequest("/a", "Not Found", AT, 404),))
    assert (len(rows), rows[0], rows[1:]) == (2, ada, (UserRow("bob", 0, (), 1, 0, ()),))
    assert rows == (ada, rows[1]) and rows != (ada,)
    assert rows == UserRows(rows.people, rows._failures)
    assert hash(rows) == hash(tuple(rows))
