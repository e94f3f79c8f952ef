"""The first configuration, where things are, and the words of the schema."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.config import init
from backend.config.branch import check_branch
from backend.config.describe import describe
from backend.config.identity import host_id, orchestrator_id
from backend.config.init import write_initial
from backend.config.load import load
from backend.config.locate import SOCKET_PATH_MAX, Layout, find_octopoid_dir
from backend.config.schema import AgentSpec, Config, Server
from backend.config.shipped import shipped
from backend.errors import BadInput, NotFound, Refused

REPOSITORY = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return result.stdout


def test_local(tmp_path: Path) -> None:
    written = write_initial(tmp_path, mode="local", main_branch="trunk", update_checkout=False)
    folder = tmp_path / ".octopoid"
    assert written == [folder / "config.yaml", folder / "agents.yaml", folder / ".gitignore"]
    loaded = load(folder, {})
    assert (loaded.config.mode, loaded.config.repo.main_branch) == ("local", "trunk")
    assert loaded.config.repo.update_checkout is False
    assert loaded.agents == ()
    assert [warning.partition(": ")[2] for warning in loaded.warnings] == [
        "no agents configured, so nothing will be worked on here"
    ]
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert {path.name for path in folder.iterdir()} == {path.name for path in written}


def test_remote(tmp_path: Path) -> None:
    write_initial(
        tmp_path,
        mode="remote",
        main_branch="main",
        server_url="https://octo.example",
        cluster="c",
        machine_id="m",
    )
    config = load(tmp_path / ".octopoid", {}).config
    assert config.mode == "remote"
    assert config.server == Server(enabled=True, url="https://octo.example", cluster="c", machine_id="m")


def test_everything_that_is_commented_out_is_valid_and_shows_the_defaults(tmp_path: Path) -> None:
    write_initial(tmp_path, mode="local", main_branch="main")
    path = tmp_path / ".octopoid" / "config.yaml"
    assert load(path.parent, {}).config == Config()
    switched_on = re.sub(r"(?m)^# ?( *(?:- )?[a-z_.]+:(?: |$)|  - make)", r"\1", path.read_text())
    path.write_text(re.sub(r"(?m)^# ", "#", switched_on).replace("#   ", "  "))
    config = load(path.parent, {}).config
    default = Config()
    for name in ("agents", "review", "merge", "leases", "sessions", "retention", "notify"):
        assert getattr(config, name) == getattr(default, name)
    assert (config.limits.attempts, config.budgets.day_usd, len(config.checks)) == (5, 50, 2)


def test_agents_may_be_given(tmp_path: Path) -> None:
    agents = (
        AgentSpec(name="d", role="implement", adapter="demo", max_instances=3, env={"A": 'no: "x"'}),
        AgentSpec(name="c", role="test", adapter="command", command=("sh", "-c", "true # no"), paused=True),
    )
    write_initial(tmp_path, mode="local", main_branch="main", agents=agents)
    assert load(tmp_path / ".octopoid", {}).agents == agents
    assert init.agents_text(()).endswith("agents: []\n")


@pytest.mark.parametrize("name", ["config.yaml", "agents.yaml"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    folder = tmp_path / ".octopoid"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(Refused, match=rf"{name} exists already"):
        write_initial(tmp_path, mode="local", main_branch="main")
    assert [path.name for path in folder.iterdir()] == [name]
    assert (folder / name).read_text() == "mine"


def test_a_race_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / ".octopoid"
    write = init._write_new

    def overtaken(path: Path, text: str) -> None:
        if path.name == "agents.yaml":
            path.write_text("mine")
        write(path, text)

    monkeypatch.setattr(init, "_write_new", overtaken)
    with pytest.raises(Refused, match=r"agents\.yaml exists already"):
        write_initial(tmp_path, mode="local", main_branch="main")
    assert [path.name for path in folder.iterdir()] == ["agents.yaml"]
    assert (folder / "agents.yaml").read_text() == "mine"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".octopoid").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match="symbolic link"):
        write_initial(tmp_path, mode="local", main_branch="main")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"mode": "remote"},
        {"mode": "remote", "server_url": "file:///x"},
        {"mode": "local", "server_url": "https://x"},
        {"mode": "remote", "server_url": "https://x", "cluster": "a b"},
        {"mode": "remote", "server_url": "https://x", "machine_id": "$(id)"},
        {"mode": "local", "main_branch": "-x"},
    ],
)
def test_wrong_arguments_write_nothing(tmp_path: Path, arguments: dict[str, str]) -> None:
    with pytest.raises(BadInput):
        write_initial(tmp_path, **{"main_branch": "main", **arguments})  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_git_sees_the_configuration_and_nothing_else(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    write_initial(tmp_path, mode="local", main_branch="main")
    folder = tmp_path / ".octopoid"
    for name in ("octopoid.db", "octopoid.db-wal", "runs/r/x.json", "tasks/TASK-1.md", "roles/implement.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    seen = git(tmp_path, "ls-files", "--others", "--exclude-standard").split()
    assert sorted(name.removeprefix(".octopoid/") for name in seen) == [
        ".gitignore", "agents.yaml", "config.yaml", "roles/implement.md", "tasks/TASK-1.md",
    ]  # fmt: skip


def test_find_walks_up_to_the_repository_and_no_further(tmp_path: Path) -> None:
    (tmp_path / ".octopoid").mkdir()
    repository = tmp_path / "repository"
    deep = repository / "a" / "b"
    deep.mkdir(parents=True)
    git(repository, "init", "-q")
    with pytest.raises(NotFound, match="octopoid init --local"):
        find_octopoid_dir(deep, {})
    (repository / ".octopoid").mkdir()
    assert find_octopoid_dir(deep, {}) == repository / ".octopoid"
    assert find_octopoid_dir(tmp_path, {}) == tmp_path / ".octopoid"


def test_octopoid_dir_overrides(tmp_path: Path) -> None:
    folder = tmp_path / "x" / ".octopoid"
    folder.mkdir(parents=True)
    assert find_octopoid_dir(tmp_path, {"OCTOPOID_DIR": str(folder)}) == folder
    with pytest.raises(NotFound, match=rf"set OCTOPOID_DIR={folder}"):
        find_octopoid_dir(tmp_path, {"OCTOPOID_DIR": str(folder.parent)})
    with pytest.raises(NotFound, match="octopoid init"):
        find_octopoid_dir(tmp_path, {"OCTOPOID_DIR": str(tmp_path / "nowhere")})


def test_a_socket_path_always_fits(tmp_path: Path) -> None:
    near = Layout(Path("/p/.octopoid"))
    assert near.socket({}) == Path("/p/.octopoid/octopoid.sock")
    deep = Layout(tmp_path / ("x" * 120) / ".octopoid")
    path = deep.socket({"XDG_RUNTIME_DIR": "/run/user/1"})
    assert path.parent == Path("/run/user/1")
    assert len(str(path)) <= SOCKET_PATH_MAX
    assert path == deep.socket({"XDG_RUNTIME_DIR": "/run/user/1"})
    assert path != Layout(tmp_path / ("y" * 120) / ".octopoid").socket({"XDG_RUNTIME_DIR": "/run/user/1"})


@pytest.mark.parametrize(
    ("host", "expected"),
    [("mini-02.example.org", "mini-02"), ("Ana's Mac", "Ana-s-Mac"), ("", "localhost"), ("-", "localhost")],
)
def test_host_names_become_ids(host: str, expected: str) -> None:
    assert host_id(host) == expected


def test_orchestrator_id() -> None:
    """L-33: one name, made in one place."""
    assert orchestrator_id(Config(server=Server(cluster="test", machine_id="test-1"))) == "test-test-1"
    assert orchestrator_id(Config()).startswith("default-")


GOOD_BRANCHES = ["main", "feature/x", "1.10", "ünïcode", "a@b", "x--y", "release/2024.1", "a/-b"]
BAD_BRANCHES = [
    "-x", "--upload-pack=x", "a..b", "a/../b", ".a", "a/.b", "a.lock", "a/b.lock/c", "a//b", "a/", "/a", "a.",
    "@", "HEAD", "$(id)", "a;id", "`id`", "a b", "a\nb", "a~1", "a^", "a:b", "a?", "a*", "a[", "@{-1}",
    "refs/heads/x", "", "x" * 201,
]  # fmt: skip


@pytest.mark.parametrize("name", GOOD_BRANCHES)
def test_branches_that_are_accepted_are_branches_for_git(name: str) -> None:
    assert check_branch(name) == name
    assert git(Path.cwd(), "check-ref-format", "--branch", name).strip() == name


@pytest.mark.parametrize("name", BAD_BRANCHES)
def test_branches_that_are_refused(name: str) -> None:
    with pytest.raises(BadInput, match="branches are"):
        check_branch(name)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("a1é.-_/@+=#,%{~^: \\"), min_size=1, max_size=8))
def test_nothing_is_accepted_that_git_refuses(name: str) -> None:
    try:
        check_branch(name)
    except BadInput:
        return
    assert git(Path.cwd(), "check-ref-format", "--branch", name).strip() == name


def test_every_key_is_described() -> None:
    docs = describe()
    paths = [doc.path for doc in docs]
    assert len(paths) == len(set(paths))
    assert {"mode", "server.api_key", "checks[].timeout_s", "agents[].idle_timeout"} <= set(paths)
    assert all(doc.description.endswith(".") and doc.type and doc.default for doc in docs)


def test_the_documentation_has_every_key() -> None:
    text = (REPOSITORY / "docs" / "configuration.md").read_text()
    for doc in describe():
        row = f"| `{doc.path}` | {doc.type} | `{doc.default}` | {doc.description} |"
        assert row in text, f"docs/configuration.md has no row like: {row}"


@pytest.mark.parametrize("name", ["implement", "review", "test", "breakdown", "resolve", "fix"])
def test_roles_ship(name: str) -> None:
    """L-07 and L-08: agents keep off shared files, and hear what was said of earlier attempts."""
    text = shipped(f"roles/{name}.md").read_text()
    assert f"role: {name}\n" in text
    used = set(re.findall(r"\{\{[#/]?(\w+)\}\}", text))
    known = {"task_id", "task_title", "task_body", "feedback", "commits_so_far", "diff_stat", "base_branch",
             "conflict_paths", "checks", "fence", "diff", "evidence", "head_sha"}  # fmt: skip
    assert used <= known
    assert {"task_title", "task_body", "feedback", "fence"} <= used
    assert re.findall(r"\{\{#(\w+)\}\}", text) == re.findall(r"\{\{/(\w+)\}\}", text)
    assert 'octopoid ask "question"' in text
    assert re.search(r"[Dd]o not push", text)
    if "produces: commits" in text and name != "resolve":
        assert "changelog" in text


def test_the_agents_that_are_commented_out_can_be_switched_on(tmp_path: Path) -> None:
    write_initial(tmp_path, mode="local", main_branch="main")
    path = tmp_path / ".octopoid" / "agents.yaml"
    blocks = [block for block in path.read_text().split("\n\n") if "# agents:" in block]
    kinds = []
    for block in blocks:
        entry = block[block.index("# agents:") :]
        path.write_text(re.sub(r"(?m)^# ?", "", entry) + "\n")
        kinds += [agent.adapter for agent in load(path.parent, {}).agents]
    assert kinds == ["claude", "command"]
