"""What the actions do that are the same on every screen.

Each asks what it has to ask, calls the desk, and says how that went. Failures rise to the worker they run
in, which shows them. Each returns whether anything was done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from octopoid_tui.actions import Context
from octopoid_tui.host import Host
from octopoid_tui.screens import deciding, planning, steering
from octopoid_tui.screens.dialogs.confirm import Confirm

if TYPE_CHECKING:
    from octopoid_tui.screens.places.base import PlaceScreen

Operation = Callable[[Host, Context], Awaitable[bool]]


async def why(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.dialogs.why import Why

    task = context.targets[0]
    await host.push_screen_wait(Why(task, await host.desk.why(task.id), host.picture.now))
    return True


async def open_task(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.task.screen import TaskScreen

    if context.task is not None:
        await host.push_screen(TaskScreen(context.task.id))
    return True


async def review(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.review.screen import ReviewScreen

    if context.task is not None:
        await host.push_screen(ReviewScreen(context.task.id))
    return True


async def open_sync(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.sync.screen import SyncScreen

    await host.push_screen(SyncScreen())
    return True


async def open_projects(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.places.projects import ProjectsScreen

    return await _go_to(host, ProjectsScreen())


async def open_costs(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.places.costs import CostsScreen

    return await _go_to(host, CostsScreen())


async def open_rules(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.places.rules import RulesScreen

    return await _go_to(host, RulesScreen())


async def open_since(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.places.since import SinceScreen

    return await _go_to(host, SinceScreen(host.now()))


async def open_settings(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.places.settings import SettingsScreen

    return await _go_to(host, SettingsScreen())


async def _go_to(host: Host, place: PlaceScreen) -> bool:
    """Show a place of its own; it takes that of another one, and one that is shown already stays."""
    from octopoid_tui.screens.places.base import PlaceScreen

    shown = host.screen
    if isinstance(shown, PlaceScreen) and shown.WHERE is place.WHERE:
        return True
    if isinstance(shown, PlaceScreen):
        await host.switch_screen(place)
    else:
        await host.push_screen(place)
    return True


async def copy_id(host: Host, context: Context) -> bool:
    text = " ".join(task.id for task in context.targets)
    host.copy_to_clipboard(text)
    host.flash(f"copied {text}")
    return True


async def show_help(host: Host, context: Context) -> bool:
    from octopoid_tui.screens.dialogs.help import Help

    await host.push_screen(Help(context.where, host.user_keymap))
    return True


async def palette(host: Host, context: Context) -> bool:
    host.action_command_palette()
    return True


async def theme(host: Host, context: Context) -> bool:
    from octopoid_tui.themes import next_theme

    host.theme = next_theme(host.theme)
    host.flash(f"theme: {host.theme.removeprefix('octopoid-')}; `theme` in config.yaml keeps it")
    return True


async def refresh(host: Host, context: Context) -> bool:
    host.refresh_feed()
    return True


async def leave(host: Host, context: Context) -> bool:
    """Quit; asked about only when agents are at work whose scheduler would end with this process."""
    live = len(context.snapshot.runs)
    if context.owns_scheduler and live:
        at_work = f"{live} agent is" if live == 1 else f"{live} agents are"
        text = (
            f"{at_work} at work. They go on without the screen, and the next start finds them and takes "
            "their results. Until then nothing new starts and no answer is delivered."
        )
        if not await host.push_screen_wait(Confirm("Quit?", text, yes="quit")):
            return False
    host.exit()
    return True


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "accept": deciding.accept,
        "reject": deciding.reject,
        "cancel": steering.cancel,
        "retry": steering.retry,
        "undo": steering.undo,
        "enqueue": steering.enqueue,
        "hold": steering.hold,
        "raise_priority": steering.raise_priority,
        "lower_priority": steering.lower_priority,
        "note": steering.note,
        "interrupt": steering.interrupt,
        "pause": steering.pause,
        "new_task": steering.new_task,
        "why": why,
        "open_task": open_task,
        "review": review,
        "open_sync": open_sync,
        "open_projects": open_projects,
        "open_costs": open_costs,
        "open_rules": open_rules,
        "open_since": open_since,
        "open_settings": open_settings,
        "new_planned": planning.new_planned,
        "edit_planned": planning.edit_planned,
        "state_planned": planning.state_planned,
        "promote": planning.promote,
        "revoke_rule": planning.revoke_rule,
        "copy_id": copy_id,
        "help": show_help,
        "palette": palette,
        "theme": theme,
        "refresh": refresh,
        "quit": leave,
    }
)
