"""When users were active, out of batches of requests: the same however they come."""

from hypothesis import example, given
from hypothesis import strategies as st

from tracker.event import SESSION_GAP_US
from tracker.sqlite.activity import Activity

T = 1_700_000_100_000_000
MINUTE = 60_000_000
NOBODY = 3

REQUEST = st.tuples(
    st.one_of(st.integers(0, 3 * MINUTE), st.integers(0, 200 * MINUTE)),
    st.integers(1, 4),
    st.one_of(st.integers(0, MINUTE), st.integers(0, 100 * MINUTE)),
)


def by_hand(requests):
    """Per user the spans without a gap of 30 minutes, one request after the other."""
    found = {}
    for start, at, user in sorted((T + at - took, T + at, user) for at, user, took in requests if user != NOBODY):
        spans = found.setdefault(user, [])
        if spans and start - spans[-1] < SESSION_GAP_US:
            spans[-1] = max(spans[-1], at)
        else:
            spans += [start, at]
    return found


def added(batches):
    activity = Activity()
    for batch in batches:
        ordered = sorted(batch)
        activity.add(
            [T + at for at, _, _ in ordered], [user for _, user, _ in ordered], [t for _, _, t in ordered], NOBODY
        )
    return activity


@given(st.lists(st.lists(REQUEST, max_size=12), max_size=5))
@example([[(10, 1, 5), (20, 1, 18)], [(5, 1, 0), (25, 2, 1)]])
@example([[(0, 1, 0), (29 * MINUTE, 2, 0)], [(31 * MINUTE, 1, 0)], [(30 * MINUTE, 1, 0)]])
def test_activity_does_not_depend_on_the_batches_nor_on_their_order(batches):
    activity = added(batches)
    requests = [request for batch in batches for request in batch]
    assert {user: list(activity.of(user)) for user in activity.users()} == by_hand(requests)
    if requests:
        assert activity.since_us == T + min(at for at, _, _ in requests)
        assert activity.until_us == T + max(at for at, _, _ in requests)
    once = [(user, *spans) for user, spans in by_hand(requests).items() if len(spans) == 2]
    found = activity.once(sorted(activity.users()))
    assert [*zip(found[::3], found[1::3], found[2::3], strict=True)] == sorted(once)


@given(st.lists(st.lists(REQUEST, max_size=12), max_size=5), st.sets(st.integers(1, 4)))
def test_who_is_not_kept_was_never_active(batches, kept):
    activity = added(batches)
    activity.keep(kept)
    assert set(activity.users()) == set(by_hand([r for batch in batches for r in batch])) & kept
