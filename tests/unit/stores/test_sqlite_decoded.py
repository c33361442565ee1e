"""Tables of sealed summaries that are kept decompressed."""

import numpy as np
import pytest

from guardian.core import codec
from guardian.stores.sqlite.decoded import LARGEST, Decoded

KEY = (0, 300, 600)


def body(*columns):
    return codec.pack([np.array(column, np.int64) for column in columns])


def lists(read):
    columns, edges = read
    return [column.tolist() for column in columns], edges


def test_columns_that_are_kept_are_those_that_were_stored():
    decoded, stored = Decoded(), body([1, 2, 9], [2**40, -5, 7], [3, 3, 3])
    for _ in range(2):
        assert lists(decoded.joined([(KEY, stored)], range(3))) == ([[1, 2, 9], [2**40, -5, 7], [3, 3, 3]], [0, 3])
        assert lists(decoded.joined([(KEY, stored)], (2, 0))) == ([[1, 2, 9], [3, 3, 3]], [0, 3])
        assert {column.dtype for column in decoded.joined([(KEY, stored)], range(3))[0]} == {np.dtype(np.int64)}


def test_a_bucket_that_was_sealed_anew_is_decoded_anew():
    decoded = Decoded()
    decoded.joined([(KEY, body([1, 2]))], (0,))
    for _ in range(2):
        assert lists(decoded.joined([(KEY, body([1, 3]))], (0,))) == ([[1, 3]], [0, 2])
    assert decoded.size == len(body([1, 3])) + codec.inflate(body([1, 3])).size


def test_what_a_reader_does_with_its_columns_changes_nothing_for_the_next():
    decoded, stored = Decoded(), body([1, 2], [2**50, 5])
    for _ in range(3):
        for column in decoded.joined([(KEY, stored)], range(2))[0]:
            column += 1
    assert lists(decoded.joined([(KEY, stored)], range(2))) == ([[1, 2], [2**50, 5]], [0, 2])


def test_what_was_read_least_lately_goes_when_too_much_is_kept():
    stored = body(range(1000))
    size = len(stored) + codec.inflate(stored).size
    decoded = Decoded(kept_bytes=3 * size)
    for start in (0, 1, 2, 0, 3):
        decoded.joined([((0, 300, start), stored)], (0,))
    assert decoded.size == 3 * size
    assert [start for _, _, start in decoded.kept()] == [2, 0, 3]


def test_a_large_table_is_read_and_not_kept():
    rows = np.random.default_rng(1).integers(0, 2**60, LARGEST // 16).tolist()
    decoded = Decoded()
    for _ in range(2):
        assert lists(decoded.joined([(KEY, body(rows, rows))], (1,))) == ([rows], [0, len(rows)])
    assert decoded.size == 0


def test_a_damaged_body_is_refused_and_not_kept():
    decoded = Decoded()
    with pytest.raises(ValueError, match="not known here"):
        decoded.joined([(KEY, b"\x07")], (0,))
    assert decoded.size == 0
