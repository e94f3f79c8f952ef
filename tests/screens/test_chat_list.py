"""The conversation: what is mounted, following, open questions, hostile messages."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from octopoid_tui.widgets.chat_list import MOUNTED_LIMIT, WINDOW, ChatList
from octopoid_tui.widgets.chat_message import BODY_LIMIT, ChatMessage, MessageView

SIZES = [(80, 24), (200, 50)]
ScreenText = Callable[[App[Any]], list[str]]


def message(number: int, **fields: Any) -> ChatMessage:
    return ChatMessage(f"m{number}", "agent-1", "14:05", f"Number {number}.", **fields)


class ChatApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.chosen: list[str] = []

    def compose(self) -> ComposeResult:
        yield ChatList()

    @property
    def chat(self) -> ChatList:
        return self.query_one(ChatList)

    def on_chat_list_chosen(self, message: ChatList.Chosen) -> None:
        self.chosen.append(message.message_id)


def numbers(lines: list[str]) -> list[int]:
    return [int(number) for number in re.findall(r"Number (\d+)\.", "\n".join(lines))]


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_the_last_messages_are_mounted_and_the_end_is_shown(
    size: tuple[int, int], screen_text: ScreenText
) -> None:
    app = ChatApp()
    async with app.run_test(size=size) as pilot:
        await app.chat.show([message(n) for n in range(500)])
        await pilot.pause()
        assert len(app.query(MessageView)) == WINDOW
        assert numbers(screen_text(app))[-1] == 499
        text = "\n".join(screen_text(app))
        assert "agent-1  14:05" in text


async def test_older_messages_come_when_one_scrolls_up_and_nothing_jumps(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.chat.show([message(n) for n in range(200)])
        app.chat.focus()
        await pilot.pause()
        first = numbers(screen_text(app))[0]
        while first > 0:
            await pilot.press("pageup")
            await pilot.pause()
            seen = numbers(screen_text(app))
            assert seen == list(range(seen[0], seen[-1] + 1))
            assert seen[-1] >= first - 1, "a page up must not skip messages"
            assert seen[0] < first
            first = seen[0]


async def test_the_way_down_from_the_start_mounts_and_unmounts(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.chat.show([message(n) for n in range(200)])
        app.chat.focus()
        await pilot.press("g")
        await pilot.pause()
        last = numbers(screen_text(app))[-1]
        while last < 199:
            await pilot.press("pagedown")
            await pilot.pause()
            seen = numbers(screen_text(app))
            assert seen[0] <= last + 1, "a page down must not skip messages"
            assert seen[-1] > last
            assert len(app.query(MessageView)) <= MOUNTED_LIMIT
            last = seen[-1]


async def test_new_messages_are_followed_at_the_end_only(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        chat = app.chat
        await chat.show([message(n) for n in range(50)])
        await pilot.pause()
        chat.append(message(50))
        await chat.flush()
        await until(pilot, lambda: numbers(screen_text(app))[-1] == 50)
        chat.focus()
        await pilot.press("pageup")
        before = screen_text(app)
        chat.extend(message(n) for n in range(51, 300))
        await chat.flush()
        await until(pilot, lambda: screen_text(app)[:20] == before[:20])
        await pilot.press("G")
        await until(pilot, lambda: numbers(screen_text(app))[-1] == 299)
        assert len(chat.messages) == 300


async def test_a_message_is_appended_by_itself_to_an_empty_list(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        app.chat.append(message(1))
        deadline = time.monotonic() + 60
        while "Number 1." not in "".join(screen_text(app)):
            assert time.monotonic() < deadline
            await pilot.pause(0.02)
        assert "Number 1." in "\n".join(screen_text(app)[:3])


async def until(pilot: Pilot[None], holds: Callable[[], object]) -> None:
    """Wait until something is shown: a list is laid out and scrolled in its own time."""
    async with asyncio.timeout(60):
        while not holds():
            await pilot.pause(0.02)


async def test_a_few_messages_stand_at_the_top_at_any_size(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 12)) as pilot:
        await app.chat.show([message(n) for n in range(7)])
        await until(pilot, lambda: numbers(screen_text(app))[-1:] == [6])
        await pilot.resize_terminal(80, 40)
        await until(pilot, lambda: numbers(screen_text(app)[:3]) == [0])
        await pilot.resize_terminal(80, 12)
        await until(pilot, lambda: numbers(screen_text(app))[-1:] == [6])


async def test_a_message_that_changes_is_drawn_in_its_place(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        chat = app.chat
        await chat.show([message(1, question=True), message(2)])
        views = list(app.query(MessageView))
        await until(pilot, lambda: "? question" in "\n".join(screen_text(app)))
        chat.append(replace(message(1), note="answered by ana"))
        await chat.flush()
        await pilot.pause()
        text = "\n".join(screen_text(app))
        assert "? question" not in text
        assert "answered by ana" in text
        assert list(app.query(MessageView)) == views


async def test_open_questions_are_stepped_through_and_chosen(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        chat = app.chat
        await chat.show([message(n, question=n in (3, 150, 190)) for n in range(200)])
        assert chat.open_questions == ("m3", "m150", "m190")
        chat.focus()
        await pilot.press("enter")
        assert app.chosen == []
        await pilot.press("N", "enter", "n")
        await until(pilot, lambda: 3 in numbers(screen_text(app)))
        assert any(line.lstrip("▌█ ").startswith("› ? question") for line in screen_text(app))
        await pilot.press("enter", "n")
        await until(pilot, lambda: 150 in numbers(screen_text(app)))
        await pilot.press("enter")
        assert app.chosen == ["m190", "m3", "m150"]
        chat.append(message(150))
        await chat.flush()
        assert chat.highlighted is None


async def test_a_click_chooses_a_question_and_nothing_else() -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.chat.show([message(1), message(2, question=True)])
        await pilot.pause()
        plain, question = app.query(MessageView)
        await pilot.click(plain)
        await pilot.click(question)
        assert app.chosen == ["m2"]


async def test_a_huge_body_is_cut_and_says_so(screen_text: ScreenText) -> None:
    app = ChatApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.chat.show([replace(message(1), body="x" * (BODY_LIMIT + 1234))])
        await until(pilot, lambda: "1,234 more characters" in "\n".join(screen_text(app)))


@pytest.mark.parametrize("markdown", [False, True], ids=["plain", "markdown"])
async def test_hostile_messages_are_drawn_and_do_nothing(
    hostile_payloads: dict[str, str], markdown: bool, screen_text: ScreenText
) -> None:
    app = ChatApp()
    async with app.run_test(size=(100, 40)) as pilot:
        for name, text in hostile_payloads.items():
            await app.chat.show(
                [ChatMessage("m1", text[:50], text[:20], text, markdown=markdown, note=text[:9])]
            )
            await pilot.pause()
            lines = screen_text(app)
            assert all(line.isprintable() for line in lines), name
            assert "visi" in "".join(lines) or len(text) > 3000, name
            for strip in app.screen._compositor.render_strips():
                for segment in strip:
                    assert segment.style is None or segment.style.link is None
                    assert segment.style is None or "@click" not in segment.style.meta
            if name.startswith("mark"):
                await pilot.click(ChatList, offset=(4, 0))
                await pilot.click(ChatList, offset=(4, 1))
        assert app.is_running
        assert app.chosen == []


async def test_of_five_hundred_messages_a_window_is_mounted() -> None:
    """Mounting all of them would take seconds of CPU; a window of them takes a fraction of one."""
    app = ChatApp()
    body = "Some **Markdown** with `code`, a list:\n\n- one\n- two\n\n```python\nx = 1\n```\n" * 3
    async with app.run_test(size=(200, 50)) as pilot:
        await app.chat.show([replace(message(n), body=body, markdown=True) for n in range(500)])
        await pilot.pause()
        assert len(app.query(MessageView)) == WINDOW
