"""Other distributions beside Guardian whose files lie over its own: `guardian check` says so."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from guardian.finding import Finding

_CLASHES = {"django-guardian": "guardian"}
"""Distribution: the package that it has in common with one of ours. Both write into one folder of site-packages, the
one that pip installs last wins file by file, and uninstalling either takes files of the other away."""


def clashes() -> list[Finding]:
    """One error for each distribution in this environment that has a package of the same name; else nothing."""
    return [
        Finding(
            "installation", "error",
            f"{name} {version} is installed here too, and both have a package named {package!r}: give Guardian an "
            f"environment of its own (docs/install.md), then reinstall {name} in this one",
        )
        for name, package in _CLASHES.items()
        if (version := _version(name)) is not None
    ]  # fmt: skip


def _version(name: str) -> str | None:
    """The version of a distribution; None where it is not installed."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None
