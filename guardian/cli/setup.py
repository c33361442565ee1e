"""`guardian init`, `guardian check` and `guardian send-test`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from guardian.cli.console import ConfigOption, JsonOption, out, say_json, settings_of

if TYPE_CHECKING:
    from guardian.checkup import Finding

_MARKS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "error": "[red]✗[/]"}


def init(
    config: ConfigOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
) -> None:
    """Write a settings file with every key explained. Five lines are to be filled in."""
    from guardian.settings_file import DEFAULT_PATH, write_example

    path = config or DEFAULT_PATH
    write_example(path, force=force)
    typer.echo(f"Wrote {path}, which only you can read. Fill in admins, sender and smtp, then run: guardian check")


def check(
    config: ConfigOption = None,
    send_test: Annotated[bool, typer.Option("--send-test", help="Send a test mail to each admin, too.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Say what is wrong with the settings and around them, all at once. Exits 1 when there is an error."""
    import asyncio

    from guardian.checkup import check_up

    return _show(asyncio.run(check_up(config, send_test=send_test)), as_json)


def send_test(
    recipients: Annotated[list[str] | None, typer.Argument(help="Addresses; default: the admins.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Send a test mail now, and say what the mail server answered."""
    settings = settings_of(config)

    import asyncio

    from guardian.checkup import send_tests

    return _show(asyncio.run(send_tests(settings, recipients or settings.admins)), as_json)


def _show(findings: Sequence[Finding], as_json: bool) -> int:
    from rich.markup import escape
    from rich.table import Table

    errors = sum(each.level == "error" for each in findings)
    warnings = sum(each.level == "warning" for each in findings)
    if as_json:
        say_json({"ok": not errors, "findings": [asdict(each) for each in findings]})
        return int(errors > 0)
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for each in findings:
        table.add_row(_MARKS[each.level], each.subject, escape(each.text))
    console = out()
    console.print(table)
    verdict = f"{errors} to fix" if errors else "Nothing to fix"
    console.print(f"\n{verdict}" + (f", {warnings} to know" if warnings else "") + ".")
    return int(errors > 0)
