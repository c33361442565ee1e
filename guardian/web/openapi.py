"""The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.1) that the table of endpoints means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from inspect import getdoc
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from guardian.web.auth import SCHEDULER_HEADER
from guardian.web.endpoint import Endpoint, Error

_CONVERTOR = re.compile(r"\{(\w+):\w+\}")
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "public": [],
    "admin": [{"adminToken": []}],
    "scheduler": [{"schedulerToken": []}, {"schedulerAccount": []}],
}


class Document(BaseModel):
    """An OpenAPI document."""

    model_config = ConfigDict(extra="allow")
    openapi: str


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document; the server it names is the root of the host that answers."""
    models: list[tuple[type[BaseModel], JsonSchemaMode]] = [(each.answer, "serialization") for each in endpoints]
    models += [(form, "serialization") for each in endpoints for form, _ in each.answers.values()]
    models.append((Error, "serialization"))
    models += [(each.body, "validation") for each in endpoints if each.body]
    _, schemas = models_json_schema(list(dict.fromkeys(models)), ref_template="#/components/schemas/{model}")
    paths: dict[str, dict[str, Any]] = {}
    for each in endpoints:
        paths.setdefault(_CONVERTOR.sub(r"{\1}", each.path), {})[each.method.lower()] = _operation(each)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "Guardian",
            "version": _version(),
            "description": "Who uses the app, and what breaks for whom.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "adminToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
                "schedulerToken": {"type": "apiKey", "in": "header", "name": SCHEDULER_HEADER},
                "schedulerAccount": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
            },
        },
    }


def refusals(endpoint: Endpoint) -> dict[int, str]:
    """Every status but 200 that the endpoint can answer with, and what it means."""
    found = {500: "Guardian failed", 503: "The database does not answer"}
    if endpoint.access == "admin":
        found |= {
            401: "No valid token",
            403: "The token is not an admin's",
            503: "No key is set, or no database answers",
        }
    if endpoint.access == "scheduler":
        found |= {401: "No valid token", 503: "No scheduler token or account is set, or no database answers"}
    if endpoint.access != "public":
        found[429] = "Too many wrong tokens came from this address"
    found[422] = "A parameter is unknown or out of range"
    if endpoint.method != "GET":
        found[413] = "The body is too large"
    return dict(sorted({**found, **endpoint.refusals}.items()))


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    text = getdoc(endpoint.run) or endpoint.run.__name__
    summary, _, rest = text.partition("\n")
    operation: dict[str, Any] = {
        "operationId": endpoint.run.__name__,
        "summary": summary,
        "security": _SECURITY[endpoint.access],
        "parameters": _parameters(endpoint),
        "responses": {
            "200": {"description": "Done", "content": {**_json(endpoint.answer)["content"], **_texts(endpoint)}},
            **{str(status): {"description": meaning, **_json(Error)} for status, meaning in refusals(endpoint).items()},
            **{str(status): {"description": text, **_json(form)} for status, (form, text) in endpoint.answers.items()},
        },
    }
    if rest.strip():
        operation["description"] = " ".join(rest.split())
    if endpoint.body is not None:
        operation["requestBody"] = {"required": False, **_json(endpoint.body)}
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    schema = endpoint.asked.model_json_schema()
    in_path = set(re.findall(r"\{(\w+)", endpoint.path))
    return [
        {
            "name": name,
            "in": "path" if name in in_path else "query",
            "required": name in schema.get("required", ()),
            "description": inner.get("description", name),
            "schema": {key: value for key, value in inner.items() if key not in ("title", "description")},
        }
        for name, inner in schema.get("properties", {}).items()
    ]


def _json(model: type[BaseModel]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}}


def _texts(endpoint: Endpoint) -> dict[str, Any]:
    return {kind: {"schema": {"type": "string"}} for kind in endpoint.other_kinds}


def _version() -> str:
    try:
        return version("usage-guardian")
    except PackageNotFoundError:  # a checkout that was not installed
        return "0"
