"""The pictures of the documentation are what the program draws today."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PICTURES = Path(__file__).parents[2] / "screenshots"


def _make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("octopoid_make_screenshots", PICTURES / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


make = _make()


@pytest.mark.parametrize("shot", make.SHOTS, ids=lambda shot: shot.name)
async def test_the_picture_is_what_the_program_draws(shot: object) -> None:
    """Drawn anew by `python screenshots/make.py`."""
    name = shot.name  # type: ignore[attr-defined]
    drawn = await make.draw(shot)
    kept = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn == kept, f"{name}.svg is of another version: run python screenshots/make.py"


def test_every_picture_has_a_shot() -> None:
    assert {path.stem for path in PICTURES.glob("*.svg")} == {shot.name for shot in make.SHOTS}


def test_no_picture_fetches_anything() -> None:
    for path in PICTURES.glob("*.svg"):
        text = path.read_text(encoding="utf-8")
        assert "url(http" not in text.replace(" ", "").replace('"', "")
