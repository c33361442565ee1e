"""A report for people, in a terminal. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from guardian.cli.console import printable
from guardian.core.grade import STATUSES, grade
from guardian.core.language import language
from guardian.core.report.model import Report
from guardian.mail.report import moved, releases, turnover
from guardian.mail.report.wording import code_of, error_phrase

_COMPARED = {
    "weekday": "compared with the same weekday a week before",
    "nothing": "nothing to compare with: no period before this one was recorded in full",
}
_BAR = 24
_USERS = 10
_EIGHTHS = " ▏▎▍▌▋▊▉"


def report_view(report: Report, zone: str) -> RenderableType:
    """What `rich` prints: status, key figures with their change, what moved and why, releases, who came and went,
    users, features, errors; times in `zone`."""
    parts: list[RenderableType] = [_title(report, zone), Text()]
    parts.append(_figures(report))
    if report.comparison and (said := _COMPARED.get(report.comparison.kind)):
        parts.append(Text(said, style="dim"))
    parts += _notes(report)
    parts += [*_moved(report, zone), *_releases(report, zone), *_turnover(report, zone)]
    if report.total_requests:
        parts += [*_users(report, zone), *_features(report), *_errors(report)]
    return Padding(Group(*parts), (1, 2), expand=False)


def _title(report: Report, zone: str) -> RenderableType:
    start, end = _local(report.period_start, zone), _local(report.period_end, zone)
    until = end[11:] if start[:10] == end[:10] else end
    status = report.status or "OK"  # an older report's may be any word
    colour = grade(status).look.colour if status in STATUSES else "white"
    line = Text.assemble((f" {status} ", f"bold reverse {colour}"), f"  {start} – {until} {zone}")
    return Group(line, Text(printable(report.status_reason))) if report.status_reason else line


def _notes(report: Report) -> list[RenderableType]:
    """What the tracker could not make out, each with its cure."""
    told = []
    for note in report.notes:
        words = note.cure if note.text == report.status_reason else f"{note.text} {note.cure}"
        told.append(Text(printable(f"! {words}"), style="yellow"))
    return [Text(), *told] if told else []


def _figures(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 4, 0, 0), header_style="dim")
    before = report.baseline
    users, requests, errors = report.active_users, report.total_requests, report.total_errors
    columns = [
        ("active users", f"{users:,}", _change(users, before.active_users if before else None)),
        ("requests", f"{requests:,}", _change(requests, before.total_requests if before else None)),
        ("errors", f"{errors:,}", _change(errors, before.total_errors if before else None)),
        ("failed", _share(errors, requests), ""),
    ]
    if report.latency_ms.p95 is not None:
        old = before.p95_ms if before else None
        change = _change(round(report.latency_ms.p95), None if old is None else round(old))
        columns.append(("95 % within", f"{report.latency_ms.p95:,.0f} ms", change))
    for name, _, _ in columns:
        table.add_column(name)
    table.add_row(*(f"[bold]{value}[/]" for _, value, _ in columns))
    table.add_row(*(f"[dim]{change}[/]" for _, _, change in columns))
    return table


def _change(now: int, before: int | None) -> str:
    """+12 % against the period before; "" where that is not known."""
    if before is None:
        return ""
    if now == before:
        return "as before"
    if before == 0:
        return "0 before"
    return f"{(now - before) / before:+.0%}".replace("%", " %").replace("-", "−")


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if whole else "–"


def _moved(report: Report, zone: str) -> list[RenderableType]:
    """What moved, each with its cause."""
    said = moved.words(report, language(), ZoneInfo(zone))
    return _sentences("What moved", said["moved_from"], said["moved"])


def _releases(report: Report, zone: str) -> list[RenderableType]:
    said = releases.words(report, language(), ZoneInfo(zone))
    return _sentences("Releases", said["releases_from"], said["releases"])


def _turnover(report: Report, zone: str) -> list[RenderableType]:
    """Who came and went, with the table of who came back once there is one."""
    said = turnover.words(report, language(), ZoneInfo(zone))
    lines = [" ".join(filter(None, (line.text, ", ".join(name for name, _ in line.people), line.more)))
             for line in said["turnover"]]  # fmt: skip
    parts = _sentences(said["turnover_title"], "", lines)
    if cohorts := said["cohorts"]:
        first, *numbers = cohorts["head"]
        table = _table(first, *(f"{name}>" for name in numbers))
        for row in cohorts["rows"]:
            table.add_row(*map(printable, row))
        parts += [Text("How many of the new people came in each period after that", style="dim"), table]
    return parts


def _sentences(title: str, compared: str, lines: Sequence[str]) -> list[RenderableType]:
    """A section of sentences; nothing of none."""
    if not lines:
        return []
    parts: list[RenderableType] = [Text(), Text(title, style="bold")]
    if compared:
        parts.append(Text(printable(compared), style="dim"))
    return [*parts, *(Text(printable(line)) for line in lines)]


def _users(report: Report, zone: str) -> list[RenderableType]:
    users = report.users
    if not users:
        return []
    table = _table("user", "requests>", "errors>", "minutes>", "newest error", "features")
    for user in users[:_USERS]:
        newest = user.errors[-1] if user.errors else None
        told = f"{_local(newest.timestamp, zone)[11:]} {code_of(newest, language())} {newest.error}" if newest else ""
        table.add_row(
            _cut(user.email),
            f"{user.requests_count:,}",
            Text(f"{user.errors_count:,}", style="red" if user.errors_count else "dim"),
            f"{user.total_time_minutes:,}",
            _cut(told),
            _cut(", ".join(user.features_used), style="dim"),
        )
    more = len(users) - _USERS
    return [*_headed("Users", table), *([Text(f"and {more:,} more: see --json", style="dim")] if more > 0 else [])]


def _features(report: Report) -> list[RenderableType]:
    features = report.top_features
    if not features:
        return []
    table = _table("", "", ">")
    most = max(feature.count for feature in features)
    for feature in features:
        bar = Text(_bar(feature.count / most), style="cyan", no_wrap=True)
        table.add_row(_cut(feature.name), bar, f"{feature.count:,}")
    table.show_header = False
    return _headed("Features", table)


def _errors(report: Report) -> list[RenderableType]:
    breakdown = report.error_breakdown
    if not breakdown:
        return []
    table = _table("", ">")
    for code, count in sorted(breakdown.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(_cut(f"{code} {error_phrase(code, language())}"), f"{count:,}")
    table.show_header = False
    return _headed("Errors", table)


def _table(*columns: str) -> Table:
    """A quiet table; a name that ends with > is of numbers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        number = name.endswith(">")
        table.add_column(name.rstrip(">"), justify="right" if number else "left", no_wrap=number)
    return table


def _cut(text: str, style: str = "") -> Text:
    """One line of text, cut where the terminal is too narrow; its column gives way before those of numbers."""
    return Text(printable(text).replace("\n", " "), style=style, no_wrap=True, overflow="ellipsis")


def _headed(title: str, table: Table) -> list[RenderableType]:
    return [Text(), Text(title, style="bold"), table]


def _bar(share: float) -> str:
    eighths = max(1, round(share * _BAR * 8))
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def _local(at: datetime, zone: str) -> str:
    return f"{at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}"
