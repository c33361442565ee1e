"""The one way in which Jinja is set up."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from guardian.core.resources import templates_dir


@cache
def environment(folder: str) -> Environment:
    """The templates in a folder of `templates/`, "mail" or "web".

    Everything but .txt is escaped, and a name that is not given is an error.
    """
    return Environment(
        loader=FileSystemLoader(templates_dir() / folder),
        autoescape=lambda name: name is None or not name.endswith(".txt"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
