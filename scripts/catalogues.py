"""Brings templates/locales/*.po up to date with the texts of the code and the mail templates: `make catalogues`.

New texts come with an empty translation, which a test refuses; texts that nobody says any more go.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po
from jinja2 import Environment, nodes
from jinja2.ext import babel_extract

ROOT = Path(__file__).resolve().parent.parent


def said_by(
    file: IO[bytes], keywords: Any, comment_tags: Any, options: Any
) -> Iterator[tuple[int, str | None, Any, list[str]]]:
    """The texts of a template. Jinja's own extraction passes over what a name with a dot is called with, as in
    `lang.plural(one, many, number)`: those are added here."""
    source = file.read()
    yield from babel_extract(io.BytesIO(source), keywords, comment_tags, options)
    for call in Environment().parse(source.decode()).find_all(nodes.Call):
        if isinstance(call.node, nodes.Getattr) and call.node.attr == "plural":
            texts = tuple(each.value for each in call.args if isinstance(each, nodes.Const))
            yield call.lineno, "plural", texts, []


METHODS = [
    ("guardian/**.py", "python"),
    ("templates/mail/**.html", said_by),
    ("templates/mail/**.txt", said_by),
    ("templates/web/**.html", said_by),
]
KEYWORDS = {"lang": None, "self": None, "_": None, "marked": None, "plural": (1, 2)}
"""The names that the code gives to what translates a text: see guardian/core/language.py."""


def texts() -> Catalog:
    """Every text that the code and the templates say, in the order of files."""
    found = Catalog()
    for folder in ("guardian", "templates"):
        for _, _, message, _, _ in sorted(
            extract_from_dir(ROOT / folder, [(p.partition("/")[2], m) for p, m in METHODS if p.startswith(folder)],
                             {"**": {"trimmed": "true"}}, keywords=KEYWORDS),
            key=lambda each: (each[0], each[1]),
        ):  # fmt: skip
            found.add(message)
    return found


def main() -> None:
    """Rewrite each catalogue in place."""
    for path in sorted((ROOT / "templates/locales").glob("*.po")):
        with path.open("rb") as file:
            catalog = read_po(file, locale=path.stem)
        catalog.update(texts(), no_fuzzy_matching=True)
        catalog.obsolete.clear()
        with path.open("wb") as file:
            write_po(file, catalog, width=120, no_location=True, ignore_obsolete=True, omit_header=False)
        missing = sum(1 for message in catalog if message.id and not message.string)
        print(f"{path.name}: {len(catalog)} texts, {missing} to translate")


if __name__ == "__main__":
    main()
