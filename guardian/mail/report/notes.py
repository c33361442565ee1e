"""What the report mail says first: that the tracker knows nobody, refuses tokens or loses events. Pure."""

from __future__ import annotations

from typing import Any

from guardian.core.language import Language
from guardian.core.note_words import KINDS, note_words
from guardian.core.report.model import NoteRow, Report
from guardian.mail.report.wording import short

MOST = 5


def noted(report: Report, headline: str, lang: Language) -> dict[str, Any]:
    """`notes`, a few sentences each with its cure, and `more_notes`, how many more there are; empty for none.

    Of what the `headline` says already, only the cure.
    """
    more = len(report.notes) - MOST
    return {
        "notes": [
            cure if text.rstrip(".") in headline else f"{text} {cure}".strip()
            for text, cure in (_words(note, lang) for note in report.notes[:MOST])
        ],
        "more_notes": lang("and %(n)s more: see guardian check", n=lang.number(more)) if more > 0 else "",
    }


def said(report: Report, kind: str, lang: Language) -> str:
    """The first note of this kind, without its cure; "" where there is none."""
    return next((_words(note, lang)[0] for note in report.notes if note.kind == kind), "")


def _words(note: NoteRow, lang: Language) -> tuple[str, str]:
    """Sentence and cure in the reader's language; those of the report where the kind is of a newer version."""
    if note.kind not in KINDS:
        return short(note.text), short(note.cure)
    return note_words(note.kind, note.count, short(note.detail or ""), lang)
