"""The release of the app and the instance in this process: configured by its owner, or found in the environment. Both
come from whoever deploys the app, never from a client.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

RELEASE_VARIABLES = (
    "GUARDIAN_RELEASE", "SENTRY_RELEASE", "GIT_SHA", "SOURCE_VERSION", "K_REVISION", "RENDER_GIT_COMMIT",
    "RAILWAY_GIT_COMMIT_SHA", "HEROKU_SLUG_COMMIT", "FLY_IMAGE_REF",
)  # fmt: skip
"""The environment variables that may hold the release; the first that is set counts."""
INSTANCE_VARIABLES = (
    "GUARDIAN_INSTANCE", "FLY_MACHINE_ID", "RENDER_INSTANCE_ID", "RAILWAY_REPLICA_ID", "DYNO", "HOSTNAME",
)  # fmt: skip
"""The same for the instance; without any, the host name is used."""
LONGEST = 100
"""Longer names lose their middle, since images and instances differ at their ends."""


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
    if found == "localhost":  # meaningless: the host name of containers without a name
        found = ""
    return Source(cleaned(release or "") or _first(environ, RELEASE_VARIABLES), found)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((value for name in names if (value := cleaned(environ.get(name, "")))), "")


def cleaned(text: str) -> str:
    """The text without unprintable characters, on one line and of limited length."""
    return shortened("".join(char if char.isprintable() else " " for char in text).strip(), LONGEST)


def shortened(text: str, most: int) -> str:
    """The text with at most so many characters: of a longer one the beginning and the end."""
    if len(text) <= most:
        return text
    return f"{text[: most // 2]}…{text[len(text) - (most - most // 2 - 1) :]}"
