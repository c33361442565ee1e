"""Firestore queries as plain values. Each needs an index; config/firestore.indexes.json lists them all."""

from __future__ import annotations

from typing import Any, NamedTuple


class Query(NamedTuple):
    """A query for documents of a collection: `where` holds (field, operator, value), `order` (field, descending?),
    `fields` the fields to read (None: all)."""

    collection: str
    where: tuple[tuple[str, str, Any], ...] = ()
    order: tuple[tuple[str, bool], ...] = ()
    limit: int | None = None
    fields: tuple[str, ...] | None = None

    def on(self, client: Any) -> Any:
        """The query as Google's library has it."""
        from google.cloud.firestore import FieldFilter
        from google.cloud.firestore import Query as Googles

        asked: Any = client.collection(self.collection)
        for condition in self.where:
            asked = asked.where(filter=FieldFilter(*condition))
        for field, falling in self.order:
            asked = asked.order_by(field, direction=Googles.DESCENDING if falling else Googles.ASCENDING)
        if self.limit is not None:
            asked = asked.limit(self.limit)
        return asked if self.fields is None else asked.select(self.fields)
