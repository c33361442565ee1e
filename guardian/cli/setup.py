"""`guardian init`, `guardian check` and `guardian send-test`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from guardian.cli.console import ConfigOption, JsonOption, out, printable, say_json, settings_of
from guardian.core.grade import grade

if TYPE_CHECKING:
    from rich.table import Table

    from guardian.application.check.app_tracking import RouteLine
    from guardian.core.finding import Finding
    from guardian.settings.schema import Settings


def init(
    config: ConfigOption = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Write a settings file with every key explained. Five lines are to be filled in."""
    from guardian.settings.loading import DEFAULT_PATH, write_example

    path = config or DEFAULT_PATH
    write_example(path, force=force)
    typer.echo(f"Wrote {path}, which only you can read. Fill in admins, sender and smtp, then run: guardian check")


def check(
    config: ConfigOption = None,
    send_test: Annotated[bool, typer.Option("--send-test", help="Also send a test mail to each admin.")] = False,
    app: Annotated[
        str | None,
        typer.Option(
            "--app", metavar="MODULE:APP", help="Also import this app, and say which feature each route will become."
        ),
    ] = None,
    factory: Annotated[bool, typer.Option("--factory", help="--app names a function that returns the app.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Say what is wrong with the settings and around them, all at once. Exits 1 when there is an error."""
    if factory and app is None:
        raise ValueError("--factory goes with --app: write guardian check --app module:create_app --factory")

    import asyncio

    from guardian.application.check.checkup import check_up

    findings = asyncio.run(check_up(config, send_test=send_test))
    if app is None:
        return _show(findings, as_json)

    from guardian.application.check.app import look_at_app

    # Not inside the event loop: a module may run one of its own when it is imported.
    more, routes = look_at_app(app, _settings_or_none(config), factory=factory)
    return _show([*findings, *more], as_json, routes)


def _settings_or_none(config: Path | None) -> Settings | None:
    """The settings; None where something is wrong with them, which is among the findings then."""
    from guardian.settings.loading import SettingsError

    try:
        return settings_of(config)
    except SettingsError:
        return None


def send_test(
    recipients: Annotated[list[str] | None, typer.Argument(help="Addresses; default: the admins.")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> int:
    """Send a test mail now, and say what the mail server answered."""
    settings = settings_of(config)

    import asyncio

    from guardian.application.check.checkup import send_tests

    return _show(asyncio.run(send_tests(settings, recipients or settings.admins)), as_json)


def _show(findings: Sequence[Finding], as_json: bool, routes: Sequence[RouteLine] | None = None) -> int:
    from rich.markup import escape
    from rich.table import Table

    errors = sum(each.level == "error" for each in findings)
    warnings = sum(each.level == "warning" for each in findings)
    if as_json:
        told = {} if routes is None else {"routes": [asdict(each) for each in routes]}
        say_json({"ok": not errors, "findings": [asdict(each) for each in findings], **told})
        return int(errors > 0)
    table = Table.grid(padding=(0, 1))
    table.add_column()
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for each in findings:
        look = grade(each.level).look
        table.add_row(f"[{look.colour}]{look.sign}[/]", each.subject, escape(each.text))
    console = out()
    console.print(table)
    if routes:
        console.print()
        console.print(_routes(routes))
    verdict = f"{errors} to fix" if errors else "Nothing to fix"
    console.print(f"\n{verdict}" + (f", {warnings} to know" if warnings else "") + ".")
    return int(errors > 0)


def _routes(routes: Sequence[RouteLine]) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("method", "route", "feature"):
        table.add_column(name, overflow="fold")
    for each in routes:
        feature = escape(printable(each.feature)) + (f" [dim](not recorded: {each.skipped})[/]" if each.skipped else "")
        table.add_row(" ".join(each.methods) or "any", escape(printable(each.route)), feature)
    return table
