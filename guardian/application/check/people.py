"""What `guardian check` says about the names of people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from guardian.core.finding import Finding
from guardian.core.storage import StorageError
from guardian.stores.opening import backend
from guardian.stores.people.book import AliasBook
from tracker.pseudonyms import NoKey, is_pseudonym


def alias_findings(book: AliasBook, seen: Sequence[tuple[str, str]]) -> list[Finding]:
    """Whether the aliases can be read, what is wrong with them, and how many of the names `seen` (each with the person
    behind it, see `UsageRepository.names`) they know; nothing where no source is set. May block: call it in a thread.
    """
    if book.name is None:
        return []
    aliases = book.current()
    if book.trouble:
        return [Finding("people", "error", f"ids are shown in place of names, since {book.trouble}")]
    ids, people = len(aliases.addresses), len(set(aliases.addresses.values()))
    text = f"{book.name} names {_count(ids, 'id')} of {_count(people, 'person', 'people')}"
    known = sum(name != person for name, person in seen)
    unknown = sum(name == person and "@" not in name for name, person in seen)
    if known or unknown:
        text += f"; of the ids that used the app {known:,} {_is(known)} known and {unknown:,} {_is(unknown)} not"
    if unknown and not known:
        text += ": let the source give ids as the tracker records them"
    found = [Finding("people", "warning" if unknown and not known else "ok", text)]
    return found + [Finding("people", "warning", f"{book.name}: {problem}") for problem in aliases.problems]


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _is(number: int) -> str:
    return "is" if number == 1 else "are"


def pseudonym_findings(database: Path | str, seen: Sequence[tuple[str, str]]) -> list[Finding]:
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
    text = (
        f"{_count(named, 'user')} {_is(named)} stored by name beside pseudonyms: set pseudonymous=True in each app "
        "that records here; names of before go with the retention, or by 'guardian users erase'"
    )
    return [Finding("privacy", "warning", text)]
