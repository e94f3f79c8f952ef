"""What every test of a screen needs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
import settled
from textual.app import App
from textual.pilot import Pilot


@pytest.fixture(autouse=True)
def a_pause_waits_for_what_is_to_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine, Textual's own pause ends too early."""
    monkeypatch.setattr(Pilot, "pause", settled.pause)
    monkeypatch.setattr("textual.app.wait_for_idle", settled.after_a_key)


def shown(app: App[object]) -> list[str]:
    """The lines of the screen, as text without colour."""
    return [strip.text for strip in app.screen._compositor.render_strips()]


@pytest.fixture
def screen_text() -> Callable[[App[object]], list[str]]:
    """`screen_text(app)`: the lines of the screen, as text without colour."""
    return shown


@pytest.fixture(scope="session")
def hostile_payloads() -> dict[str, str]:
    """The corpus of tests/hostile.py: what an agent may write to do harm, by name."""
    path = Path(__file__).parent.parent / "hostile.py"
    spec = importlib.util.spec_from_file_location("octopoid_test_hostile", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.PAYLOADS)
