"""`guardian migrate`: everything from one database into another one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardian.cli.console import ConfigOption, JsonOption, err, printable, say_json, settings_of

if TYPE_CHECKING:
    from guardian.application.moving.run import Outcome


def migrate(
    target: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="DATABASE",
            help="An empty one: sqlite:///FILE, firestore://PROJECT or firestore://PROJECT/DATABASE.",
        ),
    ],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DATABASE",
            help="The one that is moved, written as --to.",
            show_default="that of the settings",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be moved.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Move everything into another database, and compare both. Stop the daemon before; killed, it goes on next time."""
    here = _place("--from", source) if source is not None else settings_of(config).database
    outcome = _moved(here, _place("--to", target), dry_run=dry_run)
    if as_json:
        say_json(outcome.as_json())
    else:
        _show(outcome)
    return 1 if outcome.differences else 0


def _place(option: str, text: str) -> Path | str:
    from pydantic import TypeAdapter, ValidationError

    from guardian.settings.values import DatabasePlace

    try:
        place: Path | str = TypeAdapter(DatabasePlace).validate_python(text)
    except ValidationError as error:
        raise ValueError(f"{option} = {text!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    return place


def _moved(source: Path | str, target: Path | str, *, dry_run: bool) -> Outcome:
    import asyncio

    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from guardian.application.moving.run import move

    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, console=err(), transient=True, disable=not err().is_terminal) as shown:
        task = shown.add_task("Opening", total=1.0)

        def progress(what: str, done: float) -> None:
            shown.update(task, completed=done, description=f"Moving: {what}")

        return asyncio.run(move(source, target, progress=progress, dry_run=dry_run))


def _show(outcome: Outcome) -> None:
    say = typer.echo
    source, target = printable(outcome.source), printable(outcome.target)
    rows = sum(outcome.rows.values())
    what = (
        f"{outcome.requests:,} requests, {outcome.summaries:,} summaries of 5 minutes whose requests are gone, and "
        f"{rows:,} rows of everything else"
    )
    if outcome.dry_run:
        say(f"Would move {what}, from {source} to {target}.")
    else:
        say(f"{'Went on, and moved' if outcome.resumed else 'Moved'} {what}, from {source} to {target}.")
    for each in outcome.left:
        say(f"Left behind: {printable(each)}.")
    if outcome.dry_run:
        return
    if outcome.differences:
        say("Both sides are not the same (the first number is that of the source):")
        for each in outcome.differences:
            say(f"  {each}")
        say("Stop the app and the daemon, and run this again: it moves what is missing.")
        return
    say(f"Compared every table, the requests of each 5 minutes, and reports on {outcome.windows} windows: the same.")
    say("Now name the new database in guardian.toml and in the app. Do not start guardian on the old one again:")
    waiting = f"{outcome.waiting:,} waiting messages" if outcome.waiting != 1 else "1 waiting message"
    say(f"it would send what is sent from the new one, {waiting} first." if outcome.waiting else "it would send twice.")
