"""The command palette: every action that is possible now, and every task by its name."""

from __future__ import annotations

from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from backend.clean import clean_line
from backend.model import Task
from octopoid_tui.actions import Action, actions_of
from octopoid_tui.host import Host
from octopoid_tui.keys import labels_of
from octopoid_tui.screens.base import FleetScreen

TASKS_SEARCHED = 5000  # the first in order of attention; beyond, a filter serves better
TASKS_FOUND = 20


class FleetCommands(Provider):
    """Actions, as `group: title`, and the tasks to go to."""

    async def discover(self) -> Hits:
        for action, name, hint in self._actions():
            yield DiscoveryHit(name, partial(self._perform, action.id), help=hint)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action, name, hint in self._actions():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, matcher.highlight(name), partial(self._perform, action.id), help=hint)
        for score, task, name in self._tasks(query):
            yield Hit(score, name, partial(self._go, task.id), text=name, help=f"{task.queue}, {task.id}")

    def _actions(self) -> list[tuple[Action, str, str]]:
        screen = self.screen
        if not isinstance(screen, FleetScreen) or not isinstance(self.app, Host):
            return []
        context = screen.context()
        keymap = self.app.user_keymap
        return [
            (
                action,
                f"{action.group}: {action.title}",
                f"{labels_of(action, keymap)}   {action.tip}".rstrip(),
            )
            for action in actions_of(screen.WHERE)
            if action.palette and action.applies(context) is None
        ]

    def _tasks(self, query: str) -> list[tuple[float, Task, str]]:
        if not isinstance(self.app, Host):
            return []
        wanted = query.lower().split()
        found: list[tuple[float, Task, str]] = []
        for task in self.app.picture.snapshot.all_tasks()[:TASKS_SEARCHED]:
            text = f"{task.title} {task.id}".lower()
            if all(word in text for word in wanted):
                found.append((0.5, task, f"Task: {clean_line(task.title, 120)}"))
                if len(found) == TASKS_FOUND:
                    break
        return found

    def _perform(self, action_id: str) -> None:
        if isinstance(self.screen, FleetScreen):
            self.screen.action_perform(action_id)

    def _go(self, task_id: str) -> None:
        if isinstance(self.app, Host):
            self.app.go_to_task(task_id)
