"""The log proves itself when it is opened (L-41)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from octopoid_tui.cli.logfile import LogBroken, close_log, open_log


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    level = logging.getLogger().level
    yield
    close_log()
    logging.getLogger().setLevel(level)


def test_l41_the_first_line_is_written_and_read_back(tmp_path: Path) -> None:
    path = open_log(tmp_path / "logs")
    assert "log opened by process" in path.read_text()
    logging.getLogger("scheduler.loop").info("a line of a module")
    assert "scheduler.loop: a line of a module" in path.read_text()


def test_l41_a_log_that_swallows_its_lines_is_an_error(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "scheduler.log").symlink_to("/dev/null")
    with pytest.raises(LogBroken, match="stays empty"):
        open_log(logs)


def test_a_log_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    with pytest.raises(LogBroken, match="cannot be written"):
        open_log(tmp_path / "logs")


def test_opening_twice_writes_each_line_once(tmp_path: Path) -> None:
    open_log(tmp_path)
    path = open_log(tmp_path)
    logging.getLogger("x").info("only once")
    assert path.read_text().count("only once") == 1
