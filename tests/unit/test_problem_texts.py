"""What is said when something is refused: the thing, the reason, and the next step."""

from __future__ import annotations

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import backend.server
from backend.errors import OctopoidError

ROOT = Path(__file__).parents[2] / "backend"


def kinds(base: type[OctopoidError]) -> Iterator[str]:
    yield base.__name__
    for kind in base.__subclasses__():
        yield from kinds(kind)


@pytest.fixture(scope="module")
def names() -> frozenset[str]:
    for module in pkgutil.walk_packages(backend.server.__path__, "backend.server."):
        importlib.import_module(module.name)
    importlib.import_module("backend.transfer.document")
    return frozenset(kinds(OctopoidError))


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_error_is_made_with_a_next_step(path: Path, names: frozenset[str]) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            said = [ast.unparse(part) for part in node.args]
            where = f"{path.name}:{node.lineno}: {node.func.id}({', '.join(said)})"
            assert len(said) >= 2, f"{where} names no next step"
            assert said[1] not in ("''", '""'), f"{where} names an empty next step"
