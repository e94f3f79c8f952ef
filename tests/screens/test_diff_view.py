"""The diff: moving by hunks and files, numbers, colour only where one looks, hostile content."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.strip import Strip

from octopoid_tui.widgets.diff_model import parse_diff
from octopoid_tui.widgets.diff_syntax import BLOCK, LINE_LIMIT
from octopoid_tui.widgets.diff_view import DiffPlace, DiffView

SIZES = [(80, 24), (200, 50)]
ScreenText = Callable[[App[Any]], list[str]]


def file_diff(name: str, hunks: int = 2, lines: int = 3) -> str:
    parts = [f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n"]
    for hunk in range(hunks):
        start = 1 + 100 * hunk
        parts.append(f"@@ -{start},{lines + 1} +{start},{lines + 1} @@ def f{hunk}():\n")
        parts.append("     same = None\n")
        parts += [f'-    old = {n}\n+    new = "{n}"  # changed\n' for n in range(lines)]
    return "".join(parts)


class DiffApp(App[None]):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.files: list[str] = []
        self.hunks: list[tuple[str, int | None]] = []
        self.chosen: list[DiffPlace] = []

    def compose(self) -> ComposeResult:
        yield DiffView()

    def on_mount(self) -> None:
        self.diff.set_model(parse_diff(self.text))

    @property
    def diff(self) -> DiffView:
        return self.query_one(DiffView)

    def on_diff_view_file_changed(self, message: DiffView.FileChanged) -> None:
        self.files.append(message.path)

    def on_diff_view_hunk_changed(self, message: DiffView.HunkChanged) -> None:
        self.hunks.append((message.path, message.hunk))

    def on_diff_view_chosen(self, message: DiffView.Chosen) -> None:
        self.chosen.append(message.place)


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_lines_are_shown_with_both_numbers_and_their_sign(
    size: tuple[int, int], screen_text: ScreenText
) -> None:
    app = DiffApp(file_diff("a.py"))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        lines = screen_text(app)
        assert lines[0].split() == ["a.py", "+6", "-6", "1/1"]
        assert lines[2].strip().startswith("@@ -1,4 +1,4 @@ def f0():")
        assert lines[3].split() == ["1", "1", "same", "=", "None"]
        assert lines[4].split() == ["2", "-", "old", "=", "0"]
        assert lines[5].split() == ["2", "+", "new", "=", '"0"', "#", "changed"]


async def test_keys_jump_between_hunks_and_files() -> None:
    app = DiffApp(file_diff("a.py") + file_diff("b.py") + file_diff("c.txt"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("n", "n", "n", "N")
        assert app.hunks == [("a.py", None), ("a.py", 0), ("a.py", 1), ("b.py", 0), ("a.py", 1)]
        await pilot.press("}", "}", "}", "{")
        assert app.files == ["a.py", "b.py", "a.py", "b.py", "c.txt", "b.py"]
        assert app.diff.go_to_file("c.txt")
        assert not app.diff.go_to_file("d.txt")
        assert app.diff.file is not None
        assert app.diff.file.path == "c.txt"


async def test_a_line_is_chosen_with_its_place_and_a_header_is_not() -> None:
    app = DiffApp(file_diff("a.py"))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter", "n", "enter", "j", "j", "enter")
        await pilot.click(DiffView, offset=(20, 5), times=2)
        assert app.chosen == [
            DiffPlace("a.py", 2, None, "    old = 0"),
            DiffPlace("a.py", None, 2, '    new = "0"  # changed'),
        ]


async def test_long_lines_scroll_to_the_side_while_the_numbers_stay(screen_text: ScreenText) -> None:
    app = DiffApp(f"--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+{'x' * 90}END日本語\n")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "END" not in screen_text(app)[3]
        await pilot.press(*["l"] * 4)
        line = screen_text(app)[3]
        assert "END日本語" in line
        assert line.split()[:2] == ["1", "+"]
        await pilot.press(*["h"] * 5)
        assert app.diff.scroll_offset.x == 0


async def test_colour_is_found_only_for_the_lines_on_the_screen() -> None:
    app = DiffApp(file_diff("a.py", hunks=20, lines=500))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert len(app.diff._syntax._blocks) <= 24 // BLOCK + 1
        styles = {segment.text.strip(): segment.style for segment in app.diff.render_line(5)}
        assert styles["# changed"] != styles["new"]
        await pilot.press("G")
        await pilot.pause()
        assert len(app.diff._syntax._blocks) <= 2 * (24 // BLOCK + 2)


async def test_the_text_under_review_is_never_changed_by_its_colour(screen_text: ScreenText) -> None:
    odd = ["\x0c = 1", "x = '''", "'''\\", "\t\ty", 'é = "日本"', "", "x" * (LINE_LIMIT + 1), "a\rb"]
    app = DiffApp(
        f"--- a/x.py\n+++ b/x.py\n@@ -0,0 +1,{len(odd)} @@\n" + "".join(f"+{line}\n" for line in odd)
    )
    async with app.run_test(size=(600, 24)) as pilot:
        await pilot.pause()
        bodies = [line.split("+ ", 1)[1].rstrip() for line in screen_text(app)[3 : 3 + len(odd)]]
        assert bodies == [
            "\ufffd = 1", "x = '''", "'''\\", "        y", 'é = "日本"', "", "x" * (LINE_LIMIT + 1),
            "a\ufffdb",
        ]  # fmt: skip


async def test_an_empty_diff_says_so(screen_text: ScreenText) -> None:
    app = DiffApp("")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("j", "n", "}", "enter", "G", "pagedown")
        assert "Nothing has changed" in screen_text(app)[0]
        assert app.chosen == []


async def test_hostile_content_and_names_are_plain_text(
    hostile_payloads: dict[str, str], screen_text: ScreenText
) -> None:
    app = DiffApp("")
    async with app.run_test(size=(200, 50)) as pilot:
        for name, text in hostile_payloads.items():
            line = text.replace("\n", " ")
            path = line[:40].replace("/", "_")
            app.diff.set_model(
                parse_diff(
                    f"diff --git a/{path}.py b/{path}.py\n--- a/{path}.py\n+++ b/{path}.py\n"
                    f"@@ -1,2 +1,2 @@ {line}\n {line}\n-{line}\n+{line}\n{line}\n"
                )
            )
            await pilot.pause()
            lines = screen_text(app)
            assert all(shown.isprintable() for shown in lines), name
            assert sum("visi" in shown for shown in lines) >= 3, name
            if name.startswith("mark"):
                await pilot.click(DiffView, offset=(20, 4))
        assert app.is_running


async def test_of_a_hundred_thousand_lines_only_what_is_shown_is_painted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    painted = 0
    render_line = DiffView.render_line

    def counted(view: DiffView, y: int) -> Strip:
        nonlocal painted
        painted += 1
        return render_line(view, y)

    monkeypatch.setattr(DiffView, "render_line", counted)
    model = parse_diff("".join(file_diff(f"f{n}.py", hunks=1, lines=500) for n in range(100)))
    assert len(model.lines) > 100_000
    app = DiffApp("")
    async with app.run_test(size=(200, 50)) as pilot:
        await pilot.pause()
        painted = 0
        app.diff.set_model(model)
        await pilot.pause()
        for _ in range(9):
            app.diff.action_page_down()
            await pilot.pause()
    assert 0 < painted < 50 * 10 * 4  # the screen, ten times, with room for a bar that comes and goes
