"""`guardian gmail login`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardian.cli.console import ConfigOption, settings_of

gmail = typer.Typer(name="gmail", help="Sending through Gmail.")


@gmail.callback()
def _group() -> None:
    """Sending through Gmail."""


@gmail.command("login")
def login(
    client_secrets: Annotated[
        Path, typer.Option("--client-secrets", help="The OAuth client, as downloaded from the Cloud console.")
    ] = Path("client_secret.json"),
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Where the token goes; default: where the settings say.")
    ] = None,
    smtp: Annotated[bool, typer.Option("--smtp", help="For XOAUTH2 at smtp.gmail.com, not for the API.")] = False,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address to open.")] = False,
    config: ConfigOption = None,
) -> None:
    """Log in to Google in a browser, and write the token file that Guardian sends with."""
    from guardian.mail.transports.google import MISSING_LIBRARIES, SEND_SCOPE, SMTP_SCOPE

    path = token_file or _configured(config, smtp) or Path("gmail-smtp-token.json" if smtp else "gmail-token.json")
    try:
        from guardian.mail.transports.google_consent import ask
    except ImportError:
        raise ValueError(MISSING_LIBRARIES) from None

    from guardian.core.time import utc_now

    expiry = ask(client_secrets, path, scope=SMTP_SCOPE if smtp else SEND_SCOPE, browser=not no_browser, now=utc_now())
    typer.echo(f"Wrote {path}, which only you can read. The settings need these lines:")
    table = '[mail.smtp]\nhost = "smtp.gmail.com"\nauth = "xoauth2"\nusername = "you@example.com"'
    typer.echo(f'\n{table if smtp else "[mail.gmail]"}\ntoken_file = "{path.absolute()}"\n')
    if expiry is not None:
        typer.echo(
            f"This login expires {expiry:%Y-%m-%d %H:%M} UTC, like those of all apps in testing: see docs/gmail.md."
        )
    typer.echo("Then run: guardian check")


def _configured(config: Path | None, smtp: bool) -> Path | None:
    """The token file that the settings name; None without settings, or where they name none. Raises SettingsError."""
    from guardian.settings.loading import DEFAULT_PATH

    if config is None and not DEFAULT_PATH.exists():
        return None
    mail = settings_of(config).mail
    table = mail.smtp if smtp else mail.gmail
    return table.token_file if table is not None else None
