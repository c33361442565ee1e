"""What the commands share: common options, opening the application, and printing."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from guardian.core.bidi import bare

if TYPE_CHECKING:
    from rich.console import Console

    from guardian.application.root import Application
    from guardian.application.usage import UsageGuardian
    from guardian.settings.schema import Settings

T = TypeVar("T")
_UNLIMITED = 1_000_000

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="GUARDIAN_CONFIG", show_default="./guardian.toml", help="The file with the settings."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
HoursOption = Annotated[int, typer.Option("--hours", min=1, max=720, help="How many hours back from now.")]


def settings_of(config: Path | None) -> Settings:
    """The settings of the file. Raises SettingsError."""
    from guardian.core.off_loop import no_collection

    with no_collection():  # what is loaded stays: looking through it again and again is a twentieth of a start
        from guardian.settings.loading import load_settings

        return load_settings(config)


def with_application(config: Path | None, work: Callable[[Application], Awaitable[T]]) -> T:
    """The result of `work`, called with the application of these settings.

    Raises StorageError where there is no database yet: a command that reads must not make an empty one.
    """
    settings = settings_of(config)
    _need_database(settings.database)

    import asyncio

    from guardian.application.root import open_application

    async def opened() -> T:
        async with open_application(settings) as app:
            return await work(app)

    return asyncio.run(opened())


def with_usage(settings: Settings, work: Callable[[UsageGuardian], Awaitable[T]]) -> T:
    """The result of `work`, called with what makes reports. Nothing that sends is loaded.

    Raises StorageError where there is no database yet.
    """
    import asyncio

    from guardian.core.off_loop import no_collection

    with no_collection():
        _need_database(settings.database)

        from guardian.application.reading import open_usage

    async def opened() -> T:
        async with open_usage(settings) as usage:
            return await work(usage)

    return asyncio.run(opened())


def existing_database(config: Path | None) -> Path | str:
    """The address of the database that these settings name. Raises StorageError where there is none yet."""
    database = settings_of(config).database
    _need_database(database)
    return database


def _need_database(database: Path | str) -> None:
    from guardian.core.storage import StorageError
    from guardian.stores.opening import backend

    if not backend(database).exists():
        raise StorageError(
            f"there is no database {database} yet: the tracked app makes it, and so does 'guardian run'; or set "
            "database"
        )


def say_json(value: Any) -> None:
    """Print a value as JSON; times as ISO 8601. A dataclass has to be turned into a dict first."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def err() -> Console:
    """The console for everything but results, such as progress, on stderr."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def out(*, fitted: bool = False) -> Console:
    """The console for people, on stdout: colours only on a terminal, as wide as it is.

    Where stdout is no terminal, nothing is cut: lines are as long as they have to be. `fitted` is for what scales
    itself: it is as wide as COLUMNS there, or 80.
    """
    from rich.console import Console

    wide = not (fitted or sys.stdout.isatty())
    return Console(highlight=False, soft_wrap=False, width=_UNLIMITED if wide else None)


def printable(text: str) -> str:
    """The text without control characters: an address or an error text must not steer the terminal.

    Spaces that never break are ordinary ones here, and isolates go: few terminals turn text.
    """
    said = re.sub("[\u00a0\u202f]", " ", bare(text))
    return "".join(each if each.isprintable() or each in "\n\t" else "�" for each in said)


def local(moment: datetime | None, zone: str) -> str:
    """A time for people, in their zone: 2026-03-02 13:30, with the offset in an hour that comes twice; None: a dash."""
    from zoneinfo import ZoneInfo

    from guardian.core.language import which_of_two

    if moment is None:
        return "–"
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}{printable(which_of_two(moment, ZoneInfo(zone)))}"
