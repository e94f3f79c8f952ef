"""The configuration in force, as it is shown to a person."""

from __future__ import annotations

from pathlib import Path

from backend.config.describe import describe
from backend.config.effective import DEFAULT, HIDDEN, agent_settings, config_settings
from backend.config.load import Loaded, load

CONFIG = """\
mode: local
server:
  api_key: sk-secret
checks:
  - make test
  - name: lint
    command: make lint
keys:
  task.accept: A
limits:
  attempts: 3
"""
AGENTS = """\
- name: impl
  role: implement
  env: {TOKEN: hunter2}
  timeout: 30m
- name: docs
  role: docs
  price: {input: 1, output: 2, cache_read: 0.1, cache_write: 1}
"""


def loaded_from(folder: Path, **environ: str) -> Loaded:
    octopoid = folder / ".octopoid"
    octopoid.mkdir(exist_ok=True)
    (octopoid / "config.yaml").write_text(CONFIG)
    (octopoid / "agents.yaml").write_text(AGENTS)
    return load(octopoid, environ)


def test_every_key_has_its_value_and_its_source(tmp_path: Path) -> None:
    found = {one.key: (one.value, one.source) for one in config_settings(loaded_from(tmp_path))}
    assert found["limits.attempts"] == ("3", ".octopoid/config.yaml:11")
    assert found["limits.rejections"] == ("3", DEFAULT)
    assert found["mode"] == ("local", ".octopoid/config.yaml:1")
    assert found["server.url"] == ("none", DEFAULT)
    assert found["checks"] == ("2 entries", ".octopoid/config.yaml:4")
    assert found["keys"] == ('{"task.accept":"A"}', ".octopoid/config.yaml:8")


def test_a_short_form_is_from_where_it_stands(tmp_path: Path) -> None:
    found = {one.key: (one.value, one.source) for one in config_settings(loaded_from(tmp_path))}
    assert found["checks[0].command"] == ("make test", ".octopoid/config.yaml:5")
    assert found["checks[0].timeout_s"] == ("900", DEFAULT)
    assert found["checks[1].command"] == ("make lint", ".octopoid/config.yaml:7")


def test_no_key_of_the_schema_is_left_out(tmp_path: Path) -> None:
    loaded = loaded_from(tmp_path)
    shown = {one.doc.path for one in config_settings(loaded)}
    assert shown == {doc.path for doc in describe() if doc.file == "config.yaml"}
    wanted = {doc.path for doc in describe() if doc.file == "agents.yaml"} - {"agents"}
    assert {one.doc.path for one in agent_settings(loaded, 0)} == wanted
    assert {one.doc.path for one in agent_settings(loaded, 1)} == wanted


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    loaded = loaded_from(tmp_path, OCTOPOID_API_KEY="sk-other")
    found = {one.key: one for one in (*config_settings(loaded), *agent_settings(loaded, 0))}
    assert (found["server.api_key"].value, found["server.api_key"].source) == (HIDDEN, "OCTOPOID_API_KEY")
    assert found["agents[0].env"].value == f"TOKEN {HIDDEN}"
    everything = " ".join(one.value for one in found.values())
    assert "sk-" not in everything
    assert "hunter2" not in everything


def test_a_section_that_is_absent_has_its_keys_all_the_same(tmp_path: Path) -> None:
    loaded = loaded_from(tmp_path)
    absent = {one.key: one for one in agent_settings(loaded, 0)}
    assert (absent["agents[0].price.input"].value, absent["agents[0].price.input"].source) == (
        "none",
        DEFAULT,
    )
    given = {one.key: one for one in agent_settings(loaded, 1)}
    assert given["agents[1].price.output"].value == "2.0"
    assert given["agents[1].price.output"].source == ".octopoid/agents.yaml:7"
    assert absent["agents[0].timeout"].value == "1800"
