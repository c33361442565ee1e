"""Which release of the app answers in this process, and which instance: told by its owner, or found around it.

Both are words of whoever deploys the app. Nothing in them came from a client.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

RELEASE_VARIABLES = (
    "GUARDIAN_RELEASE", "SENTRY_RELEASE", "GIT_SHA", "SOURCE_VERSION", "K_REVISION", "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA", "HEROKU_SLUG_COMMIT", "FLY_IMAGE_REF",
)  # fmt: skip
"""Where a release stands that nobody named; the first that is set counts."""
INSTANCE_VARIABLES = (
    "GUARDIAN_INSTANCE", "FLY_MACHINE_ID", "RENDER_INSTANCE_ID", "RAILWAY_REPLICA_ID", "DYNO", "HOSTNAME",
)  # fmt: skip
"""The same for the instance; without any, it is the name of the host."""
LONGEST = 100
"""Of longer names the middle is not kept: images and instances differ at their ends."""


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


class Source(NamedTuple):
    """Which release and instance answered; "" for what is not known."""

    release: str = ""
    instance: str = ""


def find_source(
    release: str | None = None, environ: Mapping[str, str] | None = None, host: Callable[[], str] = _host
) -> Source:
    """The release that was named, or else that of the environment, and the instance. All workers of a host are one
    instance."""
    environ = os.environ if environ is None else environ
    found = _first(environ, INSTANCE_VARIABLES) or cleaned(host())
    if found == "localhost":  # says nothing: as containers are called that have no name
        found = ""
    return Source(cleaned(release or "") or _first(environ, RELEASE_VARIABLES), found)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := cleaned(environ.get(name, "")))), "")


def cleaned(text: str) -> str:
    """What can be printed of it, on one line and not too long."""
    return shortened("".join(char if char.isprintable() else " " for char in text).strip(), LONGEST)


def shortened(text: str, most: int) -> str:
    """The text with at most so many characters: of a longer one the beginning and the end."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[len(text) - (most - most // 2 - 1) :]}"
