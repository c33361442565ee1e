"""`guardian outbox`: what waits, what went, what could not be delivered."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.cli.console import ConfigOption, JsonOption, local, out, printable, say_json, with_application

if TYPE_CHECKING:
    from guardian.application.root import Application
    from guardian.core.outgoing import OutboxItem

outbox = typer.Typer(name="outbox", help="Mails that wait, were sent, or could not be delivered.")
ItemArgument = Annotated[int, typer.Argument(metavar="ID", help="The number that 'guardian outbox list' shows.")]
_COLOURS = {"pending": "yellow", "sent": "green", "dead": "red", "dropped": "dim"}


class Status(StrEnum):
    """What can have become of a mail."""

    pending = "pending"
    sent = "sent"
    dead = "dead"
    dropped = "dropped"


@outbox.command("list")
def list_(
    status: Annotated[Status | None, typer.Option("--status", help="Only mails of this status.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most this many, the newest.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest mails, with what became of them."""

    async def read(app: Application) -> tuple[list[OutboxItem], str]:
        return await app.state.outbox(status=status, limit=limit), app.settings.timezone

    items, zone = with_application(config, read)
    if as_json:
        say_json([_fields(item) for item in items])
        return
    from rich.markup import escape
    from rich.table import Table

    if not items:
        typer.echo("No mails." if status is None else f"No mails are {status.value}.")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("ID", "status", "kind", "to", "tries", "next or sent", "why"):
        table.add_column(name, justify="right" if name in ("ID", "tries") else "left", overflow="fold")
    for item in items:
        when = local(item.sent_at or (item.next_attempt_at if item.status == "pending" else None), zone)
        status_cell = f"[{_COLOURS[item.status]}]{item.status}[/]"
        to, why = (escape(printable(text)) for text in (item.message.recipient, item.last_error or ""))
        table.add_row(str(item.id), status_cell, item.message.kind, to, str(item.attempts), when, why)
    out().print(table)


@outbox.command("show")
def show(item: ItemArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show one mail: its headers, its text, and what became of it."""
    found = with_application(config, lambda app: app.state.outbox_item(item))
    if found is None:
        raise ValueError(_unknown(item))
    from email import message_from_bytes, policy

    message = message_from_bytes(found.message.body, policy=policy.default)
    part = message.get_body(("plain", "html")) if found.message.channel == "mail" else None
    text = part.get_content() if part else found.message.body.decode("utf-8", "replace")
    if as_json:
        say_json({**_fields(found), "headers": dict(message.items()), "text": text})
        return
    for name, value in _fields(found).items():
        if value is not None:
            typer.echo(printable(f"{name}: {value}"))
    headers = "".join(f"\n{name}: {value}" for name, value in message.items() if part)
    typer.echo(printable(f"{headers}\n\n{text}".replace("\r\n", "\n")))


@outbox.command("retry")
def retry(item: ItemArgument, config: ConfigOption = None) -> None:
    """Make a mail due now, even one that is dead or dropped. The daemon sends it."""
    if not with_application(config, lambda app: app.state.retry(item, app.clock())):
        raise ValueError(f"mail {item} cannot be tried again: it was sent, or does not exist")
    typer.echo(f"Mail {item} is due now.")


@outbox.command("drop")
def drop(item: ItemArgument, config: ConfigOption = None) -> None:
    """Never send a mail that waits."""
    if not with_application(config, lambda app: app.state.drop(item, app.clock())):
        raise ValueError(f"mail {item} cannot be dropped: it was already sent or dropped, or does not exist")
    typer.echo(f"Mail {item} will not be sent.")


def _unknown(item: int) -> str:
    return f"there is no mail {item}: 'guardian outbox list' shows those there are"


def _fields(item: OutboxItem) -> dict[str, Any]:
    return {
        "id": item.id,
        "status": item.status,
        "kind": item.message.kind,
        "channel": item.message.channel,
        "recipient": item.message.recipient,
        "subject": item.message.subject,
        "attempts": item.attempts,
        "created_at": item.created_at.isoformat(),
        "next_attempt_at": item.next_attempt_at.isoformat() if item.status == "pending" else None,
        "sent_at": item.sent_at.isoformat() if item.sent_at else None,
        "transport": item.transport,
        "last_error": item.last_error,
    }
