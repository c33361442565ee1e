"""`guardian cleanup`, `guardian backup`, `guardian export` and `guardian users`: what is stored, and for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from guardian.cli.console import ConfigOption, JsonOption, err, existing_database, say_json, with_application

if TYPE_CHECKING:
    from guardian.application.root import Application

users = typer.Typer(name="users", help="What is stored about one person.")
EmailArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="The user's address.")]


def cleanup(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would go.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Delete now what is older than the retention settings allow. The daemon does so every day."""
    from rich.progress import Progress

    from guardian.application.upkeep import clean_up

    with Progress(console=err(), transient=True, disable=not err().is_terminal) as shown:
        task = shown.add_task("Cleaning up", total=1.0)
        gone = with_application(
            config,
            lambda app: clean_up(
                app,
                app.clock(),
                dry_run=dry_run,
                say=lambda what: shown.update(task, description=f"Cleaning up: {what}"),
                progress=lambda done: shown.update(task, completed=done),
            ),
        )
    if as_json:
        shown_as = asdict(gone)
        kept = shown_as.pop("kept")
        say_json(shown_as | kept)
        return
    done = "Would delete" if dry_run else "Deleted"
    typer.echo(f"{done} {gone.events:,} events, and {gone.rows:,} mails and reports.")
    if gone.errors:
        typer.echo(f"{done} the texts and places of {gone.errors:,} errors before {gone.kept.errors_before:%Y-%m-%d}.")
    if gone.sessions:
        typer.echo(f"{done} {gone.sessions:,} sessions before {gone.kept.sessions_before:%Y-%m-%d}.")


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy to make; it must not exist yet.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the database, while app and daemon run, and check the copy. Only you can read it."""
    from rich.progress import Progress

    from guardian.stores.opening import backend

    database = existing_database(config)
    with Progress(console=err(), transient=True, disable=not err().is_terminal) as shown:
        task = shown.add_task("Copying", total=1.0)
        size = backend(database).copy_checked(file, progress=lambda done: shown.update(task, completed=done))
    if as_json:
        say_json({"file": str(file.absolute()), "bytes": size})
        return
    typer.echo(f"Wrote {file}, {size / 1e6:,.1f} MB, and checked it. To restore it, see docs/operations.md.")


class Published(StrEnum):
    """The published tables."""

    user_sessions = "user_sessions"
    feature_usage = "feature_usage"
    user_errors = "user_errors"


def export(
    table: Annotated[Published, typer.Option("--table", help="Which table to write out.")],
    hours: Annotated[
        int | None, typer.Option("--hours", min=1, help="How many hours back from now.", show_default="everything")
    ] = None,
    file: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write to this file.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write out a published table, as CSV or as JSON: the same columns whatever the database is."""
    from datetime import timedelta

    from guardian.application.exporting import export_table
    from guardian.core.time import moment

    async def pieces(app: Application) -> AsyncIterator[str]:
        end = app.clock()
        start = moment(0) if hours is None else max(moment(0), end - min(timedelta(hours=hours), end - moment(0)))
        # Without a limit, what a clock that was ahead has noted is there as well.
        until = end if hours is not None else moment(2**52)
        return export_table(app, table.value, start, until, "json" if as_json else "csv")

    _write_out(config, file, pieces)


@users.command("export")
def export_person(
    email: EmailArgument,
    html: Annotated[bool, typer.Option("--html", help="Write a page to read, not JSON.")] = False,
    file: Annotated[Path | None, typer.Option("--out", dir_okay=False, help="Write to this file.")] = None,
    config: ConfigOption = None,
) -> None:
    """Print everything that is stored about one person, as JSON or as a page that they can be handed."""
    from guardian.application import exporting

    async def pieces(app: Application) -> AsyncIterator[str]:
        found = await exporting.export_person(app, email, "html" if html else "json")
        if found is None:
            raise ValueError(f"nothing is stored about {email}")
        return found

    _write_out(config, file, pieces)


def _write_out(
    config: Path | None, file: Path | None, pieces: Callable[[Application], Awaitable[AsyncIterator[str]]]
) -> None:
    """Write the application's pieces of text into the file, readable by its owner only; without a file, to the
    terminal."""
    import sys

    from guardian.core.files import private

    async def write(app: Application, to: TextIO) -> None:
        async for piece in await pieces(app):
            to.write(piece)

    if file is None:
        with_application(config, lambda app: write(app, sys.stdout))
        return
    with private(file) as new:
        with_application(config, lambda app: write(app, new))
    typer.echo(f"Wrote {file}.")


@users.command("erase")
def erase(
    email: EmailArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Erase one person from the database, the saved reports and the mails kept. Totals stay true."""
    if not yes:
        typer.confirm(f"Erase {email} for good?", abort=True)

    from guardian.application.erasing import REMAINS, erase_person

    receipt = with_application(config, lambda app: erase_person(app, email))
    if receipt is None:
        raise ValueError(f"nothing is stored about {email}")
    if as_json:
        say_json(receipt.as_json())
        return
    typer.echo(f"Erased {email}, and what named them in {receipt.rows:,} mails and reports. Totals are as before.")
    for where, count in receipt.removed():
        typer.echo(f"Removed: {where}: {count:,}.")
    if not receipt.everywhere:
        typer.echo(
            "Not yet everywhere: a program reads the database and holds copies of what it has begun to read. "
            "'guardian run' removes them within a minute of its end, and so does this command when it is repeated."
        )
    for each in REMAINS:
        typer.echo(f"Remains: {each}.")
