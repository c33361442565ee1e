"""`guardian keys`: the secrets that Guardian made for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from guardian.cli.console import ConfigOption, with_application

if TYPE_CHECKING:
    from guardian.application.root import Application

keys = typer.Typer(name="keys", help="The secrets that Guardian made for itself.")


@keys.callback()
def _keys() -> None:
    """Without a callback, typer would make a command of the only one."""


@keys.command("rotate")
def rotate(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    config: ConfigOption = None,
) -> None:
    """Renew the keys of the links in mails and of pseudonyms: links of mails sent until now stop working, and everybody
    counts as a new person."""
    if not yes:
        typer.confirm(
            "Renew the keys? The buttons and links of all mails sent until now stop working. Where the app records "
            "pseudonyms, those stored until now lead to nobody any more, not even for 'guardian users'.",
            abort=True,
        )
    if with_application(config, _renewed):
        typer.echo(
            "Renewed the key of pseudonyms: everybody counts as a new person, and those stored until now can no longer "
            "be exported or erased by address. Restart the app: until then it goes on with the old key."
        )
    typer.echo("Renewed the key of links. Mails that are written from now on have links that work.")


async def _renewed(app: Application) -> bool:
    """Renew the keys; whether there was one of pseudonyms."""
    import asyncio

    from guardian.stores.opening import backend

    await app.stores.alerts.renew_link_key()
    try:
        return await asyncio.to_thread(backend(app.settings.database).renew_pseudonym_key)
    except OSError as error:
        raise ValueError(
            f"the key of pseudonyms cannot be renewed ({error.strerror}): check who may write beside the database"
        ) from None
