"""Waiting until an app under test has done all it was going to do.

Textual's own `Pilot.pause` takes a process that uses no processor time to be finished. On a busy machine
that is not so: a process that waits for its turn uses none either. This looks at what is still to be done.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from textual._context import active_app
from textual.app import App
from textual.message_pump import MessagePump
from textual.pilot import Pilot
from textual.screen import Screen

QUIET_ROUNDS: Final = 4
ROUND_SECONDS: Final = 0.001
LONGEST_SECONDS: Final = 3.0
"""An app that never comes to rest, such as one with an animation, is looked at after this time."""


async def pause(pilot: Pilot[Any], delay: float | None = None) -> None:
    """What `Pilot.pause` does; without a delay, by what the app still has to do."""
    await pilot._wait_for_screen()
    if delay is None:
        await settle(pilot.app)
    else:
        await asyncio.sleep(delay)
    if pilot.app.screen_stack:
        pilot.app.screen._on_timer_update()


async def after_a_key(_least: float = 0.0, _most: float = 1.0) -> None:
    """In the place of Textual's `wait_for_idle`, which its pilot calls after each key."""
    await settle(active_app.get())


async def settle(app: App[Any]) -> None:
    """Return once nothing is queued, to be drawn, or being worked out in a thread, or after three seconds."""
    quiet = 0
    give_up = time.monotonic() + LONGEST_SECONDS
    while quiet < QUIET_ROUNDS and app._exception is None and time.monotonic() < give_up:
        await asyncio.sleep(ROUND_SECONDS)
        if app.screen_stack and _to_draw(app.screen):
            app.screen._on_timer_update()
            quiet = 0
        elif _queued(app) or _in_thread():
            quiet = 0
        else:
            quiet += 1


def _queued(app: App[Any]) -> bool:
    pumps: list[MessagePump] = [app, *app._registry]
    return any(pump._next_callbacks or not pump._message_queue.empty() for pump in pumps if pump.is_running)


def _to_draw(screen: Screen[Any]) -> bool:
    return bool(
        screen._layout_required
        or screen._scroll_required
        or screen._repaint_required
        or screen._recompose_required
        or screen._dirty_widgets
        or screen._callbacks
    )


def _in_thread() -> bool:
    """Whether a thread of the loop's own executor is at work: Markdown, for one, is parsed in one."""
    executor = getattr(asyncio.get_running_loop(), "_default_executor", None)
    if not isinstance(executor, ThreadPoolExecutor):
        return False
    return len(executor._threads) > executor._idle_semaphore._value
