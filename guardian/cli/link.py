"""`guardian link`: a way into the dashboard for a machine that sends no mail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from guardian.cli.console import ConfigOption, with_application

if TYPE_CHECKING:
    from guardian.application.root import Application


def link(
    address: Annotated[
        str | None, typer.Argument(show_default="the first of admins", help="The person it signs in.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Print a link that signs in to the dashboard, once, within 15 minutes, in whatever browser opens it."""

    async def printed(app: Application) -> str:
        from guardian.application.signing_in import print_link

        return await print_link(app, address)

    typer.echo(with_application(config, printed))
