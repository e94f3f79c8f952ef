"""What doctor concludes from what it finds."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from octopoid_tui.cli import checkup

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /home rw shared:2 - nfs4 server:/home rw
31 30 8:2 / /home/una/local\\040disk rw - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/project", "ext4"),
        ("/home/una/project", "nfs4"),
        ("/home/una/local disk/project", "xfs"),
        ("/homestead", "ext4"),
    ],
)
def test_the_file_system_is_that_of_the_longest_mount_point(path: str, kind: str) -> None:
    assert checkup.filesystem_of(Path(path), MOUNTS) == kind


@pytest.mark.parametrize(("free", "level"), [(10 << 30, "ok"), (1 << 30, "warning"), (1 << 20, "broken")])
def test_little_space_is_told_in_time(
    free: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert checkup.check_disk(tmp_path).level == level


@pytest.mark.parametrize(
    ("version", "level"), [((3, 45, 1), "warning"), ((3, 51, 2), "warning"), ((3, 51, 3), "ok")]
)
def test_a_sqlite_with_the_wal_fault_is_a_warning(
    version: tuple[int, int, int], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", version)
    assert checkup.check_sqlite().level == level


def test_a_folder_that_others_can_write_is_broken(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert checkup.check_home(tmp_path).level == "ok"
    tmp_path.chmod(0o777)
    finding = checkup.check_home(tmp_path)
    assert finding.level == "broken"
    assert "chmod go-w" in finding.next_step


@pytest.mark.parametrize(
    ("env", "level"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "ok"),
        ({"TERM": "xterm-256color"}, "ok"),
        ({"TERM": "screen", "TMUX": "/tmp/tmux"}, "warning"),
        ({"TERM": "dumb"}, "warning"),
        ({}, "warning"),
    ],
)
def test_the_terminal_is_judged_by_its_environment(
    env: dict[str, str], level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "COLORTERM", "TMUX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    assert checkup.check_terminal().level == level


def test_a_missing_git_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    finding = checkup.check_git()
    assert finding.level == "broken"
    assert finding.next_step
