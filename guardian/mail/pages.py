"""The URLs of the dashboard's pages for links in mails: a path and a query that only say where to look."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from guardian.core.mentions import Span, marked_name, plain, remarked, unmarked


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages under the URL `base`; with "" mails have no links, and every URL is "". Pages about a period show
    [`start`, `end`), aware; None: their default. Names may have the marks of `guardian.core.mentions`; URLs keep them,
    so that erasing finds the names there.
    """

    base: str = ""
    start: datetime | None = None
    end: datetime | None = None

    def during(self, start: datetime, end: datetime) -> Pages:
        """The same pages, showing [start, end)."""
        return replace(self, start=start, end=end)

    def before(self) -> Pages:
        """The same pages, showing the time of the same length before."""
        if self.start is None or self.end is None:
            return self
        return self.during(self.start - (self.end - self.start), self.start)

    def overview(self) -> str:
        """The first page."""
        return self._timed("/")

    def people(self, **query: str) -> str:
        """The list of people."""
        return self._timed("/people", **query)

    def person(self, name: str, **query: str) -> str:
        """The page of one person."""
        return self._timed("/people/person", name, **query)

    def features(self) -> str:
        """The list of features."""
        return self._timed("/features")

    def feature(self, name: str) -> str:
        """The page of one feature."""
        return self._timed("/features", name)

    def errors(self, **query: str) -> str:
        """The page of failures, filtered by `status` and `feature`."""
        return self._timed("/errors", **query)

    def incident(self, id: str) -> str:
        """The page of one incident."""
        return self._at(f"/incidents/{quote(id, safe='')}")

    def rule(self, name: str) -> str:
        """This rule on the page of rules."""
        return self._at("/rules") and f"{self._at('/rules')}#rule-{quote(name, safe='')}"

    def system(self) -> str:
        """The page of the app's processes, the database and the settings."""
        return self._at("/system")

    def with_people(self, text: str) -> Markup:
        """The text as HTML, with each marked name linked to that person's page."""
        if not self.base:
            return escape(text)
        whole, spans = unmarked(text)
        pieces, at = Markup(), 0
        for span in spans:
            shown = remarked(whole[span.start : span.end], [Span(0, span.end - span.start, span.name)])
            link = Markup('<a class="to" href="{}">{}</a>').format(self.person(marked_name(span.name)), shown)
            pieces += escape(whole[at : span.start]) + link
            at = span.end
        return pieces + escape(whole[at:])

    def _timed(self, path: str, name: str = "", **query: str) -> str:
        given = {key: value for key, value in query.items() if value}
        if self.start is not None and self.end is not None:
            given |= {"range": "own", "start": _written(self.start), "end": _written(self.end)}
        return self._at(path, name, **given)

    def _at(self, path: str, name: str = "", **query: str) -> str:
        if not self.base:
            return ""
        parts = [f"name={encoded(name)}"] if name else []
        if query:
            parts.append(urlencode(query, quote_via=quote, safe=":", errors="replace"))
        return f"{self.base.rstrip('/')}{path}{'?' if parts else ''}{'&'.join(parts)}"


NOWHERE = Pages()
"""No pages: mails have no links."""


def encoded(name: str) -> str:
    """The name encoded for a URL's query, with its marks kept."""
    whole = plain(name)
    shown = quote(whole, safe="@", errors="replace")
    return shown if whole == name else remarked(shown, [Span(0, len(shown), whole)])


def _written(at: datetime) -> str:
    """A time in the pages' format: without seconds if they are zero."""
    form = "%Y-%m-%dT%H:%M:%SZ" if at.second or at.microsecond else "%Y-%m-%dT%H:%MZ"
    return at.astimezone(UTC).strftime(form)
