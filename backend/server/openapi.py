"""The OpenAPI 3.1 document, made from the table of operations and the records themselves.

`python -m backend.server.openapi > sdk/openapi.json` writes the copy that clients are made from.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from datetime import datetime
from enum import Enum
from http import HTTPStatus
from importlib import metadata
from typing import Any

import msgspec

from backend.model import Actor, Json
from backend.server.operations import OPERATIONS, Operation
from backend.wire import COMMON_NAMES, MESSAGE_NAMES, MESSAGES

REF = "#/components/schemas/"
PLAIN: dict[object, Json] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    datetime: {"type": "string", "format": "date-time"},
    Actor: {"type": "string", "pattern": "^(worker|human|system):.+$", "examples": ["human:ana"]},
}
SCOPED = "/api/v1/"
"""Below this every address takes a scope."""
ACTOR_FIELD = {"actor": {"anyOf": [PLAIN[Actor], PLAIN[type(None)]], "description": "Who does it."}}
PROBLEM: Json = {
    "type": "object",
    "description": "RFC 9457: what went wrong, and what to do about it.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "slug": {"type": "string", "description": "Names the kind of error for programs."},
        "error": {"type": "string"},
        "next_step": {"type": "string"},
        "details": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["type", "title", "status", "detail", "slug", "error", "next_step", "details"],
}


class Schemas:
    """Collects the schema of every record that is used."""

    def __init__(self) -> None:
        self.found: dict[str, Json] = {"Problem": PROBLEM}

    def of(self, hint: Any) -> Json:
        """The schema of a type; records and enums are referred to by name."""
        if hint in PLAIN:
            return PLAIN[hint]
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is typing.Annotated:
            return self.of(arguments[0]) | _bounds(arguments[1])
        if origin is typing.Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin in (typing.Union, types.UnionType):
            return {"anyOf": [self.of(one) for one in arguments]}
        if origin in (tuple, list):
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict:
            return {"type": "object"}
        return self._named(hint)

    def fields(self, kind: type, without: tuple[str, ...] = ()) -> tuple[Json, list[str]]:
        """The properties of a record as they travel, and which of them must be there."""
        hints = typing.get_type_hints(kind, include_extras=True)
        names = COMMON_NAMES | (MESSAGE_NAMES if kind in MESSAGES else {})
        properties: Json = {}
        required: list[str] = []
        for field in dataclasses.fields(kind):
            if field.name in without:
                continue
            if field.name == "sender":
                parts = typing.get_type_hints(Actor)
                properties |= {"sender_type": self.of(parts["type"]), "sender_id": self.of(parts["id"])}
                required += ["sender_type", "sender_id"]
                continue
            name = names.get(field.name, field.name)
            properties[name] = self.of(hints[field.name])
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                required.append(name)
        return properties, required

    def _named(self, hint: Any) -> Json:
        name: str = hint.__name__
        if name not in self.found:
            self.found[name] = {}
            if isinstance(hint, type) and issubclass(hint, Enum):
                self.found[name] = {"type": "string", "enum": [one.value for one in hint]}
            else:
                properties, required = self.fields(hint)
                self.found[name] = _object(properties, required, _said(hint))
        return {"$ref": f"{REF}{name}"}


def document() -> Json:
    """The whole document."""
    schemas = Schemas()
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        if operation.described:
            paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Octopoid",
            "version": metadata.version("octopoid"),
            "description": "The state of a fleet of coding agents.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "responses": _problems(),
            "schemas": dict(sorted(schemas.found.items())),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "A key: oct_<id>_<secret>."}
            },
        },
    }


def _operation(operation: Operation, schemas: Schemas) -> Json:
    said: Json = {"operationId": operation.name, "summary": f"{operation.summary}."}
    if operation.needs is None:
        said["security"] = []
    else:
        said["x-octopoid-scope"] = operation.needs.value
    parameters = [_parameter(name, "path", True, {"type": "string"}) for name in operation.parameters]
    if operation.query is not None:
        properties, required = schemas.fields(operation.query)
        parameters += [
            _parameter(name, "query", name in required, schema) for name, schema in properties.items()
        ]
    if operation.path.startswith(SCOPED) and "scope" not in {one["name"] for one in parameters}:
        parameters.append(_parameter("scope", "query", False, {"type": "string"}))
    if operation.method == "POST":
        key = {"type": "string", "minLength": 1, "maxLength": 128}
        parameters.append(_parameter("Idempotency-Key", "header", False, key))
    if operation.etag and operation.method != "GET":
        version = {"type": "string", "pattern": '^("v[0-9]{1,15}"|\\*)$'}
        parameters.append(_parameter("If-Match", "header", False, version))
    if parameters:
        said["parameters"] = parameters
    body = _body(operation, schemas)
    if body is not None:
        said["requestBody"] = {"required": operation.body is not None, "content": _json(body)}
    said["responses"] = _answers(operation, schemas)
    return said


def _body(operation: Operation, schemas: Schemas) -> Json | None:
    if operation.method not in ("POST", "PATCH", "PUT"):
        return None
    if operation.body is None:
        return _object(ACTOR_FIELD if operation.actor else {}, [], "")
    given = {field.name for field in dataclasses.fields(operation.body)}
    if not operation.actor and not given.intersection(operation.parameters):
        return schemas.of(operation.body)
    properties, required = schemas.fields(operation.body, tuple(operation.parameters))
    return _object(properties | (ACTOR_FIELD if operation.actor else {}), required, _said(operation.body))


def _answers(operation: Operation, schemas: Schemas) -> Json:
    answers: Json = {}
    for status in operation.statuses:
        answer: Json = {"description": HTTPStatus(status).phrase}
        if operation.name == "metrics":
            answer["content"] = {"text/plain": {"schema": {"type": "string"}}}
        elif status != HTTPStatus.NO_CONTENT:
            answer["content"] = _json(_answer(operation, schemas))
            if operation.name == "list_events":
                answer["content"]["text/event-stream"] = {"schema": {"type": "string"}}
        answers[str(status)] = answer
    for status in _errors(operation):
        answers[str(status)] = {"$ref": f"#/components/responses/{HTTPStatus(status).name}"}
    return answers


def _answer(operation: Operation, schemas: Schemas) -> Json:
    if operation.answer is None:
        return {"type": "object"}
    one = schemas.of(operation.answer)
    if operation.rows is None:
        return one
    properties: Json = {operation.rows: {"type": "array", "items": one}}
    if "offset" in operation.query_names:
        properties |= {name: {"type": "integer"} for name in ("total", "limit", "offset")}
    if "cursor" in operation.query_names:
        properties["next_cursor"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _errors(operation: Operation) -> list[int]:
    errors = {400, 403, 421, 422, 503}
    if operation.needs is not None:
        errors |= {401, 429}
    if operation.parameters or operation.query is not None:
        errors.add(404)  # a query, too, may name what is not there
    if operation.method != "GET":
        errors |= {404, 408, 409, 413, 415, 507}
    if operation.etag and operation.method != "GET":
        errors.add(412)
    return sorted(errors)


def _problems() -> Json:
    """An answer for each status that any operation may fail with."""
    used = sorted({status for operation in OPERATIONS for status in _errors(operation)})
    content = {"application/problem+json": {"schema": {"$ref": f"{REF}Problem"}}}
    return {
        HTTPStatus(status).name: {"description": HTTPStatus(status).phrase, "content": content}
        for status in used
    }


def _parameter(name: str, place: str, required: bool, schema: Json) -> Json:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _object(properties: Json, required: list[str], said: str) -> Json:
    schema: Json = {"type": "object", "properties": properties}
    if said:
        schema["description"] = said
    if required:
        schema["required"] = required
    return schema


def _json(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _said(kind: type) -> str:
    said = (kind.__doc__ or "").strip()
    return "" if said.startswith(f"{kind.__name__}(") else said.replace("\n    ", "\n")


def _bounds(meta: msgspec.Meta) -> Json:
    bounds = {"minimum": meta.ge, "maximum": meta.le}
    return {name: bound for name, bound in bounds.items() if bound is not None}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
