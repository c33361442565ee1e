"""What `guardian check` says about the names of people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language
from guardian.core.storage import StorageError
from guardian.stores.opening import backend
from guardian.stores.people.book import AliasBook
from tracker.pseudonyms import NoKey, is_pseudonym


def alias_findings(book: AliasBook, seen: Sequence[tuple[str, str]], lang: Language = ENGLISH) -> list[Finding]:
    """Whether the aliases can be read, what is wrong with them, and how many of the names `seen` (each with the person
    behind it, see `UsageRepository.names`) they know; nothing where no source is set. May block: call it in a thread.
    """
    if book.name is None:
        return []
    aliases = book.current()
    if book.trouble:
        return [Finding("people", "error", lang("ids are shown in place of names, since %(why)s", why=book.trouble))]
    ids, people = len(aliases.addresses), len(set(aliases.addresses.values()))
    text = lang(
        "%(source)s names %(ids)s of %(people)s", source=book.name,
        ids=lang.plural("%(n)s id", "%(n)s ids", ids), people=lang.plural("%(n)s person", "%(n)s people", people),
    )  # fmt: skip
    known = sum(name != person for name, person in seen)
    unknown = sum(name == person and "@" not in name for name, person in seen)
    if known or unknown:
        more = lang(
            "of the ids that used the app %(known)s and %(unknown)s",
            known=lang.plural("%(n)s is known", "%(n)s are known", known),
            unknown=lang.plural("%(n)s is not", "%(n)s are not", unknown),
        )  # fmt: skip
        text = lang("%(what)s; %(more)s", what=text, more=more)
    if unknown and not known:
        cure = lang("let the source give ids as the tracker records them")
        text = lang("%(what)s: %(cure)s", what=text, cure=cure)
    found = [Finding("people", "warning" if unknown and not known else "ok", text)]
    return found + [Finding("people", "warning", f"{book.name}: {problem}") for problem in aliases.problems]


def pseudonym_findings(
    database: Path | str, seen: Sequence[tuple[str, str]], lang: Language = ENGLISH
) -> list[Finding]:
    """A warning where the database has a key of pseudonyms, and names beside them; `seen` as in `alias_findings`. May
    block: call it in a thread."""
    try:
        if backend(database).pseudonym_key() is None:
            return []
    except NoKey as error:
        return [Finding("privacy", "error", str(error))]
    except (OSError, StorageError):
        return []  # whoever reads the database says so, or the names of people do
    named = sum(not is_pseudonym(recorded) for recorded, _ in seen)
    if not named:
        return []
    text = lang.plural(
        "%(n)s user is stored by name beside pseudonyms: set pseudonymous=True in each app that records here; names of "
        "before go with the retention, or by 'guardian users erase'",
        "%(n)s users are stored by name beside pseudonyms: set pseudonymous=True in each app that records here; names "
        "of before go with the retention, or by 'guardian users erase'",
        named,
    )
    return [Finding("privacy", "warning", text)]
