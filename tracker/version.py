"""The version of an app that was installed as a package, where nobody names its release; asked once a process, by the
thread that writes."""

from __future__ import annotations

import os
import sys
from typing import Any

from tracker.tracebacks import inside_of

_FRAMEWORKS = {"fastapi", "starlette"}


def version_of(app: object) -> str:
    """The version of the installed distribution that the module of this app object belongs to; "" where that is not
    certain: where no module has the object, or those of several packages do, where routes lead elsewhere than into that
    package, where it was not installed (as an app that runs from its checkout), or where two distributions have its
    file. It never raises."""
    try:
        return _version(app)
    except Exception:
        return ""


def _version(app: object) -> str:
    packages = {
        name.partition(".")[0]
        for name, module in list(sys.modules.items())
        if any(each is app for each in list(inside_of(module).values()))
    }
    # A library may keep the app of somebody else: whose it is, routes lead into.
    if len(packages) != 1 or _led_to(app) != packages:
        return ""
    [package] = packages
    file = inside_of(sys.modules.get(package)).get("__file__")
    if type(file) is not str:
        return ""
    folder, name = os.path.split(file)
    if name.startswith("__init__."):
        folder, name = os.path.dirname(folder), f"{os.path.basename(folder)}/{name}"
    from importlib.metadata import distributions  # heavy, and only asked where nothing else says it

    found = [each.version for each in distributions(path=[folder]) if _has(each.read_text("RECORD") or "", name)]
    return found[0] if len(found) == 1 else ""


def _led_to(app: Any) -> set[str]:
    """The packages of the functions that the app's routes lead to, but for those of the frameworks themselves."""
    ends = (_module(getattr(route, "endpoint", None)) for route in app.routes)
    return {name.partition(".")[0] for name in ends if name} - _FRAMEWORKS


def _module(endpoint: Any) -> str:
    found = getattr(endpoint, "__module__", None)
    return found if type(found) is str else ""


def _has(record: str, name: str) -> bool:
    """Whether the record of a distribution's files, a line each, has this one."""
    return name in record and any(line.partition(",")[0] == name for line in record.splitlines())
