"""The keys of sealed summaries: part, length and start in one integer. So the rows of a part and a length lie together
in the order of time, and a row may fill its page: in a table without such a key a quarter of a page is the most.

Times are Unix microseconds.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardian.stores.sqlite.buckets import DAY, HOUR, MINUTES5

_CODES = {MINUTES5: 0, HOUR: 1, DAY: 2}
_CODE_BITS, _PLACE_BITS = 2, 25
_PLACE = (1 << _PLACE_BITS) - 1
"""The bits of a key that say which 5 minutes since 1970 the bucket begins with: as far as the keys of events reach."""
NEXT_PART = 1 << _CODE_BITS + _PLACE_BITS
"""By how much the keys of the next part differ from those of a part."""


def seal_key(part: int, span_us: int, start_us: int) -> int:
    """The key of this part of the bucket of this length that begins at this moment. Between two starts, the first key
    that may come after it."""
    place = min(max(-(-start_us // MINUTES5), 0), 1 << _PLACE_BITS)
    return part * NEXT_PART + (_CODES[span_us] << _PLACE_BITS) + place


def seal_range(part: int, span_us: int, start_us: int, end_us: int) -> tuple[int, int]:
    """The keys of the buckets that begin in [start, end): [first, end)."""
    return seal_key(part, span_us, start_us), seal_key(part, span_us, end_us)


def seal_keys(part: int, span_us: int, starts: Sequence[int]) -> list[int]:
    """The key of this part of each bucket of this length that begins at one of these moments."""
    first = seal_key(part, span_us, 0)
    return [first + start_us // MINUTES5 for start_us in starts]


def seal_start(key: int) -> int:
    """When the bucket with this key begins."""
    return (key & _PLACE) * MINUTES5


def seal_day(key: int) -> int:
    """The day since 1970 in which the bucket with this key begins."""
    return (key & _PLACE) // (DAY // MINUTES5)


def day_sql(key: str) -> str:
    """The same as SQL."""
    return f"({key} & {_PLACE}) / {DAY // MINUTES5}"
