"""Reading the configuration: the examples, the defaults, and what is said of everything that is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.config.load import Loaded, Reloader, load
from backend.config.schema import Check, Config
from backend.errors import ConfigError

EXAMPLE_CONFIG = """\
# Mode: local or remote
mode: remote

# Server configuration (remote mode)
server:
  enabled: true
  url: https://octopoid-server.username.workers.dev
  cluster: production
  machine_id: my-machine
  api_key: your-api-key  # Optional

# Agent configuration
agents:
  max_concurrent: 3

# Repository
repo:
  path: /path/to/project
  main_branch: main
"""

EXAMPLE_AGENTS = """\
agents:
  - name: implementer-1
    role: implement
    interval_seconds: 300
    model: claude-sonnet-4-20250514
    max_turns: 50

  - name: breakdown-agent
    role: breakdown
    interval_seconds: 600
    model: claude-sonnet-4-20250514

  - name: gatekeeper-1
    role: review
    interval_seconds: 300
    model: claude-opus-4-20250514
"""

ONE_AGENT = "- {name: a, role: implement, adapter: demo}\n"


def write(tmp_path: Path, config: str | bytes = "", agents: str | bytes = ONE_AGENT) -> Path:
    folder = tmp_path / ".octopoid"
    folder.mkdir(exist_ok=True)
    for name, content in (("config.yaml", config), ("agents.yaml", agents)):
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(0o600)
    return folder


def read(tmp_path: Path, config: str | bytes = "", agents: str | bytes = ONE_AGENT) -> Loaded:
    return load(write(tmp_path, config, agents), {})


def told(tmp_path: Path, config: str | bytes = "", agents: str | bytes = ONE_AGENT) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, config, agents)
    return [str(caught.value), *caught.value.details]


def test_the_documented_examples_work(tmp_path: Path) -> None:
    loaded = read(tmp_path, EXAMPLE_CONFIG, EXAMPLE_AGENTS)
    server = loaded.config.server
    assert loaded.config.mode == "remote"
    assert (server.enabled, server.cluster, server.machine_id) == (True, "production", "my-machine")
    assert (server.url, server.api_key) == ("https://octopoid-server.username.workers.dev", "your-api-key")
    assert loaded.config.agents.max_concurrent == 3
    assert (loaded.config.repo.path, loaded.config.repo.main_branch) == ("/path/to/project", "main")
    assert [(a.name, a.role, a.interval_seconds, a.max_turns) for a in loaded.agents] == [
        ("implementer-1", "implement", 300, 50),
        ("breakdown-agent", "breakdown", 600, None),
        ("gatekeeper-1", "review", 300, None),
    ]
    assert loaded.agents[0].adapter == "claude"
    assert loaded.warnings == ()


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n", "limits:\n# attempts: 3\n", "checks:\n"])
def test_an_empty_config_means_the_defaults(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).config == Config()


@pytest.mark.parametrize("text", ["", "agents:\n", "agents: []\n", "[]\n", "# all\n#- name: commented\n"])
def test_no_agents_is_a_warning(tmp_path: Path, text: str) -> None:
    """L-40: nobody has to find out why nothing happens."""
    loaded = read(tmp_path, agents=text)
    assert loaded.agents == ()
    assert "agents.yaml: no agents configured" in loaded.warnings[0]


@pytest.mark.parametrize("name", ["config.yaml", "agents.yaml"])
def test_a_missing_file_is_an_error(tmp_path: Path, name: str) -> None:
    """L-40: a file that is not where it should be is named, never taken for an empty one."""
    folder = write(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=rf"\.octopoid/{name}: cannot be read.*octopoid init"):
        load(folder, {})


def test_all_keys(tmp_path: Path) -> None:
    loaded = read(
        tmp_path,
        """\
checks:
  - make test
  - {name: lint, command: ruff check ., timeout_s: 60}
review: both
merge: squash
budgets: {task_usd: 5, day_usd: 12.5}
leases: {seconds: 60, heartbeat_seconds: 20}
keys: {task.accept: a, app.help: ["?", f1], app.quit: 1}
theme: nord
repo: {main_branch: 1.10}
notify: {bell: false}
""",
        """\
- name: one
  role: implement
  adapter: command
  command: [python, agent.py, 3]
  env: {PORT: 8080, DEBUG: no}
  permissions: [Read, Bash(git diff)]
  timeout: 1h30m
  idle_timeout: 90
  max_instances: 2
  budget_usd: 1
  paused: true
""",
    )
    config, (agent,) = loaded.config, loaded.agents
    assert config.checks == (
        Check(name="make test", command="make test"),
        Check(name="lint", command="ruff check .", timeout_s=60),
    )
    assert (config.review, config.merge, config.budgets.day_usd) == ("both", "squash", 12.5)
    assert config.keys == {"task.accept": "a", "app.help": ("?", "f1"), "app.quit": "1"}
    assert (config.repo.main_branch, config.theme, config.notify.bell) == ("1.10", "nord", False)
    assert agent.command == ("python", "agent.py", "3")
    assert agent.env == {"PORT": "8080", "DEBUG": "no"}
    assert agent.permissions == ("Read", "Bash(git diff)")
    assert (agent.timeout, agent.idle_timeout, agent.budget_usd, agent.paused) == (5400, 90, 1.0, True)


def test_a_review_that_no_agent_can_make_is_warned_of(tmp_path: Path) -> None:
    """L-40: a setting that does nothing must not look as if it did."""
    loaded = read(
        tmp_path,
        "review: both\n",
        "- {name: one, role: implement, adapter: command, command: [a]}\n",
    )
    assert loaded.warnings == (
        ".octopoid/config.yaml:1: review is both, but no agent here has role review: add one to agents.yaml",
    )
    reviewer = "- {name: one, role: review, adapter: command, command: [a]}\n"
    assert read(tmp_path, "review: agent\n", reviewer).warnings == ()


def test_no_check_is_called_like_the_verdicts_of_agents(tmp_path: Path) -> None:
    said = told(tmp_path, "checks:\n  - {name: agent review, command: 'true'}\n")
    assert "is called agent review, as agents' verdicts are: rename it" in said[0]


def test_unknown_key(tmp_path: Path) -> None:
    assert told(tmp_path, "mode: local\n\nagents:\n  max_concurent: 3\n") == [
        ".octopoid/config.yaml:4: agents.max_concurent is not a known key: did you mean max_concurrent?"
    ]


def test_all_problems_of_both_files_are_told_at_once(tmp_path: Path) -> None:
    config = "mode: locl\nlimits: {attempts: 0, tries: 1}\n"
    problems = told(tmp_path, config, "- {name: a, role: b, adaptor: demo}\n- {name: c}\n")
    assert [problem.partition(" ")[0] for problem in problems] == [
        ".octopoid/config.yaml:1:", ".octopoid/config.yaml:2:", ".octopoid/config.yaml:2:",
        ".octopoid/agents.yaml:1:", ".octopoid/agents.yaml:2:",
    ]  # fmt: skip
    assert "did you mean local?" in problems[0]
    assert "did you mean adapter?" in problems[3]
    assert problems[4].endswith("agents[1] needs role")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("agents: {max_concurrent: many}", "max_concurrent is not valid: expected a whole number, got text"),
        ("agents: {max_concurrent: 0}", "agents.max_concurrent is not valid: expected a whole number >= 1"),
        ("agents: {max_concurrent: '3'}", "expected a whole number, got text"),
        ("agents: {max_concurrent: 3.5}", "expected a whole number"),
        ("agents: {max_concurrent: }", "agents.max_concurrent has no value"),
        ("agents: [a]", "agents is a list: it takes agents"),
        ("agents: 3", "agents is a single value"),
        ("notify: {bell: yes}", "expected true or false, got text: write true or false"),
        ("checks: make", "checks is a single value: it takes list of check"),
        ("checks: [{name: x}]", "checks[0] needs command"),
        ("checks: [{nam: x, command: y, name: z}]", "checks[0].nam is not a known key: did you mean name?"),
        ("checks: ['']", "checks[0] is not valid: expected text of length >= 1"),
        ("checks: [make, make]", "checks[1] uses the name 'make' a second time"),
        ("merge: sqash", "is 'sqash', not one of merge, squash, rebase, push, pr: did you mean squash?"),
        ("merge: push", "merge is push, which is not available in this version"),
        ("merge: pr", "merge is pr, which is not available in this version"),
        ("review: [human]", "review is a list: it takes human, agent, both, auto"),
        ("mode: remote", "mode is remote, but server.url is not set: set server.url or OCTOPOID_SERVER"),
        ("server: {url: 'ftp://x'}", "server.url must be http:// or https:// and a host"),
        ("server: {url: 'https://u:p@x'}", "server.url must not hold a password"),
        ("server: {url: 'http://[x'}", "server.url is not a valid address"),
        ("server: {machine_id: ../x}", "server.machine_id is not usable"),
        ("repo: {main_branch: --upload-pack=x}", "repo.main_branch is not usable"),
        ("repo: {main_branch: null}", "repo.main_branch has no value"),
        ("leases: {heartbeat_seconds: 200}", "heartbeat_seconds is more than half of leases.seconds (300)"),
        ("budgets: {day_usd: -1}", "budgets.day_usd is not valid: expected a number > 0"),
        ("budgets: {day_usd: .nan}", "budgets.day_usd is not valid: expected"),
        ("[a, b]", "must be keys and values"),
        ("just words", "must be keys and values"),
    ],
)
def test_wrong_values_in_config(tmp_path: Path, config: str, expected: str) -> None:
    (problem,) = told(tmp_path, config)
    assert problem.startswith(".octopoid/config.yaml:1: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("agents", "expected"),
    [
        ("- {name: a, role: b, isolation: landlock}", "is landlock, which is not available in this version"),
        ("- {name: a, role: b, isolation: docker}", "not one of none, landlock, bubblewrap, command"),
        ("- {name: a, role: b, adapter: command}", "(a) has adapter command but no command"),
        ("- {name: a, role: b, adapter: command, command: ['']}", "(a) has adapter command but no command"),
        ("- {name: a, role: b, adapter: clude}", "did you mean claude?"),
        ("- {name: a, role: b, command: [x]}", "agents[0].command is only for adapters acp and command"),
        ("- {name: a, role: b, command: x y}", "agents[0].command is a single value: it takes list of text"),
        ("- {name: a/b, role: b}", "agents[0].name is not usable"),
        ("- {name: a, role: ../b}", "agents[0].role is not usable"),
        ("[{name: a, role: b}, {name: a, role: c}]", "agents[1].name uses the name 'a' a second time"),
        ("[{name: a, role: b, max_instances: 2}, {name: a-2, role: c}]", "uses the name 'a-2' a second time"),
        ("- {name: a, role: b, timeout: soon}", "agents[0].timeout is 'soon', no time"),
        ("- {name: a, role: b, timeout: 0s}", "agents[0].timeout is not valid: expected a whole number >= 1"),
        ("- {name: a, role: b, permissions: everything}", "not one of ask, accept-edits, or a list"),
        ("- {name: a, role: b, env: {'A=B': c}}", "which is no name of a variable"),
        ("- {name: a, role: b, env: {A: [c]}}", "agents[0].env.A is a list: it takes text"),
        ("- a", "agents[0] is a single value: it takes agent"),
        ("agent: []", "agent is not a known key: did you mean agents?"),
        ("name", "must be a list of agents"),
    ],
)
def test_wrong_values_in_agents(tmp_path: Path, agents: str, expected: str) -> None:
    (problem,) = told(tmp_path, agents=agents)
    assert problem.startswith(".octopoid/agents.yaml:1: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("config", "line", "expected"),
    [
        ("mode: local\nmode: remote\n", 2, "'mode' is here twice, first on line 1"),
        ("mode: local\n\tserver: {}\n", 2, "tab"),
        ("server:\n\turl: x\n", 2, "tab"),
        ("mode: &m local\n", 1, "anchor"),
        ("mode: local\ntheme: *m\n", 2, "alias"),
        ("mode: !!str local\n", 1, "tag"),
        ("mode: [\n", 2, "not YAML"),
        ("mode: local\n---\nmode: remote\n", 2, "second document"),
        ("limits: {<<: {attempts: 1}}\n", 1, "merge keys"),
        ("a: \x07\n", 1, "control character U+0007"),
        (b"mode: local\ntheme: \xff\n", 2, "not UTF-8"),
        ("? [a]\n: b\n", 1, "a key must be a word"),
    ],
)
def test_what_is_no_plain_yaml(tmp_path: Path, config: str | bytes, line: int, expected: str) -> None:
    (problem,) = told(tmp_path, config)
    assert problem.startswith(f".octopoid/config.yaml:{line}: ")
    assert expected in problem


def test_byte_order_mark_and_crlf(tmp_path: Path) -> None:
    loaded = read(tmp_path, b"\xef\xbb\xbfmode: local\r\nlimits:\r\n  attempts: 2\r\n")
    assert loaded.config.limits.attempts == 2


def test_too_large(tmp_path: Path) -> None:
    assert "larger than 1024 KiB" in told(tmp_path, b"#" * ((1 << 20) + 1))[0]


def test_a_pipe_does_not_block(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "config.yaml").unlink()
    os.mkfifo(folder / "config.yaml")
    with pytest.raises(ConfigError, match="not a regular file"):
        load(folder, {})


def test_problems_are_counted_when_there_are_very_many(tmp_path: Path) -> None:
    problems = told(tmp_path, "".join(f"k{number}: 1\n" for number in range(1000)))
    assert len(problems) == 51
    assert problems[-1] == "and 950 more"


def test_hostile_keys_are_harmless_in_messages(tmp_path: Path) -> None:
    problem = told(tmp_path, '"\\e]0;x\\a\\n": 1\n')[0]
    assert problem.isprintable()


def test_the_key_is_never_shown(tmp_path: Path) -> None:
    secret = "oct_geheim"
    assert secret not in repr(read(tmp_path, f"server: {{api_key: {secret}}}"))
    assert secret not in repr(load(write(tmp_path), {"OCTOPOID_API_KEY": secret}))
    assert secret not in "".join(told(tmp_path, f"server: {{api_key: [{secret}]}}"))
    agents = f"- {{name: a, role: b, env: {{TOKEN: {secret}}}}}"
    assert secret not in repr(read(tmp_path, agents=agents))


def test_a_readable_key_is_a_warning(tmp_path: Path) -> None:
    folder = write(tmp_path, "server: {api_key: k}")
    assert load(folder, {}).warnings == ()
    (folder / "config.yaml").chmod(0o644)
    (warning,) = load(folder, {}).warnings
    assert "chmod 600" in warning
    assert load(write(tmp_path, "mode: local"), {}).warnings == ()


def test_the_environment_overrides(tmp_path: Path) -> None:
    folder = write(tmp_path, "mode: local\nserver: {enabled: false, api_key: old}\n")
    loaded = load(folder, {"OCTOPOID_SERVER": "http://127.0.0.1:8787", "OCTOPOID_API_KEY": "new"})
    assert loaded.config.mode == "remote"
    assert (loaded.config.server.url, loaded.config.server.api_key) == ("http://127.0.0.1:8787", "new")
    assert loaded.sources["server.url"] == "OCTOPOID_SERVER"
    assert loaded.sources["mode"] == loaded.sources["server.enabled"] == "OCTOPOID_SERVER"
    with pytest.raises(ConfigError, match="OCTOPOID_SERVER: must be http"):
        load(folder, {"OCTOPOID_SERVER": "nonsense"})


def test_the_repository_is_beside_the_folder_unless_it_is_told(tmp_path: Path) -> None:
    assert read(tmp_path).repository == tmp_path
    assert read(tmp_path, "repo: {path: ../other}").repository == tmp_path.parent / "other"
    assert read(tmp_path, "repo: {path: /srv/project}").repository == Path("/srv/project")


def test_reloader(tmp_path: Path) -> None:
    folder = write(tmp_path, "limits: {attempts: 2}")
    refusal: ConfigError | None = None

    def admit() -> ConfigError | None:
        return refusal

    reloader = Reloader(load(folder, {}), {})
    assert reloader.poll(admit) is None

    write(tmp_path, "limits: {attempts: nine}")
    error = reloader.poll(admit)
    assert isinstance(error, ConfigError)
    assert reloader.error is error
    assert reloader.current.config.limits.attempts == 2, "the last good one stays in force"
    assert reloader.poll(admit) is None, "an error is told once"

    write(tmp_path, "limits: {attempts: 9}")
    loaded = reloader.poll(admit)
    assert isinstance(loaded, Loaded)
    assert reloader.current is loaded
    assert loaded.config.limits.attempts == 9

    refusal = ConfigError("nobody has agreed to it")
    write(tmp_path, "limits: {attempts: 7}")
    assert reloader.poll(admit) is refusal
    assert reloader.poll(admit) is None, "it is told once"
    assert (reloader.error, reloader.current.config.limits.attempts) == (refusal, 9)
    refusal = None
    agreed = reloader.poll(admit)
    assert isinstance(agreed, Loaded)
    assert (reloader.error, agreed.config.limits.attempts) == (None, 7)

    (folder / "agents.yaml").unlink()
    assert isinstance(reloader.poll(admit), ConfigError)
    assert len(reloader.current.agents) == 1


def test_imports_stay_light() -> None:
    """Reading the configuration is on the path of every command."""
    code = "import sys, backend.config.load, backend.config.init; print(*sys.modules, sep='\\n')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert loaded.isdisjoint({"httpx", "textual", "typer", "frontmatter", "rich", "fastapi", "git"})
