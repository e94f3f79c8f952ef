"""What each way in imports, seen from a fresh interpreter: heavy packages only where they are used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVERS = ("fastapi", "starlette", "uvicorn")
NEVER = ("anthropic", "psycopg", "mcp", "openai")
SCREEN = ("textual", "rich")

PROBE = """
import json, sys
sys.argv = ["octopoid", *json.loads(sys.argv[1])]
from octopoid_tui.__main__ import main
try:
    main()
except SystemExit as ended:
    status = ended.code
sys.stdout.flush()
sys.stderr.write("\\n" + json.dumps({"status": status, "modules": sorted(sys.modules)}))
"""


def environment(**extra: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OCTOPOID_")}
    return {**kept, "PYTHONPATH": str(ROOT), **extra}


def imported_by(*arguments: str, cwd: Path, status: int = 0, **env: str) -> set[str]:
    """The top-level packages that one command line has imported when it ends."""
    said = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(arguments)],
        cwd=cwd,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(said.stderr.rsplit("\n", 1)[1])
    assert found["status"] == status, said.stderr
    return {name.partition(".")[0] for name in found["modules"]}


def imported_with(module: str) -> set[str]:
    probe = f"import sys, {module}; print(*sys.modules)"
    said = subprocess.run(
        [sys.executable, "-c", probe],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return {name.partition(".")[0] for name in said.stdout.split()}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["enqueue", "--help"], ["run", "--help"], ["status", "--help"]]
)
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    modules = imported_by(*arguments, cwd=tmp_path)
    assert "typer" in modules
    assert not modules.intersection(SCREEN + SERVERS + NEVER + ("httpx", "git", "sqlite3", "yaml"))


def test_ask_needs_no_package_but_ours(tmp_path: Path) -> None:
    for name in ("outbox", "inbox"):
        (tmp_path / name).mkdir()
    (tmp_path / "inbox" / "q1.json").write_text('{"answer": "yes"}')
    modules = imported_by("ask", "Q?", "--id", "q1", cwd=tmp_path, OCTOPOID_RUN_DIR=str(tmp_path))
    installed = modules - set(sys.stdlib_module_names) - {"__main__", "octopoid_tui", "backend"}
    # What a site-packages start-up file imports is there before us.
    started = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert installed <= {name.partition(".")[0] for name in started.stdout.split()}
    assert not modules.intersection({"asyncio", "typer", "sqlite3", "ssl"})


def test_the_tool_server_needs_no_package_but_ours(tmp_path: Path) -> None:
    for name in ("outbox", "inbox"):
        (tmp_path / name).mkdir()
    modules = imported_by("mcp", cwd=tmp_path, OCTOPOID_RUN_DIR=str(tmp_path))
    heavy = ("asyncio", "msgspec", "sqlite3", "typer", "yaml")
    assert not modules.intersection(SCREEN + SERVERS + NEVER + heavy)


def test_a_command_on_its_own_store_needs_no_server_and_no_screen(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=u", "-c", "user.email=u@example.org"]
    subprocess.run([*git, "init", "-q", tmp_path], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], cwd=tmp_path, check=True)
    imported_by("init", cwd=tmp_path)
    for arguments in (["enqueue", "Fix it"], ["list"], ["status", "--json"]):
        modules = imported_by(*arguments, cwd=tmp_path)
        assert "sqlite3" in modules
        assert not modules.intersection(SCREEN + SERVERS + NEVER + ("httpx",))


def test_the_scheduler_knows_no_screen() -> None:
    modules = imported_with("scheduler.loop")
    assert not modules.intersection(SCREEN + SERVERS + NEVER + ("typer",))


def test_the_screen_starts_without_server_and_client() -> None:
    modules = imported_with("octopoid_tui.app, octopoid_tui.screen")
    assert "textual" in modules
    assert not modules.intersection(SERVERS + NEVER + ("httpx", "git", "typer"))
