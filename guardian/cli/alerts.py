"""`guardian alerts`: what fires, what fired, and what is done about it."""

from __future__ import annotations

import getpass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from guardian.cli.console import ConfigOption, JsonOption, local, out, printable, say_json, with_application

if TYPE_CHECKING:
    from guardian.alerting.actions import Action
    from guardian.application.root import Application

alerts = typer.Typer(name="alerts", help="Incidents: what fires, what fired, and what is done about it.")
IncidentArgument = Annotated[str, typer.Argument(metavar="ID", help="The id that 'guardian alerts list' shows.")]
_COLOURS = {"open": "red", "acknowledged": "yellow", "resolved": "green"}


class Until(StrEnum):
    """How long a silence lasts."""

    one_hour = "1h"
    eight_hours = "8h"
    morning = "morning"


@alerts.command("list")
def list_(
    open_only: Annotated[bool, typer.Option("--open", help="Only those that are still open.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most this many, the newest.")] = 50,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the newest incidents."""

    async def read(app: Application) -> tuple[list[dict[str, Any]], str]:
        from guardian.application.judging.incident_actions import incident_values

        found = await app.stores.alerts.incidents(open_only=open_only, limit=limit)
        return [incident_values(app, incident) for incident in found], app.settings.timezone

    rows, zone = with_application(config, read)
    if as_json:
        say_json(rows)
        return
    from rich.markup import escape
    from rich.table import Table

    if not rows:
        typer.echo("Nothing fires." if open_only else "No rule has fired.")
        return
    table = Table(box=None, header_style="dim", pad_edge=False)
    for name in ("ID", "status", "what", "since", "until", "by"):
        table.add_column(name, overflow="fold")
    for row in rows:
        since, until = (_moment(row[name], zone) for name in ("since", "until"))
        what, by = escape(printable(row["title"])), escape(printable(row["acknowledged_by"] or ""))
        status = f"[{_COLOURS[row['status']]}]{row['status']}[/]"
        if row["silenced"]:
            status += f", silenced until {_moment(row['silenced_until'], zone)}"
        table.add_row(row["id"], status, what, since, until, by)
    out().print(table)
    out().print(f"[dim]Times are in {zone}.[/]")


@alerts.command("show")
def show(incident: IncidentArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show everything about one incident: its cause, and whom it hit."""
    lines: list[str] = []

    async def read(app: Application) -> dict[str, Any]:
        from zoneinfo import ZoneInfo

        from guardian.alerting.whom_words import whom_lines
        from guardian.application.judging.causes import cause_of, cause_values, whom_values
        from guardian.application.judging.incident_actions import incident_values
        from guardian.core.language import language

        found = await app.stores.alerts.incident(incident)
        if found is None:
            raise ValueError(f"there is no incident {incident!r}: 'guardian alerts list' shows those there are")
        why = await cause_of(app, found)
        lines.extend(whom_lines(why.whom, language(), ZoneInfo(app.settings.timezone)))
        return {**incident_values(app, found), "cause": cause_values(why), "whom": whom_values(why.whom)}

    row = with_application(config, read)
    if as_json:
        say_json(row)
        return
    cause, whom = row.pop("cause") or {"lines": [], "released": []}, row.pop("whom") or {"people": []}
    more = [*(("cause", line) for line in cause["lines"]), *(("whom to tell", line) for line in lines)]
    more += [("released", f"{each['release']} at {each['at']}") for each in cause["released"]]
    more += [(each["since"].replace("_", " "), f"{each['name']} ({each['times']})") for each in whom["people"]]
    for name, value in [*row.items(), *more]:
        if value not in (None, ""):
            typer.echo(printable(f"{name}: {value}"))


@alerts.command("ack")
def ack(incident: IncidentArgument, config: ConfigOption = None) -> None:
    """Acknowledge an incident: no more reminders, but you are told when it is over."""
    _act("acknowledge", incident, config, "is acknowledged")


@alerts.command("silence")
def silence(
    incident: IncidentArgument,
    until: Annotated[Until, typer.Option("--until", help="For an hour, for eight, or until 08:00.")] = Until.one_hour,
    config: ConfigOption = None,
) -> None:
    """Hear nothing about an incident for a while. If it is still firing then, you are told at once."""
    _act("silence-morning" if until is Until.morning else f"silence-{until.value}", incident, config, "is silenced")  # type: ignore[arg-type]


@alerts.command("fixed")
def fixed(
    incident: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="Leave it out for every open incident.")
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Mark as fixed: from now on only new requests count. Run it after a deploy."""
    _act("fixed", incident, config, "is judged by new requests only")


@alerts.command("resolve")
def resolve(incident: IncidentArgument, config: ConfigOption = None) -> None:
    """End an incident, whatever its rule says; it opens again when the rule fires on new requests."""
    _act("resolve", incident, config, "is over")


def _act(action: Action, incident: str | None, config: Any, words: str) -> None:
    async def do(app: Application) -> list[dict[str, Any]]:
        from guardian.application.judging.incident_actions import act, incident_values

        return [incident_values(app, each) for each in await act(app, action, incident, by=getpass.getuser())]

    changed = with_application(config, do)
    for row in changed:
        typer.echo(printable(f"{row['id']} ({row['title']}) {words}."))
    if not changed:
        typer.echo("Nothing fires.")


def _moment(iso: str | None, zone: str) -> str:
    from datetime import datetime

    return local(datetime.fromisoformat(iso) if iso else None, zone)
