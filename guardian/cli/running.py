"""`guardian run` and `guardian demo`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from guardian.cli.console import ConfigOption, settings_of


class LogFormat(StrEnum):
    """How the daemon writes its log."""

    text = "text"
    json = "json"


def run(
    config: ConfigOption = None,
    log_format: Annotated[
        LogFormat, typer.Option("--log-format", help="How the log is written: text, or one JSON object per line.")
    ] = LogFormat.text,
) -> int:
    """Run the daemon: reports by schedule, mail, and the API, until SIGTERM or Ctrl-C."""
    if as_json := log_format is LogFormat.json:
        from guardian.core.log_lines import log_as_json

        log_as_json()  # before the settings: what is wrong with them is a line of the log, too
    settings = settings_of(config)

    from guardian.web.daemon import run_daemon

    return run_daemon(settings, log_json=as_json)


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", file_okay=False, help="Where the database, the reports and the mails go.")
    ] = Path("demo"),
    database: Annotated[
        str | None, typer.Option("--database", help="A database of Firestore.", show_default="guardian.db in --dir")
    ] = None,
    real: Annotated[
        bool, typer.Option("--real-project", help="Write into --database though it is no emulator's.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Leave the files and exit, instead of staying up.")] = False,
) -> int:
    """Track a small real app under real traffic, and read its report mail in the browser. Needs no settings."""
    try:
        from guardian.demo.run import run_demo
    except ModuleNotFoundError as error:
        raise ValueError(f"the demo needs {error.name}: install it with pip install 'usage-guardian[demo]'") from None
    return run_demo(directory, once=once, database=database, real=real)
