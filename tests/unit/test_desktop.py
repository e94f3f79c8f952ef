"""Notifications on the desktop: what is started for them, with which words."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from octopoid_tui.desktop import CannotNotify, Desktop

HOSTILE = "-u\x1b[31m <b>red</b> & `touch /tmp/x` $(id)\nnext\x07"


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Both programs, as one that writes its arguments down; returns where."""
    path = tmp_path / "said.json"
    for name in ("notify-send", "osascript"):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        script = f"import json, sys; open({str(path)!r}, 'w').write(json.dumps(sys.argv[1:]))"
        program.write_text(f"#!{sys.executable}\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return path


async def test_text_is_one_argument_without_markup_or_control_characters(said: Path) -> None:
    await Desktop.find("linux").show(HOSTILE)
    *options, end, title, text = json.loads(said.read_text())
    assert options == ["--app-name=Octopoid", "--expire-time=10000"]
    assert (end, title) == ("--", "Octopoid")
    assert "&lt;b&gt;red&lt;/b&gt; &amp; `touch /tmp/x` $(id)" in text
    assert text.isprintable()


async def test_on_a_mac_the_text_is_an_argument_of_the_script_and_no_part_of_it(said: Path) -> None:
    await Desktop.find("darwin").show(HOSTILE)
    *script, end, text = json.loads(said.read_text())
    assert script[::2] == ["-e"] * 3
    assert script[3] == 'display notification (item 1 of argv) with title "Octopoid"'
    assert end == "--"
    assert "<b>red</b> & `touch /tmp/x` $(id)" in text


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotNotify, match="needs notify-send, which is not installed"):
        Desktop.find("linux")
    with pytest.raises(CannotNotify, match="needs osascript"):
        Desktop.find("darwin")


async def test_a_desktop_that_refuses_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "notify-send"
    program.write_text("#!/bin/sh\nprintf 'no \\033[31mbus' >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.defpath}")
    with pytest.raises(CannotNotify, match="ended with 3") as caught:
        await Desktop.find("linux").show("text")
    assert "no " in str(caught.value)
    assert "\x1b" not in str(caught.value)
