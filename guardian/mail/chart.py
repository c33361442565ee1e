"""A chart of active users through the period: as a picture, as alternative text, and as a line of block characters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from io import BytesIO
from itertools import count
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from guardian.core.language import Language
from guardian.core.summary import TimelineBar

if TYPE_CHECKING:
    from PIL import Image

WIDTH, HEIGHT = 536, 150
"""The size of the picture in CSS pixels; it has twice the resolution for sharp screens."""
FONT = 14
"""The font size: phones show it at little more than half."""
CID = "active-users@guardian"
BLOCKS = "▁▂▃▄▅▆▇█"
BAD_SHARE = 0.10
"""A bar is red where more than this share of its requests failed."""
_GROUND, _INK, _LINE, _GOOD, _BAD = "#ffffff", "#566070", "#e1e5eb", "#3a66d6", "#cf352b"
_LEFT, _RIGHT, _TOP, _BOTTOM, _SCALE = 36, 8, 12, 28, 2


@dataclass(frozen=True, slots=True)
class Chart:
    """`users` per bar and whether the bar is `bad`; `labels` are (index of a bar, words under it).

    `peak` says in a sentence when most were there, `red` what red means, where any bar is; `line` shows the chart with
    block characters, between `start` and `end`.
    """

    users: tuple[int, ...]
    bad: tuple[bool, ...]
    labels: tuple[tuple[int, str], ...]
    peak: str
    red: str
    line: str
    start: str
    end: str


def chart_of(bars: Sequence[TimelineBar], end: datetime, lang: Language, zone: ZoneInfo) -> Chart | None:
    """The chart of a timeline that ends at `end`; None where there is nothing to draw: no user, or fewer than three
    bars."""
    users = tuple(bar.active_users for bar in bars)
    if len(bars) < 3 or not any(users):
        return None
    starts = [bar.start for bar in bars]
    by_day = end - starts[0] > timedelta(hours=36)
    most = max(users)
    at = starts[users.index(most)]
    bad = tuple(bar.errors > BAD_SHARE * bar.requests for bar in bars)
    say = lang.moment if by_day else lang.clock
    peak = lang("Active users through the period: at most %(n)s, around %(at)s.", n=lang.number(most), at=say(at, zone))
    return Chart(
        users=users,
        bad=bad,
        labels=_labels(starts, lang, zone, by_day),
        peak=peak,
        red=lang("Red: more than one request in ten failed.") if any(bad) else "",
        line="".join(BLOCKS[max(0, -(-number * 8 // most) - 1)] if number else " " for number in users),
        start=say(starts[0], zone),
        end=say(end, zone),
    )


def _labels(starts: Sequence[datetime], lang: Language, zone: ZoneInfo, by_day: bool) -> tuple[tuple[int, str], ...]:
    """At most six, under bars that begin a day or an hour."""
    local = [start.astimezone(zone) for start in starts]
    whole = [i for i, at in enumerate(local) if at.minute == 0 and (not by_day or at.hour == 0)] or [0]
    step = -(-len(whole) // 6)
    return tuple((i, lang.short_day(starts[i], zone) if by_day else lang.clock(starts[i], zone)) for i in whole[::step])


def draw(chart: Chart) -> bytes:
    """The chart as an opaque PNG of 1072 × 300 pixels: mail programs in the dark don't invert a picture."""
    from PIL import Image, ImageDraw, ImageFont  # 4 MB that only a process needs that draws

    width, height = WIDTH * _SCALE, HEIGHT * _SCALE
    image = Image.new("RGB", (width, height), _GROUND)
    pen = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT * _SCALE)
    right, top, bottom = width - _RIGHT * _SCALE, _TOP * _SCALE, height - _BOTTOM * _SCALE
    ceiling = nice_ceiling(max(chart.users))
    left = max(_LEFT * _SCALE, math.ceil(pen.textlength(str(ceiling), font=font)) + 12 * _SCALE)
    for share in (0, 0.5, 1):
        value, y = ceiling * share, bottom - round((bottom - top) * share)
        pen.line((left, y, right, y), fill=_LINE, width=_SCALE)
        if value == int(value):
            pen.text((left - 8 * _SCALE, y), f"{value:.0f}", fill=_INK, font=font, anchor="rm")
    slot = (right - left) / len(chart.users)
    gap = min(slot * 0.25, 4 * _SCALE)
    for i, (number, bad) in enumerate(zip(chart.users, chart.bad, strict=True)):
        if number:
            x, y = left + i * slot, bottom - max(_SCALE, round((bottom - top) * number / ceiling))
            pen.rectangle(
                (round(x + gap / 2), y, round(x + slot - gap / 2) - 1, bottom - 1), fill=_BAD if bad else _GOOD
            )
    free = float(left)
    for i, text in chart.labels:
        x, wide = left + i * slot, pen.textlength(text, font=font)
        if x >= free and x + wide <= right:
            pen.text((x, bottom + 6 * _SCALE), text, fill=_INK, font=font, anchor="la")
            free = x + wide + 12 * _SCALE
    found = BytesIO()
    image.quantize(palette=_palette(), dither=Image.Dither.NONE).save(found, "PNG")
    return found.getvalue()


@cache
def _palette() -> Image.Image:
    """The 15 colours of a chart, so that two pixels fit into a byte: the four of its areas, and from ink to ground, as
    the edges of letters have them; none is so near to that of a line that it is taken for it. To find the best ones for
    each picture takes ten times as long as to draw it."""
    from PIL import Image, ImageColor

    ink, ground = (ImageColor.getrgb(each) for each in (_INK, _GROUND))
    edges = [round(dark + (light - dark) * n / 11) for n in range(11) for dark, light in zip(ink, ground, strict=True)]
    found = Image.new("P", (1, 1))
    found.putpalette([value for each in (_GROUND, _LINE, _GOOD, _BAD) for value in ImageColor.getrgb(each)] + edges)
    return found


def nice_ceiling(most: int) -> int:
    """The lowest of 2, 4, 6, 8, 10, 20, 40, 60, … that is not below `most`: its half is a whole number."""
    powers = (int(10**power) for power in count())
    return next(m * power for power in powers for m in (2, 4, 6, 8, 10) if m * power >= most)
