"""Tables of sealed summaries that are kept decompressed."""

import numpy as np
import pytest

from guardian.core import codec
from guardian.stores.sqlite.buckets import HOUR
from guardian.stores.sqlite.decoded import KEPT_BYTES, KEPT_MOST, KEPT_SHARE, LARGEST_SHARE, SHORT, Decoded
from guardian.stores.sqlite.listed import Stretch
from guardian.stores.sqlite.seal_keys import seal_keys


def body(*columns):
    return codec.pack([np.array(column, np.int64) for column in columns])


class Stored:
    """The hours of a day as they are stored, and how many were fetched."""

    def __init__(self, *bodies, day=0):
        self.fetched = 0
        self.day = day
        self.put(*bodies)

    def put(self, *bodies):
        """From now on these are stored, so the list of the day is another one."""
        self.bodies, self.starts = bodies, [n * HOUR for n in range(len(bodies))]

    def read(self, decoded, low=0, high=None):
        high = len(self.bodies) if high is None else high
        [tables] = decoded.tables(0, [Stretch((HOUR, self.day), self.starts, low, high)], self._fetch)
        return [[column.tolist() for column in codec.joined([table], range(len(table.columns)))[0]] for table in tables]

    def _fetch(self, keys):
        self.fetched += len(keys)
        known = dict(zip(seal_keys(0, HOUR, self.starts), self.bodies, strict=True))
        return [(key, known[key]) for key in reversed(keys) if known[key] is not None]


def test_what_was_read_is_not_fetched_again_while_the_list_of_its_day_is_the_same():
    decoded, stored = Decoded(), Stored(body([1, 2], [5, 6]), body([3], [7]), body([], []))
    expected = [[[1, 2], [5, 6]], [[3], [7]], [[], []]]
    assert stored.read(decoded, 1, 2) == expected[1:2]
    assert stored.read(decoded) == expected
    assert stored.read(decoded, 0, 2) == expected[:2]
    assert stored.fetched == 3


def test_a_bucket_that_was_sealed_anew_is_decoded_anew(monkeypatch):
    decoded, stored = Decoded(), Stored(body([1, 2]), body([5]))
    stored.read(decoded)
    stored.put(body([1, 3]), body([5]), body([6]))
    inflated = []
    monkeypatch.setattr(
        "guardian.stores.sqlite.decoded.inflate", lambda body: inflated.append(body) or codec.inflate(body)
    )
    for _ in range(2):
        assert stored.read(decoded) == [[[1, 3]], [[5]], [[6]]]
    assert sorted(inflated) == sorted([body([1, 3]), body([6])])
    assert decoded.size == sum(len(each) + codec.inflate(each).size for each in stored.bodies)


def test_what_was_not_read_since_a_day_changed_is_compared_when_it_is_read():
    decoded, stored = Decoded(), Stored(body([1]), body([2]))
    stored.read(decoded)
    stored.put(body([1]), body([3]))
    assert stored.read(decoded, 0, 1) == [[[1]]]
    stored.put(body([4]), body([3]))
    assert stored.read(decoded) == [[[4]], [[3]]]


def test_what_a_reader_does_with_its_columns_changes_nothing_for_the_next():
    decoded, stored = Decoded(), Stored(body([1, 2], [2**50, 5]))
    for _ in range(3):
        [table] = decoded.tables(0, [Stretch((HOUR, 0), stored.starts, 0, 1)], stored._fetch)[0]
        for column in codec.joined([table], range(2))[0]:
            column += 1
    assert stored.read(decoded) == [[[1, 2], [2**50, 5]]]


def test_what_was_read_least_lately_goes_when_too_much_is_kept():
    some = body(range(1000))
    assert len(some) < SHORT
    size = len(some) + codec.inflate(some).size
    most = LARGEST_SHARE
    decoded, days = Decoded(kept_bytes=most * size), [Stored(some, day=day) for day in range(most + 1)]
    for day in (*range(most), 0, most):
        days[day].read(decoded)
    assert decoded.size == most * size
    assert [day for _, (_, day) in decoded.kept()] == [*range(2, most), 0, most]


def test_a_large_table_is_read_and_not_kept():
    rows = np.random.default_rng(1).integers(0, 2**60, KEPT_BYTES // LARGEST_SHARE // 16 + 1).tolist()
    decoded, stored = Decoded(), Stored(body(rows, rows))
    for _ in range(2):
        assert stored.read(decoded) == [[rows, rows]]
    assert decoded.size == 0
    decoded.make_room(2 * KEPT_BYTES * KEPT_SHARE)
    assert stored.read(decoded) == [[rows, rows]]
    assert decoded.size == 16 * len(rows)


@pytest.mark.parametrize(
    ("file_bytes", "kept"),
    [
        (0, KEPT_BYTES),
        (KEPT_BYTES * KEPT_SHARE, KEPT_BYTES),
        (2 * KEPT_BYTES * KEPT_SHARE, 2 * KEPT_BYTES),
        (2**50, KEPT_MOST),
    ],
)
def test_of_a_large_file_more_is_kept(file_bytes, kept):
    decoded, some = Decoded(), body(np.random.default_rng(1).integers(0, 2**60, 50_000).tolist())
    size = codec.inflate(some).size
    decoded.make_room(file_bytes)
    decoded.make_room(5)  # another file
    for day in range(KEPT_MOST // size + 2):
        Stored(some, day=day).read(decoded)
    assert kept - size < decoded.size <= kept


def test_of_a_long_body_only_what_is_inside_is_kept():
    rows = np.random.default_rng(1).integers(0, 2**60, SHORT // 4).tolist()
    decoded, stored = Decoded(), Stored(body(rows))
    for _ in range(2):
        stored.put(body(rows))
        assert stored.read(decoded) == [[rows]]
    assert decoded.size == codec.inflate(body(rows)).size


@pytest.mark.parametrize(("bad", "why"), [(b"\x07", "not known here"), (None, "part of a summary is missing")])
def test_a_damaged_body_and_a_missing_one_are_refused_and_not_kept(bad, why):
    decoded, stored = Decoded(), Stored(bad)
    with pytest.raises(ValueError, match=why):
        stored.read(decoded)
    assert decoded.size == 0
