import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardian.core import codec
from guardian.core.codec.table import joined

columns = st.integers(0, 30).flatmap(
    lambda rows: st.lists(
        st.lists(st.integers(-(2**61), 2**61), min_size=rows, max_size=rows)
        | st.lists(st.integers(0, 300), min_size=rows, max_size=rows).map(sorted),
        min_size=1,
        max_size=5,
    )
)


IN_ORDER = st.lists(
    st.tuples(st.integers(-5, 9), st.integers(-3, 3) | st.integers(0, 700) | st.integers(0, 2**50)),
    unique=True, min_size=1, max_size=40,
).map(sorted)  # fmt: skip


@given(st.lists(IN_ORDER, min_size=1, max_size=6), st.lists(st.booleans(), min_size=6, max_size=6))
def test_two_columns_in_order_come_back_alone_and_together_and_beside_others(tables, shuffled):
    tables = [rows[::-1] if turned else rows for rows, turned in zip(tables, shuffled, strict=False)]
    packed = [codec.pack([*np.array(rows, np.int64).T, np.arange(len(rows)) % 3]) for rows in tables]
    for wanted in ({0}, {1}, {0, 1}, {1, 2}, {0, 1, 2}):
        read, _ = joined([codec.inflate(body) for body in packed], wanted)
        for column, place in zip(read, sorted(wanted), strict=True):
            assert column.tolist() == [(*row, n % 3)[place] for rows in tables for n, row in enumerate(rows)]


def test_columns_that_happen_to_be_stored_as_the_same_bytes_stay_apart():
    paired, alone = [[1, 1, 1], [1, 2, 3]], [[10, 310, 311], [5, 305, 6]]  # 0, 300, 1: as steps, and less the least
    tables = [codec.inflate(codec.pack([*map(np.array, table)])) for table in (paired, alone)]
    found, _ = joined(tables, (0, 1))
    assert [column.tolist() for column in found] == [[1, 1, 1, 10, 310, 311], [1, 2, 3, 5, 305, 6]]


@given(columns)
def test_a_table_comes_back_as_it_was(columns):
    body = codec.pack([np.array(column, np.int64) for column in columns])
    assert [column.tolist() for column in codec.unpack(body)] == columns


@given(
    st.lists(st.lists(st.tuples(*[st.integers(-(2**61), 2**61)] * 3), max_size=9), max_size=5),
    st.sets(st.integers(0, 2)),
)
def test_the_rows_of_several_tables_come_back_one_after_the_other(tables, wanted):
    packed = [codec.pack(list(np.array(rows, np.int64).reshape(-1, 3).T)) for rows in tables]
    columns, edges = joined([codec.inflate(body) for body in packed], wanted)
    rows = [row for table in tables for row in table]
    assert [column.tolist() for column in columns] == [[row[place] for row in rows] for place in sorted(wanted)]
    assert edges == [sum(map(len, tables[:number])) for number in range(len(tables) + 1)]


def test_a_column_that_a_table_does_not_have_is_refused():
    with pytest.raises(ValueError, match="fewer columns"):
        joined([codec.inflate(codec.pack([np.array([1])]))], (0, 1))


LIMITS = st.sampled_from([0, 1, 255, 256, 65_535, 2**24, 2**32, 2**37, 2**40 - 1, 2**56, 2**61])


@given(
    st.lists(st.tuples(LIMITS, st.booleans(), st.integers(-(2**61), 2**61)), min_size=1, max_size=4), st.integers(0, 3)
)
def test_a_long_table_comes_back_as_it_was_and_beside_short_ones(kinds, more):
    rows = codec.LONG + more
    random = np.random.default_rng(rows)
    columns = []
    for most, ascending, least in kinds:
        column = random.integers(0, most, rows, endpoint=True)
        columns.append((np.sort(column) if ascending else column) + least)
    short = [column[:5] for column in columns]
    body = codec.pack(columns)
    assert (body[0], codec.pack(short)[0]) == (codec.LONG_VERSION, codec.VERSION)
    assert [column.tolist() for column in codec.unpack(body)] == [column.tolist() for column in columns]
    read, edges = joined([codec.inflate(each) for each in (body, codec.pack(short), body)], range(len(columns)))
    assert edges == [0, rows, rows + 5, 2 * rows + 5]
    assert [column.tolist() for column in read] == [
        [*column.tolist(), *column[:5].tolist(), *column.tolist()] for column in columns
    ]


def test_the_bytes_of_a_long_table_are_those_of_the_documented_layout():
    rows = codec.LONG
    noise = np.random.default_rng(1).integers(0, 256, rows)
    noise[:2] = 0, 255
    body = codec.pack([noise + 256 * (np.arange(rows) % 2) - 7, np.full(rows, 4)])
    assert body[:1] == b"\x05"
    length = int.from_bytes(body[1:5], "little")
    assert int.from_bytes(body[5:9], "little") == zlib.adler32(bytes(noise.tolist()))
    assert zlib.decompress(body[9 : 9 + length]) == (
        rows.to_bytes(4, "little") + b"\x02"
        b"\x02" b"\0" b"\x01" b"\x01" b"\xf9"  # two bytes above -7, of which the lower one lies raw
        b"\x80" b"\0" b"\0" b"\x01" b"\x04"  # always 4
        + b"\0\x01" * (rows // 2)
    )  # fmt: skip
    assert body[9 + length :] == bytes(noise.tolist())


def test_the_bytes_are_those_of_the_documented_layout():
    body = codec.pack([np.array(each) for each in ([5, 6, 8], [300, 40, 41], [1, 1, 2], [130, 132, 129], [0, 0, 0])])
    assert body[:1] == b"\x04"
    assert zlib.decompress(body[1:]) == (
        b"\x03\0\0\0" b"\x04"
        b"\x81" b"\0" b"\0" b"\x01" b"\x05"  # steps of one byte from 5 on
        b"\x02" b"\0" b"\0" b"\x01" b"\x28"  # two bytes above 40
        b"\x81" b"\x02" b"\0" b"\x21" b"\x01" b"\x81\0"  # steps of a byte: above 1, and 2 bits above 129
        b"\x80" b"\0" b"\0" b"\0"  # always 0
        b"\0\x01\x02" b"\x04\0\x01" b"\x01\0\0" b"\x01\x02\x01"
    )  # fmt: skip


OLDER = {
    "short": (
        b"\x02" + zlib.compress(
            b"\x03\0\0\0" b"\x03" b"\x81\x05\0\0\0\0\0\0\0" b"\x02\x28\0\0\0\0\0\0\0"
            b"\x80\x02\0\0\0\0\0\0\0" b"\0\x02\0" b"\x04\x01\0\0\x01\0"
        ),
        [[5, 7, 7], [300, 40, 41], [2, 2, 2]],
    ),
    "long": (
        b"\x03" + len(HEADS := zlib.compress(
            b"\x04\0\0\0" b"\x02" b"\x02\xf9\xff\xff\xff\xff\xff\xff\xff\x01" b"\x81\x04\0\0\0\0\0\0\0\0"
            b"\0\x01\0\x01" b"\0\x09\0\x01"
        )).to_bytes(4, "little") + zlib.adler32(b"\x07\x08\x09\x0a").to_bytes(4, "little") + HEADS
        + b"\x07\x08\x09\x0a",
        [[0, 257, 2, 259], [4, 13, 13, 14]],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", OLDER)
def test_tables_of_older_versions_are_read_beside_those_of_today(kind):
    body, columns = OLDER[kind]
    assert [column.tolist() for column in codec.unpack(body)] == columns
    today = codec.pack([np.array(column) for column in columns])
    read, _ = joined([codec.inflate(each) for each in (body, today, body)], range(len(columns)))
    assert [column.tolist() for column in read] == [column * 3 for column in columns]


def _long(inside):
    part = zlib.compress(inside)
    return b"\x03" + len(part).to_bytes(4, "little") + (1).to_bytes(4, "little") + part


LONG = codec.pack([np.random.default_rng(2).integers(0, 256, codec.LONG)])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x01",
        b"\x02",
        b"\x02abc",
        b"\x02" + zlib.compress(b"\x09"),
        b"\x02" + zlib.compress(b"\x09\0\0\0\x01\x07" + b"\0" * 8),
        b"\x03",
        b"\x03\x09\0\0\0\x01\0\0\0abc",
        b"\x04",
        b"\x04" + zlib.compress(b"\x09"),
        b"\x04" + zlib.compress(b"\x09\0\0\0\x01\x01\0\0\0"),
        b"\x04" + zlib.compress(b"\0\0\0\0\x01\x09\0\0\0"),
        b"\x04" + zlib.compress(b"\0\0\0\0\x01\x01\x40\0\0"),
        b"\x05\x09\0\0\0\x01\0\0\0abc",
        b"\x03\x09\0\0\0\x01\0\0\0" + zlib.compress(b"\x09"),
        LONG[:-1],
        LONG[:-1] + bytes([LONG[-1] ^ 1]),
        LONG[:9],
        _long(b"\x09\0\0\0\x01\x09" + b"\0" * 9),
        _long(b"\x09\0\0\0\x01\x02" + b"\0" * 9 + b"1234567890"),
    ],
)
def test_what_is_no_table_is_refused(body):
    with pytest.raises((ValueError, zlib.error)):
        codec.unpack(body)
