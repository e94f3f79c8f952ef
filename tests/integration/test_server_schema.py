"""The live server against its own OpenAPI document: whatever is sent, it does not break."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tcp_serving import serve_tcp

from backend.server.openapi import document

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 6
STATUSES = {
    f"{method.upper()} {path}": [int(status) for status in said["responses"]]
    for path, methods in document()["paths"].items()
    for method, said in methods.items()
}


def _hammer(url: str) -> set[str]:
    """Call every operation with generated input; which were called."""
    schema = schemathesis.openapi.from_dict(document())
    schema.config.update(base_url=url)
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        _hammer_one(operation)
    return {operation.label for operation in operations}


def _hammer_one(operation: Any) -> None:
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        (case.query or {}).pop("wait", None)  # it would be waited for
        answer = case.call(timeout=120)
        said = f"{operation.label} answered {answer.status_code}: {answer.text[:300]}"
        assert answer.status_code < 500, said
        documented = {str(HTTPStatus(code)) for code in STATUSES[operation.label]}
        assert str(HTTPStatus(answer.status_code)) in documented, said

    call()


@pytest.mark.slow
async def test_no_generated_request_breaks_the_server(tmp_path: Path) -> None:
    async with serve_tcp(tmp_path, keys=False) as site:
        called = await asyncio.to_thread(_hammer, site.url)
        assert called == STATUSES.keys()
        assert (await site.http.get("/api/health")).status_code == 200
