"""Other distributions in Guardian's environment of which `guardian check` warns."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution

from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language

_CLASHES = {"django-guardian": "guardian"}
"""Distribution: the package that it has in common with one of ours. Both write into one folder of site-packages, the
one that pip installs last wins file by file, and uninstalling either takes files of the other away."""


def clashes(lang: Language = ENGLISH) -> list[Finding]:
    """One error for each distribution in this environment that has a package of the same name; else nothing."""
    return [
        Finding(
            "installation", "error",
            lang(
                "%(name)s %(version)s is installed here too, and both have a package named '%(package)s': give "
                "Guardian an environment of its own (docs/install.md), then reinstall %(name)s in this one",
                name=name, version=version, package=package,
            ),
        )
        for name, package in _CLASHES.items()
        if (version := _version(name)) is not None
    ]  # fmt: skip


def old_libraries(lang: Language = ENGLISH) -> list[Finding]:
    """A warning where the PyJWT of this environment passes over critical header fields (CVE-2026-32597), which the
    tracker refuses by itself; else nothing."""
    found = _version("PyJWT")
    if found is None or tuple(int(part) for part in found.split(".")[:2]) >= (2, 12):
        return []
    return [
        Finding(
            "installation", "warning",
            lang(
                "PyJWT %(version)s passes over critical header fields of tokens (CVE-2026-32597): Guardian and the "
                "tracker refuse such tokens by themselves, other code here does not; upgrade it to 2.12",
                version=found,
            ),
        )
    ]  # fmt: skip


def _version(name: str) -> str | None:
    """The version of a distribution; None where it is not installed."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return None
