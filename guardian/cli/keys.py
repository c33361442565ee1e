"""`guardian keys`: the secrets that Guardian made for itself."""

from __future__ import annotations

from typing import Annotated

import typer

from guardian.cli.console import ConfigOption, with_application

keys = typer.Typer(name="keys", help="The secrets that Guardian made for itself.")


@keys.callback()
def _keys() -> None:
    """Without a callback, typer would make a command of the only one."""


@keys.command("rotate")
def rotate(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Renew the key of the links in mails: those of mails sent until now stop working."""
    if not yes:
        typer.confirm("Renew the key? The buttons and links of all mails sent until now stop working.", abort=True)
    with_application(config, lambda app: app.stores.alerts.renew_link_key())
    typer.echo("Renewed the key of links. Mails that are written from now on have links that work.")
