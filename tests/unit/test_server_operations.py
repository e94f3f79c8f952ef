"""X7: no route without an entry in the table of operations, and no entry without a route."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.routing import Match

from backend.interface import Action
from backend.keys import KeyScope
from backend.server.app import ROUTERS
from backend.server.operations import OPERATIONS, find_operation
from backend.server.problems import NoSuchAddress, WrongMethod
from backend.server.routes.transitions import ACTIONS
from backend.service.transitions import ELSEWHERE

ROUTES: list[tuple[str, str, Any]] = [
    (method, prefix + route.path, route)
    for prefix, router in ROUTERS
    for route in router.routes
    for method in route.methods  # type: ignore[attr-defined]
]


@pytest.mark.parametrize(("method", "path"), [(method, path) for method, path, _ in ROUTES])
def test_every_route_has_an_entry(method: str, path: str) -> None:
    assert (method, path) in {(operation.method, operation.path) for operation in OPERATIONS}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_every_entry_has_a_route(operation: Any) -> None:
    path = re.sub(r"{\w+}", "x", operation.path)
    for prefix, router in ROUTERS:
        scope = {"type": "http", "method": operation.method, "path": path.removeprefix(prefix)}
        if path.startswith(prefix) and any(route.matches(scope)[0] is Match.FULL for route in router.routes):
            return
    raise AssertionError(f"nothing answers {operation.method} {operation.path}")


def test_every_action_that_a_client_may_ask_for_is_described() -> None:
    named = {operation.path.rpartition("/")[2] for operation in OPERATIONS if "{task_id}/" in operation.path}
    asked = {name for name, action in ACTIONS.items() if action not in ELSEWHERE}
    assert asked <= named


def test_names_are_there_once() -> None:
    names = [operation.name for operation in OPERATIONS if operation.described]
    assert len(names) == len(set(names))
    addresses = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(addresses) == len(set(addresses))


def test_reading_never_changes_and_changing_never_takes_read_alone() -> None:
    for operation in OPERATIONS:
        if operation.method == "GET":
            assert operation.needs in (None, KeyScope.READ, KeyScope.ADMIN), operation
        else:
            assert operation.needs in (KeyScope.WORK, KeyScope.ADMIN), operation


def test_forcing_takes_an_administrator_however_it_is_spelled() -> None:
    assert find_operation("POST", "/api/v1/tasks/t/force").needs is KeyScope.ADMIN
    for path in ("/api/v1/tasks/t/force/", "/api/v1//tasks/t/force", "/api/v1/tasks/t/x/force"):
        with pytest.raises(NoSuchAddress):
            find_operation("POST", path)
    assert "force\n" not in ACTIONS
    assert Action.FORCE.value in ACTIONS


def test_a_wrong_method_names_the_right_ones() -> None:
    with pytest.raises(WrongMethod, match="DELETE, GET, PATCH"):
        find_operation("PUT", "/api/v1/tasks/t")


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        (KeyScope.READ, {"read"}),
        (KeyScope.WORK, {"read", "work"}),
        (KeyScope.ADMIN, {"read", "work", "admin"}),
    ],
)
def test_scopes_cover_what_comes_before_them(scope: KeyScope, covered: set[str]) -> None:
    assert {other.value for other in KeyScope if scope.covers(other)} == covered
