"""The histogram of latencies, and its table. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

from markupsafe import Markup

from guardian.core.summary import RATIO, quantile_ms
from guardian.web.pages.page import View
from guardian.web.pages.svg import Series, Words, over_time
from guardian.web.pages.tables import Table
from guardian.web.pages.timeline import number_scale


def durations(bars: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """How many latencies fell into each bin, over all bars of a window."""
    total: dict[int, int] = {}
    for bar in bars:
        for slot, number in bar.items():
            total[slot] = total.get(slot, 0) + number
    return total


EDGES_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000)
"""The upper bounds of the histogram's bars; the last one has none."""


def _places(bins: Mapping[int, int]) -> list[int]:
    places = [0] * (len(EDGES_MS) + 1)
    for slot, number in bins.items():
        at_ms = 0.0 if slot < 0 else RATIO ** (slot + 0.5) / 1000
        places[bisect_right(EDGES_MS, at_ms)] += number
    return places


def latency_table(bins: Callable[[], Mapping[int, int]]) -> Table:
    """The same as a file: how many requests took `from_ms` or longer and less than `below_ms`. `bins` is
    called where somebody asks for the file."""

    def rows() -> Iterator[tuple[int | None, ...]]:
        for pair, number in zip(pairwise((0, *EDGES_MS, None)), _places(bins()), strict=True):
            yield (*pair, number)

    return Table("durations", ("from_ms", "below_ms", "requests"), rows())


def latency_chart(bins: Mapping[int, int], view: View) -> Markup:
    """The histogram of latencies, on a roughly logarithmic scale."""
    lang, places = view.lang, _places(bins)
    names = [lang("under %(time)s", time=lang.milliseconds(EDGES_MS[0]))]
    names += [f"{lang.milliseconds(a)} – {lang.milliseconds(b)}" for a, b in pairwise(EDGES_MS)]
    names.append(lang("over %(time)s", time=lang.milliseconds(EDGES_MS[-1])))
    words = Words(
        lang("How long requests took"), lang("Latency"), lang("The numbers"), lang("No latency was measured.")
    )
    p95 = quantile_ms(bins, 0.95)
    if p95 is not None:
        words = Words(
            lang("How long requests took: 95 %% within %(time)s", time=lang.milliseconds(p95)), words.first, words.table
        )
    ticks = [lang.milliseconds(edge) for edge in (1, 10, 100, 1000, 10_000)]
    series = [Series(lang("Requests"), places, "users")]
    return over_time(
        words, names, series, ticks, [[lang.number(each) for each in places]],
        scale=number_scale(max(places), lang), form="stacked",
    )  # fmt: skip
