"""Whole collections of Firestore, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from guardian.stores.firestore.documents import SECONDS, Documents, Found


def pages(documents: Documents, collection: str, size: int) -> Iterator[list[Found]]:
    """All documents of a collection in order of their names, page by page."""
    after: str | None = None

    def work(client: Any) -> list[Found]:
        from google.cloud.firestore import FieldFilter

        query = place = client.collection(collection)
        if after is not None:
            query = query.where(filter=FieldFilter("__name__", ">", place.document(after)))
        found = query.limit(size).stream(retry=None, timeout=SECONDS)
        return [Found(each.id, each.to_dict() or {}, each.update_time, each.read_time) for each in found]

    while found := documents.ask(work):
        yield found
        after = found[-1].name
