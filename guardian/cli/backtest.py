"""`guardian backtest`: what the rules would have mailed over the recorded past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.cli.console import ConfigOption, JsonOption, out, printable, say_json, settings_of

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.measure import Measurement

    from guardian.application.judging.backtest import Backtest
    from guardian.core.language import Language

_BLOCKS = " ▁▂▃▄▅▆▇█"
_NARROW = 6
_CAUSES = 10
"""The cause is printed for at most so many incidents, the newest."""


class _Strip:
    """A strip chart for rich, on one line: with as many cells as there is room for, each the highest of its part."""

    def __init__(self, cells: Sequence[float]) -> None:
        self._cells = cells

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        from rich.measure import Measurement

        return Measurement(min(_NARROW, len(self._cells)), len(self._cells))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[str]:
        width, number = min(len(self._cells), options.max_width), len(self._cells)
        parts = [self._cells[i * number // width : (i + 1) * number // width] for i in range(width)]
        yield "".join(_BLOCKS[round(max(part) * 8)] if any(part) else "·" for part in parts)


def backtest(
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="How many days back from now.")] = 30,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="RULE.KEY=VALUE", help="Also try another value, such as error_rate.threshold=5%."
        ),
    ] = None,
    page: Annotated[Path | None, typer.Option("--html", dir_okay=False, help="Write a page with the charts.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay the alert rules over the recorded history: how many incidents and mails, when, and for how long."""
    settings = settings_of(config)

    from guardian.application.judging.backtest import run_backtests, write_page
    from guardian.core.language import language

    results = run_backtests(settings, days=days, changes=sets or ())
    if page is not None:
        write_page(page, results, language(settings.mail.language if settings.mail else "en"))
    if as_json:
        say_json([_fields(result) for result in results])
        return
    for result in results:
        _print(result)
    if page is not None:
        typer.echo(f"The page is {page}.")


def _fields(result: Backtest) -> dict[str, Any]:
    from guardian.application.judging.causes import cause_values

    return {
        "title": result.title,
        "start": result.start,
        "end": result.end,
        "seconds": round(result.seconds, 2),
        "rules": [asdict(rule) for rule in result.rules],
        "incidents": [
            {
                "rule": i.rule,
                "subject": i.subject,
                "start": start,
                "end": end,
                "peak": i.peak,
                "cause": cause_values(result.why[i.id]) if i.id in result.why else None,
            }
            for i, start, end in result.spans()
        ],
    }


def _print(result: Backtest) -> None:
    from rich.markup import escape
    from rich.table import Table

    from guardian.core.language import language

    lang = language()
    title = f"{result.title} · {result.start:%Y-%m-%d} to {result.end:%Y-%m-%d} · {lang.number(result.events)} requests"
    table = Table(title=escape(title), title_justify="left", box=None, header_style="dim", pad_edge=False)
    longest_name = max((len(rule.rule) for rule in result.rules), default=0)
    table.add_column("rule", overflow="fold", min_width=min(longest_name, 24))
    for name in ("incidents", "messages", "open for", "longest"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("when")
    for rule in result.rules:
        length, longest = (lang.duration(s) if s else "–" for s in (rule.open_seconds, rule.longest))
        table.add_row(escape(rule.rule), str(rule.incidents), str(rule.messages), length, longest, _Strip(rule.strip))
    out(fitted=True).print(table)
    _print_causes(result, lang)
    for rule in result.rules:
        if rule.unseen:
            typer.echo(f"{rule.rule}: {rule.unseen}, so not all of it could be replayed.")
    typer.echo("")


def _print_causes(result: Backtest, lang: Language) -> None:
    """The causes of the newest incidents, as far as they are known, the newest first."""
    from guardian.alerting.cause_words import cause_lines

    told = []
    for incident, start, _ in reversed(result.spans()):
        lines = cause_lines(result.why[incident.id], lang) if incident.id in result.why else []
        about = f" ({incident.subject})" if incident.subject else ""
        told += [f"{start:%Y-%m-%d %H:%M} {incident.rule}{about}: {'; '.join(lines)}"] if lines else []
    if told:
        typer.echo("\nWhy, as far as requests tell (times are UTC):")
    for line in told[:_CAUSES]:
        typer.echo(f"  {printable(line)}")
    if len(told) > _CAUSES:
        typer.echo(f"  and {len(told) - _CAUSES} more: --json has those of the newest incidents.")
