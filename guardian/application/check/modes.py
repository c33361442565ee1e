"""Whether other users of this machine can access personal data, or secrets that let them act as an admin."""

from __future__ import annotations

import sys
from pathlib import Path

from guardian.core.finding import Finding
from guardian.core.language import ENGLISH, Language, marked
from guardian.settings.loading import DEFAULT_PATH
from guardian.settings.schema import Settings
from tracker.pseudonyms import key_path

OTHERS, WRITE = 0o007, 0o002


def mode_findings(settings: Settings, path: Path | None, lang: Language = ENGLISH) -> list[Finding]:
    """A warning for each file and folder that everybody on this machine can access; none on Windows. A group may share
    the database. Listing a folder is allowed, since the files that Guardian writes there are closed to others.
    """
    if sys.platform == "win32":
        return []
    reports = settings.reports_dir
    files = _database_files(settings.database) if isinstance(settings.database, Path) else ()
    looked_at: list[tuple[str, Path, int, str]] = [
        ("settings", path or DEFAULT_PATH, OTHERS, marked("names the admins")),
        *files,
        ("reports", reports, WRITE, marked("is mailed to the admins")),
        ("reports", reports / "usage_report.json", OTHERS, marked("names users")),
        ("mail", settings.mail.directory or reports / "mail", WRITE, marked("holds mails")),
    ]  # fmt: skip
    return [found for each in looked_at if (found := _finding(*each, lang)) is not None]


def _database_files(database: Path) -> list[tuple[str, Path, int, str]]:
    holds = marked("names users and holds the key of the links in mails")
    return [
        *(("database", Path(f"{database}{part}"), OTHERS, holds) for part in ("", "-wal", "-shm")),
        ("database", Path(key_path(database)), OTHERS, marked("leads from pseudonyms to people")),
    ]


def _finding(subject: str, path: Path, bits: int, why: str, lang: Language) -> Finding | None:
    try:
        mode = path.stat().st_mode & bits
    except OSError:
        return None
    if not mode:
        return None
    values = {"path": str(path), "why": lang(why), "run": "o-w" if bits == WRITE else "o="}
    if mode & WRITE:
        text = lang("everybody may change %(path)s, which %(why)s: run 'chmod %(run)s %(path)s'", **values)
    else:
        text = lang("everybody may read %(path)s, which %(why)s: run 'chmod %(run)s %(path)s'", **values)
    return Finding(subject, "warning", text)
