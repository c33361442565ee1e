"""GraphQL with Strawberry: errors are answered with 200, and every query is a POST to one path."""

import json

import pytest

pytest.importorskip("strawberry")
pytest.importorskip("fastapi")

import strawberry
from fastapi import FastAPI
from strawberry.extensions import SchemaExtension
from strawberry.fastapi import GraphQLRouter

from tracker import UsageTrackingMiddleware, name_feature, note_error


class Tracked(SchemaExtension):
    def on_execute(self):
        yield
        result = self.execution_context.result
        if result is not None and result.errors:
            note_error(self.execution_context.context["request"], "GraphQL error", failed=True)

    def resolve(self, _next, root, info, *args, **kwargs):
        if info.path.prev is None:  # a field of the schema's root; an operation's name would be the client's own words
            name_feature(info.context["request"], info.field_name)
        return _next(root, info, *args, **kwargs)


@strawberry.type
class Query:
    @strawberry.field
    def books(self) -> list[str]:
        return ["a book"]

    @strawberry.field
    def broken(self) -> str | None:
        raise ValueError("secret of a client")


def test_fields_are_features_and_errors_failures(database, drive, asking, rows):
    app = FastAPI()
    app.include_router(GraphQLRouter(strawberry.Schema(Query, extensions=[Tracked])), prefix="/graphql")
    app.add_middleware(UsageTrackingMiddleware, database=database)

    async def work(app):
        for query in ("query Mine { books }", "{ broken }"):
            body = json.dumps({"query": query}).encode()
            answer = await asking(app, "POST", "/graphql", headers={"content-type": "application/json"}, body=body)
            assert answer.status == 200

    drive(app, work)
    assert rows("feature_name", "endpoint", "status_code", "success", "error_message") == [
        ("books", "/graphql", 200, 1, None),
        ("broken", "/graphql", 200, 0, "GraphQL error"),
    ]
