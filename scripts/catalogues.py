"""Brings templates/locales/*.po up to date with the texts of the code and the mail templates: `make catalogues`.

New texts come with an empty translation, which a test refuses; texts that nobody says any more go.
"""

from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
METHODS = [
    ("guardian/**.py", "python"),
    ("templates/mail/**.html", "jinja2.ext:babel_extract"),
    ("templates/mail/**.txt", "jinja2.ext:babel_extract"),
    ("templates/web/**.html", "jinja2.ext:babel_extract"),
]
KEYWORDS = {"lang": None, "self": None, "_": None, "marked": None, "plural": (1, 2)}
"""How a text is said: see guardian/language.py."""


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
