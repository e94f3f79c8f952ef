"""The screen over a server: it shows the shared state, and its scheduler does this machine's part."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from harness import EDIT_AND_COMMIT, ME, make_project, make_repo, until
from live_server import live
from team import machine

from backend.model import Queue
from octopoid_tui.app import OctopoidApp
from octopoid_tui.cli.session import lasting_store
from scheduler.desk import Desk, TaskDraft
from scheduler.loop import Scheduler
from scheduler.project import Project


async def test_the_screen_works_over_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OCTOPOID_SERVER", "OCTOPOID_DIR"):
        monkeypatch.delenv(name, raising=False)
    with live(tmp_path) as server:
        monkeypatch.setenv("OCTOPOID_API_KEY", server.key)
        config = f"mode: remote\nserver: {{url: '{server.url}', cluster: team, machine_id: box}}\n"
        project = Project.open(make_project(tmp_path, EDIT_AND_COMMIT, config=config))
        async with await lasting_store(project, "screen") as opened:
            assert opened.owned
            desk = Desk(opened.backend, project, actor=ME)
            app = OctopoidApp(
                desk, scheduler=Scheduler(opened.backend, project), mode=project.config.mode,
                on_ready=opened.start_serving,
            )  # fmt: skip
            async with app.run_test(size=(120, 40)) as pilot:
                await desk.enqueue(TaskDraft("Write a file", id="t1"))

                async def shown() -> bool:
                    await pilot.pause()
                    task = app.picture.snapshot.tasks.get("t1")
                    return task is not None and task.queue is Queue.PROVISIONAL

                await until(shown, "the finished task on the screen")
                assert app.picture.snapshot.mode == "remote"
                assert (await desk.accept("t1")).queue is Queue.DONE
        assert not project.layout.socket().exists()
    done = subprocess.run(["git", "-C", str(project.repo), "log", "-1", "--format=%B", "main"],
                          check=True, capture_output=True, text=True)  # fmt: skip
    assert "Octopoid-Task: t1" in done.stdout


async def test_the_screen_starts_and_works_without_its_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OCTOPOID_SERVER", "OCTOPOID_API_KEY", "OCTOPOID_DIR"):
        monkeypatch.delenv(name, raising=False)
    with live(tmp_path) as server:
        project = Project.open(machine(server, make_repo(tmp_path / "origin"), "box"))
        async with await lasting_store(project, "command") as opened:
            await Desk(opened.backend, project, actor=ME).enqueue(TaskDraft("Write a file", id="t1"))
        server.stop_tcp()
        async with await lasting_store(project, "screen") as opened:
            desk = Desk(opened.backend, project, actor=ME)
            scheduler = Scheduler(opened.backend, project)
            app = OctopoidApp(desk, scheduler=scheduler, mode=project.config.mode)
            async with app.run_test(size=(80, 24)) as pilot:

                async def status_line(*wanted: str) -> bool:
                    await pilot.pause()
                    shown = app.screen._compositor.render_strips()[0].text
                    return all(text in shown for text in wanted)

                await until(lambda: status_line("offline ", "tick"), "word that the server is away")
                await desk.enqueue(TaskDraft("Write another file", id="t2"))
                await until(lambda: status_line("offline ", "1 pending"), "the change that waits")
                assert app.picture.feed.status == "live"
                assert app.picture.snapshot.tasks.keys() == {"t1", "t2"}
                assert app.picture.snapshot.count(Queue.INCOMING) == 2
                await asyncio.to_thread(server.restart_tcp)
                await opened.backend.sync_now()
                await until(lambda: status_line("live"), "word that the server is back")

                async def finished() -> bool:
                    await pilot.pause()
                    return app.picture.snapshot.count(Queue.PROVISIONAL) == 2

                await until(finished, "both tasks, worked on")
        assert {run.task_id for run in server.ask(server.backend.list_runs())} == {"t1", "t2"}
