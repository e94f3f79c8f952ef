"""Draws the pictures of the documentation: the screens over fixed data, as SVG.

    python screenshots/make.py

The pictures depend on nothing but the program: the clock, the data and the ids inside the files are fixed.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "screens"))

from app_pilot import SMALL, WIDE, Driven, driving  # noqa: E402
from fixed_desk import LEFT, FixedDesk, ago, away, configured, empty, fleet, planned, recorded  # noqa: E402

from backend.sync import Conflict, SyncMode, SyncState  # noqa: E402
from octopoid_tui.attendance import Attendance  # noqa: E402
from octopoid_tui.screens.dialogs.help import Help  # noqa: E402
from octopoid_tui.screens.dialogs.new_task import NewTask  # noqa: E402
from octopoid_tui.screens.places.costs import CostsScreen  # noqa: E402
from octopoid_tui.screens.places.projects import ProjectsScreen  # noqa: E402
from octopoid_tui.screens.places.rules import RulesScreen  # noqa: E402
from octopoid_tui.screens.places.settings import SettingsScreen  # noqa: E402
from octopoid_tui.screens.places.since import SinceScreen  # noqa: E402
from octopoid_tui.screens.review.screen import ReviewScreen  # noqa: E402
from octopoid_tui.screens.sync.screen import SyncScreen  # noqa: E402
from octopoid_tui.screens.task.screen import TaskScreen  # noqa: E402

MIDDLE = (120, 36)


async def nothing(driven: Driven) -> None:
    await driven.until(lambda: "Prefer something" in driven.text() or driven.app.size.width < WIDE[0])


async def chat(driven: Driven) -> None:
    await driven.press("4")
    await driven.until(lambda: "Prefer something" in driven.text())


async def review(driven: Driven) -> None:
    driven.control.queues.go_to("01kc7m2q9x4a1")
    await driven.press("d")
    await driven.until(lambda: isinstance(driven.screen, ReviewScreen) and "OrderedDict()" in driven.text())


async def task(driven: Driven) -> None:
    driven.control.queues.go_to("01kc7m2q9x4a1")
    await driven.press("enter")
    await driven.until(lambda: isinstance(driven.screen, TaskScreen) and "Done when" in driven.text())


async def transcript(driven: Driven) -> None:
    """Searched for a line: in the error that it causes, and in the permission to write it."""
    await task(driven)
    await driven.press("tab", "tab")
    await driven.until(lambda: "turn completed" in driven.text())
    await driven.press("slash")
    await driven.type("while self._size")
    await driven.press("enter")
    await driven.until(lambda: "NameError: name 'LIMIT'" in driven.text())
    await driven.press("N")
    await driven.until(lambda: "+        self._size += len(value)" in driven.text())


async def new_task(driven: Driven) -> None:
    await driven.press("n")
    await driven.until(lambda: isinstance(driven.screen, NewTask))


async def agents(driven: Driven) -> None:
    await driven.press("2")
    await driven.until(lambda: "agents can:" in driven.text())


async def projects(driven: Driven) -> None:
    await driven.press("5")
    await driven.until(lambda: isinstance(driven.screen, ProjectsScreen) and "1/5" in driven.text())
    await driven.press("down")
    await driven.until(lambda: "tasks start from api-limits" in driven.text())


async def drafts(driven: Driven) -> None:
    await projects(driven)
    await driven.press("right_square_bracket", "down", "down")
    await driven.until(lambda: "The public API has no limit" in driven.text())


async def costs(driven: Driven) -> None:
    await driven.press("6")
    await driven.until(lambda: isinstance(driven.screen, CostsScreen) and "$1.52" in driven.text())
    await driven.press("left_square_bracket")
    await driven.until(lambda: "gone-since" in driven.text())


async def rules(driven: Driven) -> None:
    await driven.press("7")
    await driven.until(lambda: isinstance(driven.screen, RulesScreen) and "in force of" in driven.text())


async def since(driven: Driven) -> None:
    await driven.press("8")
    await driven.until(lambda: isinstance(driven.screen, SinceScreen) and "escalated" in driven.text())
    await driven.press("down", "down")
    await driven.until(lambda: "What happened to it" in driven.text())


async def settings(driven: Driven) -> None:
    await driven.press("9")
    await driven.until(
        lambda: isinstance(driven.screen, SettingsScreen) and "OCTOPOID_SERVER" in driven.text()
    )
    await driven.press("down", "down")
    await driven.until(lambda: "Address of the server" in driven.text())


async def configured_agents(driven: Driven) -> None:
    await settings(driven)
    await driven.press("right_square_bracket")
    await driven.until(lambda: "scribe" in driven.text())


async def conflict(driven: Driven) -> None:
    await driven.press("s")
    await driven.until(lambda: isinstance(driven.screen, SyncScreen) and "≠ title" in driven.text())


def without_server() -> FixedDesk:
    """The fleet while its server is away, after that has not taken a change."""
    desk = fleet()
    server = "https://octopoid.example.org"
    desk.backend.sync = SyncState(SyncMode.OFFLINE, 3, 1, server, ago(minutes=4), "connection refused")
    desk.backend.conflicts = [
        Conflict(
            "01kc7m2q9x5a1", "01kc7m2q9x4c2", "edit", "title and priority of 01kc7m2q9x4c2",
            "its title has been changed since, by human:bob",
            {"title": "Replace the date picker by the browser's own", "priority": "P1"},
            {"title": "Replace the date picker in all three forms", "priority": "P1", "queue": "claimed",
             "claimed_by": "impl-7"},
            ago(minutes=41), rejected=False,
        )
    ]  # fmt: skip
    return desk


async def show_help(driven: Driven) -> None:
    await driven.press("question_mark")
    await driven.until(lambda: isinstance(driven.screen, Help))


@dataclass(frozen=True, slots=True)
class Shot:
    name: str
    size: tuple[int, int] = WIDE
    desk: Callable[[], FixedDesk] = fleet
    prepare: Callable[[Driven], Awaitable[None]] = nothing
    theme: str = "dark"
    mode: str = "local"


SHOTS = (
    Shot("control"),
    Shot("control-light", theme="light"),
    Shot("control-mono", theme="mono"),
    Shot("control-80x24", SMALL),
    Shot("question", SMALL, prepare=chat),
    Shot("review", WIDE, prepare=review),
    Shot("review-80x24", SMALL, prepare=review),
    Shot("task", MIDDLE, prepare=task),
    Shot("transcript", MIDDLE, desk=recorded, prepare=transcript),
    Shot("new-task", MIDDLE, prepare=new_task),
    Shot("help", MIDDLE, prepare=show_help),
    Shot("conflict", MIDDLE, desk=without_server, prepare=conflict, mode="remote"),
    Shot("conflict-80x24", SMALL, desk=without_server, prepare=conflict, mode="remote"),
    Shot("agents-80x24", SMALL, prepare=agents),
    Shot("projects", desk=planned, prepare=projects),
    Shot("drafts-80x24", SMALL, desk=planned, prepare=drafts),
    Shot("costs", MIDDLE, desk=planned, prepare=costs),
    Shot("costs-80x24", SMALL, desk=planned, prepare=costs),
    Shot("rules", MIDDLE, desk=planned, prepare=rules),
    Shot("rules-80x24", SMALL, desk=planned, prepare=rules),
    Shot("since", desk=away, prepare=since),
    Shot("since-80x24", SMALL, desk=away, prepare=since),
    Shot("settings", desk=configured, prepare=settings),
    Shot("settings-80x24", SMALL, desk=configured, prepare=settings),
    Shot("settings-agents", MIDDLE, desk=configured, prepare=configured_agents),
    Shot("empty", MIDDLE, desk=empty),
)


def fixed_ids(svg: str) -> str:
    """The picture with its random ids replaced, and without the fonts it would fetch from the network."""
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


def reading(driven: Driven) -> bool:
    """Whether anything that the screen shows is still being read."""
    return any(
        not worker.is_finished and worker.group not in ("feed", "notices", "operations")
        for worker in driven.app.workers
    )


async def draw(shot: Shot) -> str:
    """One picture, as it is written to its file."""
    attendance = Attendance(last_at=LEFT)
    async with driving(
        shot.desk(), shot.size, theme=shot.theme, mode=shot.mode, attendance=attendance
    ) as driven:
        await shot.prepare(driven)
        await driven.until(lambda: not reading(driven))
        await driven.pilot.pause(0.2)
        return fixed_ids(driven.app.export_screenshot(title="octopoid"))


async def main() -> None:
    for shot in SHOTS:
        path = HERE / f"{shot.name}.svg"
        path.write_text(await draw(shot), encoding="utf-8")
        sys.stdout.write(f"{path.name}\n")


if __name__ == "__main__":
    asyncio.run(main())
