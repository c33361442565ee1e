"""`guardian import`: the past of the app, out of the access logs of the server in front of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from guardian.cli.console import ConfigOption, JsonOption, err, local, out, printable, say_json, settings_of

if TYPE_CHECKING:
    from guardian.application.importing.outcome import Outcome
    from guardian.application.importing.run import Wanted
    from guardian.settings.schema import Settings

_SHOWN = 40
"""The most templates that are shown; `--json` has all."""


def import_logs(
    files: Annotated[list[str], typer.Argument(metavar="FILE…", help="Logs, also gzipped; patterns; - for stdin.")],
    format: Annotated[
        str | None,
        typer.Option("--format", help="nginx, apache, combined, caddy, traefik or uvicorn.", show_default="found out"),
    ] = None,
    route: Annotated[
        list[str] | None, typer.Option("--route", help="A template, such as /threads/{id}; may be repeated.")
    ] = None,
    timezone: Annotated[
        str | None,
        typer.Option(
            "--timezone", help="The time zone of log lines that name none.", show_default="that of the settings"
        ),
    ] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Do not take names from the logs.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be imported.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import the past from access logs of nginx, Apache, Caddy, Traefik or uvicorn. A second run adds nothing."""
    from guardian.application.importing.logs import found
    from guardian.application.importing.run import Wanted
    from guardian.core.time import micros, utc_now
    from guardian.settings.values import read_zone

    settings = settings_of(config)
    wanted = Wanted(
        files=found(files),
        zone=read_zone(timezone or settings.timezone),
        now_us=micros(utc_now()),
        format=format,
        routes=(*settings.import_routes, *(route or ())),
        people=not anonymous,
    )
    outcome = _imported(wanted, settings, dry_run=dry_run)
    if as_json:
        say_json({"dry_run": dry_run, **outcome.as_json()})
        return
    _show(outcome, settings, dry_run=dry_run)


def _imported(wanted: Wanted, settings: Settings, *, dry_run: bool) -> Outcome:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from guardian.application.importing.run import import_into
    from guardian.stores.opening import backend

    sizes = {name: os.path.getsize(name) for name in wanted.files if os.path.isfile(name)}
    read = dict.fromkeys(wanted.files, 0)
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    with Progress(*columns, console=err(), transient=True, disable=not err().is_terminal) as shown:
        whole = sum(sizes.values()) if len(sizes) == len(wanted.files) else None
        task = shown.add_task("Importing", total=whole)

        def progress(name: str, done: int) -> None:
            read[name] = done
            shown.update(task, completed=sum(read.values()), description=f"Importing {printable(name)}")

        def sealing() -> None:
            shown.update(task, description="Adding up", total=None)

        return import_into(backend(settings.database), wanted, progress, sealing, dry_run=dry_run)


def _show(outcome: Outcome, settings: Settings, *, dry_run: bool) -> None:
    say = typer.echo
    done = "Would import" if dry_run else "Imported"
    zone = settings.timezone
    span = f", from {local(outcome.first, zone)} to {local(outcome.last, zone)}" if outcome.imported else ""
    say(f"{done} {outcome.imported:,} requests of {outcome.lines:,} lines{span}.")
    if outcome.imported:
        known = outcome.imported - outcome.anonymous
        say(f"People: {len(outcome.people):,}, with {known:,} requests; {outcome.anonymous:,} are anonymous.")
        if outcome.timed < outcome.imported:
            untimed = outcome.imported - outcome.timed
            say(f"How long {untimed:,} of them took is not in the logs: they count in no latency.")
    for count, why in (
        (outcome.known, "were imported before"),
        (outcome.skipped, "are health checks, documentation or files, which the tracker skips too"),
        (outcome.recorded, "are of the time since the app records itself"),
        (outcome.old, "are older than what retention keeps"),
    ):
        if count:
            say(f"Left out: {count:,} {why}.")
    _show_places(outcome)
    if outcome.bad:
        say(f"Could not read {outcome.bad:,} lines:")
        for why, count in outcome.reasons.most_common():
            say(f"  {count:,}: {why}")
        _show_lines(outcome.where, outcome.bad)
    if outcome.imported and not dry_run:
        say("See it: guardian report --hours 720")


def _show_places(outcome: Outcome) -> None:
    from rich.table import Table

    from guardian.application.importing.turning import MOST_PATHS

    if not outcome.places:
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title, side in (("method", "left"), ("became", "left"), ("requests", "right"), ("different paths", "right")):
        table.add_column(title, justify="right" if side == "right" else "left")
    for (route, method), count in outcome.places.most_common(_SHOWN):
        paths = len(outcome.paths.get(route, ()))
        shown = f"{MOST_PATHS:,}+" if paths >= MOST_PATHS else f"{paths:,}" if paths else "–"
        table.add_row(method, printable(route).replace("[", "\\["), f"{count:,}", shown)
    out().print(table)
    if len(outcome.places) > _SHOWN:
        typer.echo(f"… and {len(outcome.places) - _SHOWN:,} more: --json has all.")
    if any("{value}" in route for route, _ in outcome.places):
        typer.echo("Where {value} stands for a word of your app's, or a word for a value, name templates with --route.")


def _show_lines(where: Sequence[tuple[str, int, str]], bad: int) -> None:
    for file, number, why in where:
        typer.echo(f"  {printable(file)}, line {number:,}: {why}")
    if bad > len(where):
        typer.echo(f"  … and {bad - len(where):,} more")
