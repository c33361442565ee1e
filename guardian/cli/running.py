"""`guardian run` and `guardian demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from guardian.cli.console import ConfigOption, settings_of


def run(config: ConfigOption = None) -> int:
    """Run the daemon: reports by schedule, mail, and the API, until SIGTERM or Ctrl-C."""
    settings = settings_of(config)

    from guardian.web.daemon import run_daemon

    return run_daemon(settings)


def demo(
    directory: Annotated[
        Path, typer.Option("--dir", file_okay=False, help="Where the database, the reports and the mails go.")
    ] = Path("demo"),
    once: Annotated[bool, typer.Option("--once", help="Leave the files and end, instead of staying up.")] = False,
) -> int:
    """Track a small real app under real traffic, and read its report mail in the browser. Needs no settings."""
    try:
        from guardian.demo.run import run_demo
    except ModuleNotFoundError as error:
        raise ValueError(f"the demo needs {error.name}: install it with pip install 'usage-guardian[demo]'") from None
    return run_demo(directory, once=once)
