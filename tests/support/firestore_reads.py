"""How many documents of Firestore are read, as Google bills them, whoever in Guardian asks: counted where Google's
library sends its requests."""

from collections import Counter
from contextlib import contextmanager


@contextmanager
def counted():
    """Counts what is read inside: by (how, collection), the documents. A query without results counts one, and so does
    a document that is not there."""
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


def _documents(found, call, *, asynchronous):
    def asked(self, request=None, **more):
        names = request["documents"]
        found["get", names[0].split("/documents/")[1].partition("/")[0]] += len(names)
        return call(self, request, **more)

    return asked


def _query(found, call, *, asynchronous):
    def noted(request, many):
        found["query", request["structured_query"].from_[0].collection_id] += max(1, many)

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
