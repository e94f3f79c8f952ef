"""The OpenAPI document is the one that is committed, and says what it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backend.server.openapi import document
from backend.server.operations import OPERATIONS

COMMITTED = Path(__file__).parents[2] / "sdk" / "openapi.json"


@pytest.fixture(scope="module")
def made() -> Any:
    return document()


def test_the_committed_document_is_up_to_date(made: Any) -> None:
    assert json.loads(COMMITTED.read_text(encoding="utf-8")) == made, (
        "run: python -m backend.server.openapi > sdk/openapi.json"
    )


def test_every_operation_is_there_with_its_statuses(made: Any) -> None:
    for operation in OPERATIONS:
        said = made["paths"].get(operation.path, {}).get(operation.method.lower())
        if not operation.described:
            assert said is None
            continue
        assert said["operationId"] == operation.name
        assert {str(status) for status in operation.statuses} <= said["responses"].keys()
        assert "422" in said["responses"]


def test_every_reference_leads_somewhere(made: Any) -> None:
    def references(part: Any) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [one for value in part.values() for one in references(value)]
        return [one for value in part for one in references(value)] if isinstance(part, list) else []

    found = references(made["paths"])
    assert found
    for reference in found + references(made["components"]):
        place = made
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
        assert place


def test_records_are_named_as_they_travel(made: Any) -> None:
    schemas = made["components"]["schemas"]
    assert "lease_token" in schemas["Task"]["properties"]
    assert "fence" not in schemas["Task"]["properties"]
    assert {"from", "to"} <= schemas["Event"]["properties"].keys()
    assert {"sender_type", "sender_id", "message_type"} <= schemas["Message"]["properties"].keys()
    assert schemas["TaskBody"]["required"] == ["role"]
