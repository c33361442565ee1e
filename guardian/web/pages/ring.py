"""Parts of a whole as a ring with its table, as SVG. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin

from markupsafe import Markup, escape

from guardian.web.pages.svg import Words, picture_of


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a whole; `href` is where a click leads, "" for nowhere."""

    name: str
    value: float
    said: str
    href: str = ""


def donut(words: Words, slices: Sequence[Slice], *, centre: str, under: str, columns: Sequence[str]) -> Markup:
    """Parts of a whole as a ring, with `centre` inside and `under` below that; the table is the legend, and seen."""
    total = sum(each.value for each in slices)
    if total <= 0:
        return Markup(f'<p class="nothing">{escape(words.empty)}</p>')
    at, drawn = 0.0, ""
    for rank, each in enumerate(slices):
        share = each.value / total
        drawn += _arc(at, at + share, rank, f"{each.name}: {each.said}")
        at += share
    drawn += f'<text class="centre" x="60" y="61" text-anchor="middle">{escape(centre)}</text>'
    drawn += f'<text class="under" x="60" y="76" text-anchor="middle">{escape(under)}</text>'
    # The table beside it is seen, says the same, and has the links: a picture may not hold any.
    picture = picture_of(drawn, "", "donut", name="120 120", stretched=False)
    rows = ""
    for rank, each in enumerate(slices):
        label = f'<a href="{escape(each.href)}">{escape(each.name)}</a>' if each.href else str(escape(each.name))
        rows += (
            f'<tr><th scope="row"><span class="swatch slice{rank % 8}"></span>{label}</th>'
            f'<td class="num">{escape(each.said)}</td></tr>'
        )
    head = "".join(f'<th scope="col">{escape(each)}</th>' for each in columns)
    return Markup(
        f'<div class="round">{picture}<table class="legend-table">'
        f'<caption class="unseen">{escape(words.title)}</caption>'
        f'<thead class="unseen"><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _arc(start: float, end: float, rank: int, title: str) -> str:
    told = f"<title>{escape(title)}</title>"
    if end - start > 0.9999:
        return f'<circle class="arc slice{rank % 8}" cx="60" cy="60" r="46">{told}</circle>'
    # A gap between neighbours, but for those that are narrower than that.
    gap = min(0.004, (end - start) / 4)
    (x1, y1), (x2, y2) = (
        (60 + 46 * sin(2 * pi * share), 60 - 46 * cos(2 * pi * share)) for share in (start + gap, end - gap)
    )
    large = int(end - start - 2 * gap > 0.5)
    return f'<path class="arc slice{rank % 8}" d="M{x1:.2f} {y1:.2f}A46 46 0 {large} 1 {x2:.2f} {y2:.2f}">{told}</path>'
