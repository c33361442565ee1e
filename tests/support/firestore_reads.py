"""How many documents of Firestore are read, as Google bills them, whoever in Guardian asks: counted where Google's
library sends its requests."""

from collections import Counter
from contextlib import contextmanager

from guardian.stores.firestore.name_lists import NAMES
from guardian.stores.firestore.seals import SEALS
from tracker.firestore.people import PEOPLE


@contextmanager
def counted():
    """Counts what is read inside: by (how, collection), the documents. Of the sealed buckets each length is one for
    itself: its letter stands behind the collection's name. A query without results counts one, and so does a document
    that is not there."""
    from google.cloud.firestore_v1.services.firestore import FirestoreAsyncClient, FirestoreClient

    found = Counter()
    before = [(kind, name, getattr(kind, name)) for kind in (FirestoreClient, FirestoreAsyncClient) for name in _CALLS]
    for kind, name, call in before:
        setattr(kind, name, _CALLS[name](found, call, asynchronous=kind is FirestoreAsyncClient))
    try:
        yield found
    finally:
        for kind, name, call in before:
            setattr(kind, name, call)


def parts(found):
    """What `counted` gave, for a report: sealed `days`, the `edges` of windows that cut a day with the shorter buckets
    there, the `names` that it shows, and all the `rest`."""
    made = Counter(days=0, edges=0, names=0, rest=0)
    for (how, place), many in found.items():
        if place.startswith(SEALS):
            made["days" if how == "query" and place[-1] in "dp" else "edges"] += many
        else:
            made["names" if place in (PEOPLE, NAMES) and how != "total" else "rest"] += many
    return made


def _documents(found, call, *, asynchronous):
    def asked(self, request=None, **more):
        for name in request["documents"]:
            found["get", _place(*name.split("/documents/")[1].split("/", 1))] += 1
        return call(self, request, **more)

    return asked


def _place(collection, name):
    return f"{collection} {name[0]}" if collection == SEALS else collection


def _asked(query):
    """The collection of a query; of one for a range of names, as `_place` says it."""
    first = query.where.composite_filter.filters[:1]
    name = first[0].field_filter.value.reference_value if first else ""
    return _place(query.from_[0].collection_id, name.rpartition("/")[2] or "?")


def _query(found, call, *, asynchronous):
    def noted(request, many):
        found["query", _asked(request["structured_query"])] += max(1, many)

    def asked(self, request=None, **more):
        def answers():
            many = 0
            for each in call(self, request, **more):
                many += bool(each.document.name)
                yield each
            noted(request, many)

        return answers()

    async def asked_on_loop(self, request=None, **more):
        stream = await call(self, request, **more)

        async def answers():
            many = 0
            async for each in stream:
                many += bool(each.document.name)
                yield each
            noted(request, many)

        return answers()

    return asked_on_loop if asynchronous else asked


def _total(found, call, *, asynchronous):
    def asked(self, request=None, **more):
        query = request["structured_aggregation_query"].structured_query
        found["total", query.from_[0].collection_id] += 1
        return call(self, request, **more)

    return asked


_CALLS = {"batch_get_documents": _documents, "run_query": _query, "run_aggregation_query": _total}
