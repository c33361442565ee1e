"""Charts as SVG with a table behind each: no script, no inline style, colours by class. Pure.

A plot is stretched to the width that there is, so letters stand outside of it, in HTML. Time runs from left to right
in every language. What a bar says when it is pointed at is its `<title>`; what a screen reader hears is the sentence,
and who wants the numbers opens the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import floor, log10

from markupsafe import Markup, escape

WIDTH, HEIGHT = 1000, 200
"""Of a plot, in units of its own."""
MOST_POINTS = 120
"""A wider series is refused: its page would be too large."""


@dataclass(frozen=True, slots=True)
class Series:
    """A row of numbers and its name, None where nothing was measured, which leaves a gap in a line; `tone` is a class
    of the stylesheet: users, good, bad, before, calm or warm."""

    name: str
    values: Sequence[float | None]
    tone: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A moment in a chart over time: `at` is its share of the whole, `place` the number of the place that it is in.
    `name` stands above its line, `said` is all of it."""

    at: float
    place: int
    name: str
    said: str


@dataclass(frozen=True, slots=True)
class Flags:
    """The moments that a chart marks: `column` is what the table behind it calls them."""

    column: str
    each: Sequence[Flag]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something on a strip: from `start` to `end`, shares of its whole; `title` says what it is."""

    start: float
    end: float
    tone: str
    title: str
    share: float = 1.0


def nice_top(most: float) -> float:
    """The end of a scale that holds `most`, a round number that is at most half as much again (of 1 twice as much); 1
    for nothing.

    Its half, which stands beside the middle, is round too, and whole from one on: there is no half of a person.
    """
    if most <= 0:
        return 1.0
    place = floor(log10(most))
    steps = {0: (2, 4, 6, 8), 1: (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8)}.get(place, (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8))
    power = 10.0**place
    return next(step * power for step in (*steps, 10) if most <= step * power * (1 + 1e-9))


def _number(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def picture_of(body: str, title: str, shape: str, *, name: str, stretched: bool = True) -> str:
    """A picture called `title`; without one, a picture that is hidden from those who hear what stands beside it."""
    how = ' preserveAspectRatio="none"' if stretched else ""
    heard = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    return f'<svg class="{shape}" viewBox="0 0 {name}" {heard}{how} focusable="false">{body}</svg>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], label: str, title: str, href: Sequence[str] = ()) -> str:
    cells, body = "".join(f'<th scope="col">{escape(each)}</th>' for each in head), ""
    for i, (first, *rest) in enumerate(rows):
        numbers = "".join(f"<td>{escape(each)}</td>" for each in rest)
        body += f'<tr><th scope="row">{_linked(first, href[i] if href else "")}</th>{numbers}</tr>'
    return (
        f'<details class="behind"><summary>{escape(label)}</summary><div class="wide" tabindex="0" role="region" '
        f'aria-label="{escape(title)}"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div></details>'
    )


def _linked(text: str, href: str) -> str:
    return f'<a href="{escape(href)}">{escape(text)}</a>' if href else str(escape(text))


@dataclass(frozen=True, slots=True)
class Words:
    """What stands around a chart: what it shows in a sentence, the name of the first column, the label of its table,
    and how its numbers are written."""

    title: str
    first: str
    table: str
    empty: str = ""


def over_time(
    words: Words, starts: Sequence[str], series: Sequence[Series], ticks: Sequence[str], said: Sequence[Sequence[str]],
    *, scale: Sequence[str], form: str = "area", href: Sequence[str] = (), flags: Flags | None = None,
) -> Markup:  # fmt: skip
    """Numbers over time: one place for each of `starts`, what it is called.

    `said` has of each series each number as text. `scale` are the texts of the top, the middle and the bottom of the
    scale, `ticks` stand under the plot at equal distances. `form` is "area" (lines, the first one filled) or "stacked"
    (bars, one on another). `href` leads from each row of the table to what is behind it; a script makes the places of
    the picture do the same. `flags` are moments to be marked. Raises ValueError for too many points.
    """
    number = len(starts)
    if number > MOST_POINTS:
        raise ValueError(f"a chart has {number} points: {MOST_POINTS} at most")
    sums = [sum(each.values[i] or 0 for each in series) for i in range(number)] if form == "stacked" else None
    most = max(sums if sums is not None else [v or 0 for each in series for v in each.values], default=0)
    if not number or most <= 0:
        return Markup(f'<p class="nothing">{escape(words.empty)}</p>')
    top, step = nice_top(most), WIDTH / number
    marked = flags.each if flags else ()
    body = "".join(f'<path class="guide" d="M0 {y}H{WIDTH}"/>' for y in (0.5, HEIGHT / 2, HEIGHT - 0.5))
    body += _stacked(series, number, step, top) if form == "stacked" else _areas(series, number, step, top)
    body += _lines(marked, HEIGHT)
    said_there = [[flag.said for flag in marked if flag.place == i] for i in range(number)]
    spots = ""
    for i in range(number):
        told = "\n".join(
            [starts[i], *(f"{each.name}: {text[i]}" for each, text in zip(series, said, strict=True)), *said_there[i]]
        )
        spots += f'<rect x="{_number(i * step)}" width="{_number(step)}"><title>{escape(told)}</title></rect>'
    body += f'<g class="spots">{spots}</g>'
    legend = [f'<li class="key {each.tone}">{escape(each.name)}</li>' for each in series if len(series) > 1]
    legend += _keys(marked)
    picture = picture_of(body, words.title, "plot", name=f"{WIDTH} {HEIGHT}")
    y_axis = "".join(f"<span>{escape(each)}</span>" for each in scale)
    x_axis = "".join(f"<span>{escape(each)}</span>" for each in ticks)
    rows = [[starts[i], *(text[i] for text in said)] for i in range(number)]
    head = [words.first, *(each.name for each in series)]
    if flags and marked:
        head.append(flags.column)
        rows = [[*row, " · ".join(there)] for row, there in zip(rows, said_there, strict=True)]
    behind = _table(head, rows, words.table, words.title, href)
    return Markup(
        f'<div class="chart" dir="ltr">{_flag_names(marked)}<div class="y" aria-hidden="true">{y_axis}</div>{picture}'
        f'<div class="x" aria-hidden="true">{x_axis}</div></div>'
        + _list(legend) + behind
    )  # fmt: skip


def _lines(flags: Sequence[Flag], high: int) -> str:
    return "".join(f'<path class="flag" d="M{_number(WIDTH * flag.at)} 0V{high}"/>' for flag in flags)


def _keys(flags: Sequence[Flag]) -> list[str]:
    return [f'<li class="key flag">{escape(flag.said)}</li>' for flag in flags]


def _list(keys: Sequence[str]) -> str:
    return f'<ul class="legend">{"".join(keys)}</ul>' if keys else ""


APART = 0.22
"""The name of a moment that lies nearer to one before it, as a share of the whole, is left to the legend."""


def _flag_names(flags: Sequence[Flag]) -> str:
    """The names above the plot. A picture of its own, since letters in the plot would be stretched with it."""
    drawn, last = "", -1.0
    for flag in flags:
        if flag.at - last >= APART:
            anchor = "start" if flag.at < 0.1 else "end" if flag.at > 0.9 else "middle"
            drawn += f'<text x="{_number(100 * flag.at)}%" y="11" text-anchor="{anchor}">{escape(flag.name)}</text>'
            last = flag.at
    return f'<svg class="flags" aria-hidden="true" focusable="false">{drawn}</svg>' if drawn else ""


def _areas(series: Sequence[Series], number: int, step: float, top: float) -> str:
    drawn = ""
    places = [(i + 0.5) * step for i in range(number)]
    for rank, each in enumerate(series):
        runs = list(_runs(zip(places, each.values, strict=True), top))
        if rank == 0:
            fill = "".join(f"M{'L'.join(run)}V{HEIGHT}H{run[0].partition(' ')[0]}Z" for run in runs)
            drawn += f'<path class="fill {each.tone}" d="{fill}"/>'
        # A place between two gaps is a line without length, whose round ends are seen.
        line = "".join(f"M{'L'.join(run)}" + ("h0" if len(run) == 1 else "") for run in runs)
        drawn += f'<path class="line {each.tone}" d="{line}"/>'
    return drawn


def _runs(points: Iterable[tuple[float, float | None]], top: float) -> Iterable[list[str]]:
    """The stretches of a line between its gaps, as text in units of the plot."""
    for there, group in groupby(points, key=lambda point: point[1] is not None):
        if there:
            yield [f"{_number(x)} {_number(HEIGHT - HEIGHT * min((value or 0) / top, 1))}" for x, value in group]


def _stacked(series: Sequence[Series], number: int, step: float, top: float) -> str:
    under, drawn, gap = [0.0] * number, "", step * 0.14
    wide = _number(step - 2 * gap)
    for each in series:
        path = ""
        for i, value in enumerate(each.values):
            if value:
                # What is there must be seen: two units at least.
                high = max(HEIGHT * value / top, 2)
                x, y = i * step + gap, HEIGHT - under[i] - high
                path += f"M{_number(x)} {_number(y)}h{wide}v{_number(high)}h-{wide}z"
                under[i] += high
        drawn += f'<path class="bar {each.tone}" d="{path}"/>' if path else ""
    return drawn


def share_bar(share: float, tone: str = "users") -> Markup:
    """A bar beside its number, which is its text: hidden from readers that hear the number."""
    width = _number(100 * max(0.0, min(share, 1.0)))
    bar = f'<rect class="bar {tone}" width="{width}" height="8"/>'
    return Markup(picture_of(f'<rect class="track" width="100" height="8"/>{bar}', "", "share", name="100 8"))


def strip(title: str, marks: Iterable[Mark], ticks: Sequence[str] = (), flags: Sequence[Flag] = ()) -> Markup:
    """A band of time with marks on it; a mark is seen, however short. `flags` are moments, named above it and below."""
    drawn = f'<rect class="track" width="{WIDTH}" height="40" rx="3"/>'
    for mark in marks:
        x = WIDTH * max(0.0, min(mark.start, 1.0))
        width = max(WIDTH * min(mark.end, 1.0) - x, 3)
        high = 40 * max(0.1, min(mark.share, 1.0))
        drawn += (
            f'<rect class="bar {mark.tone}" x="{_number(min(x, WIDTH - 3))}" y="{_number(40 - high)}" '
            f'width="{_number(width)}" height="{_number(high)}"><title>{escape(mark.title)}</title></rect>'
        )
    drawn += _lines(flags, 40)
    under = "".join(f"<span>{escape(each)}</span>" for each in ticks)
    picture = _flag_names(flags) + picture_of(drawn, title, "strip", name=f"{WIDTH} 40")
    shown = f'<div class="banded" dir="ltr">{picture}<div class="x" aria-hidden="true">{under}</div></div>'
    return Markup(shown + _list(_keys(flags)))
