"""Projects and drafts on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from app_pilot import SMALL, WIDE, Driven, driving, is_on
from fixed_desk import FixedDesk, empty, planned
from textual.widgets import Input, TextArea

from backend.errors import Refused, StoreBroken
from backend.planning import DraftPatch, DraftStatus, ProjectStatus
from octopoid_tui.screens.control.screen import ControlScreen
from octopoid_tui.screens.dialogs.choose import Choose
from octopoid_tui.screens.dialogs.form import FormDialog
from octopoid_tui.screens.dialogs.prompt import Prompt
from octopoid_tui.screens.places.costs import CostsScreen
from octopoid_tui.screens.places.projects import ProjectsScreen
from octopoid_tui.screens.places.rules import RulesScreen
from octopoid_tui.screens.task.screen import TaskScreen


async def open_projects(d: Driven, *keys: str) -> ProjectsScreen:
    await d.press("5")
    await d.until(lambda: is_on(d, ProjectsScreen) and "list_drafts" in d.desk.backend.reads)
    await d.pilot.pause()
    screen = d.screen
    assert isinstance(screen, ProjectsScreen)
    await d.press(*keys)
    return screen


async def field(d: Driven, name: str, kind: type[Input] | type[TextArea] = Input) -> Input | TextArea:
    await d.until(lambda: is_on(d, FormDialog) and d.screen.query(f"#field-{name}"))
    return d.screen.query_one(f"#field-{name}", kind)


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_each_project_has_its_progress_and_the_one_under_the_cursor_its_tasks(
    size: tuple[int, int],
) -> None:
    async with driving(planned(), size) as d:
        await open_projects(d, "down")
        text = d.text()
        assert "Projects 6  Drafts 5" in text
        (row,) = [line for line in d.lines() if "› ▸ active" in line and "Limits for the public API" in line]
        assert "1/5" in row
        assert "✓ completed Import from the old tracker" in text
        assert "▸ 1 claimed" in text
        assert "tasks start from api-limits" in text
        assert "Choose and wire a rate" in text
        assert all(len(line.rstrip()) <= size[0] for line in d.lines())


async def test_enter_goes_to_the_tasks_and_on_to_the_task_and_escape_comes_back() -> None:
    async with driving(planned()) as d:
        screen = await open_projects(d, "enter")
        assert screen.tasks.has_focus
        await d.press("enter")
        await d.until(lambda: is_on(d, TaskScreen) and "Bound the cache by bytes" in d.text())
        await d.press("escape", "escape")
        assert screen.grid.has_focus
        await d.press("escape")
        assert is_on(d, ControlScreen)


async def test_tab_reaches_every_part() -> None:
    async with driving(planned()) as d:
        screen = await open_projects(d, "tab", "tab")
        assert screen.tasks.has_focus
        await d.press("tab")
        assert screen.grid.has_focus
        await d.press("shift+tab")
        assert screen.tasks.has_focus


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_the_footers_of_the_places_name_the_way_back(size: tuple[int, int]) -> None:
    async with driving(planned(), size) as d:
        for key, kind in (("5", ProjectsScreen), ("6", CostsScreen), ("7", RulesScreen)):
            await d.press(key)
            await d.until(lambda kind=kind: is_on(d, kind) and "esc back" in d.lines()[-1])  # type: ignore[misc]
            assert "? help" in d.lines()[-1]
            assert "q quit" in d.lines()[-1]
        await d.press("escape")
        await d.until(lambda: is_on(d, ControlScreen))
        assert "esc back" not in d.lines()[-1]


async def test_the_number_keys_lead_from_place_to_place_and_to_the_panes() -> None:
    async with driving(planned()) as d:
        await open_projects(d, "5", "6")
        await d.until(lambda: is_on(d, CostsScreen))
        assert len(d.app.screen_stack) == 2
        await d.press("3")
        assert is_on(d, ControlScreen)
        assert d.control.leases.grid.has_focus


async def test_drafts_are_read_with_their_text_and_clicked_to() -> None:
    async with driving(planned()) as d:
        screen = await open_projects(d)
        await d.pilot.click(screen.tabs, offset=(15, 0))
        await d.pilot.pause()
        await d.press("G", "up")
        text = d.text()
        assert "✓ promoted  A rate limiter for the public API" in text
        assert "Open: whether internal callers are counted too." in text
        assert "Return 429 with Retry-After" in text


async def test_a_new_project_says_what_is_missing_and_is_made_as_typed() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "n")
        title = await field(d, "title")
        auto = await field(d, "auto")
        assert isinstance(title, Input)
        assert isinstance(auto, Input)
        auto.value = "perhaps"
        await d.press("ctrl+s")
        await d.until(lambda: "a title is needed" in d.text() and "yes or no" in d.text())
        title.value, auto.value = "A quieter log", "Yes"
        await d.press("ctrl+s")
        await d.until(lambda: "created project" in d.flash)
        made = next(one for one in desk.backend.projects.values() if one.title == "A quieter log")
        assert (made.auto_accept, made.created_by, made.base_branch) == (True, "human:ana", None)
        await d.until(lambda: "Projects 7" in d.text())


async def test_what_was_typed_is_there_again_after_leaving() -> None:
    async with driving(planned()) as d:
        await open_projects(d, "]", "n")
        body = await field(d, "body", TextArea)
        assert isinstance(body, TextArea)
        body.text = "half a thought"
        await d.press("escape")
        await d.until(lambda: is_on(d, ProjectsScreen))
        await d.press("n")
        again = await field(d, "body", TextArea)
        assert isinstance(again, TextArea)
        assert again.text == "half a thought"


async def test_an_edit_that_is_refused_keeps_the_form_and_says_why() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "e")

        async def refuse(*_: object, **__: object) -> None:
            raise Refused("project cache has changed", "read it again and decide anew")

        kept, desk.backend.edit_project = desk.backend.edit_project, refuse  # type: ignore[method-assign, assignment]
        title = await field(d, "title")
        assert isinstance(title, Input)
        title.value = "A cache of bytes"
        await d.press("ctrl+s")
        await d.until(lambda: "project cache has changed: read it again" in d.text())
        again = await field(d, "title")
        assert isinstance(again, Input)
        assert again.value == "A cache of bytes"
        desk.backend.edit_project = kept  # type: ignore[method-assign]
        await d.press("ctrl+s")
        await d.until(lambda: desk.backend.projects["cache"].title == "A cache of bytes")


async def of_somebody_else(desk: FixedDesk, project_id: str, **known: object) -> None:
    """Another person changes a project meanwhile."""
    one = desk.backend.projects[project_id]
    desk.backend.projects[project_id] = replace(one, **known, version=one.version + 1)  # type: ignore[arg-type]
    await desk.backend.emit("project", project_id)


async def text_of(d: Driven, name: str) -> str:
    found = await field(d, name)
    assert isinstance(found, Input)
    return found.value


async def put(d: Driven, name: str, text: str) -> None:
    found = await field(d, name)
    assert isinstance(found, Input)
    found.value = text


async def test_an_edit_does_not_undo_what_somebody_else_changed_meanwhile() -> None:
    desk = planned()
    was = desk.backend.projects["cache"]
    async with driving(desk) as d:
        await open_projects(d, "e")
        await put(d, "title", "A cache of bytes")
        await of_somebody_else(desk, "cache", auto_accept=not was.auto_accept)
        await d.press("ctrl+s")
        await d.until(lambda: "shown as it is there now: Auto-accept" in " ".join(d.text().split()))
        assert desk.backend.projects["cache"].title == was.title
        assert await text_of(d, "auto") == ("no" if was.auto_accept else "yes")
        assert await text_of(d, "title") == "A cache of bytes"
        await d.press("ctrl+s")
        await d.until(lambda: d.flash == "changed project cache")
        now = desk.backend.projects["cache"]
        assert (now.title, now.auto_accept) == ("A cache of bytes", not was.auto_accept)


async def test_a_field_that_both_have_changed_is_shown_with_the_other_value() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "e")
        await put(d, "title", "Mine")
        await of_somebody_else(desk, "cache", title="Theirs")
        await d.press("ctrl+s")
        await d.until(lambda: "a newer one: Title (there: Theirs)" in " ".join(d.text().split()))
        assert await text_of(d, "title") == "Mine"
        await d.press("ctrl+s")
        await d.until(lambda: desk.backend.projects["cache"].title == "Mine")


async def test_what_was_kept_is_laid_over_what_is_there_by_now() -> None:
    desk = planned()
    was = desk.backend.projects["cache"]
    async with driving(desk) as d:
        await open_projects(d, "e")
        await put(d, "title", "Mine")
        await d.press("escape")
        await d.until(lambda: is_on(d, ProjectsScreen))
        await of_somebody_else(desk, "cache", auto_accept=not was.auto_accept, description="Theirs")
        await d.press("e")
        await d.until(lambda: "as it is there now: Description, Auto-accept" in " ".join(d.text().split()))
        await d.press("ctrl+s")
        await d.until(lambda: d.flash == "changed project cache")
        now = desk.backend.projects["cache"]
        assert (now.title, now.description, now.auto_accept) == ("Mine", "Theirs", not was.auto_accept)


async def test_only_what_was_changed_is_sent_and_what_is_as_before_is_not_kept() -> None:
    desk = planned()
    patches = []
    edit = desk.backend.edit_draft

    async def noting(draft_id: str, patch: object, **known: object) -> object:
        patches.append(patch)
        return await edit(draft_id, patch, **known)  # type: ignore[arg-type]

    desk.backend.edit_draft = noting  # type: ignore[method-assign, assignment]
    async with driving(desk) as d:
        screen = await open_projects(d, "]", "e")
        was = await text_of(d, "title")
        await put(d, "title", "Another")
        await d.press("escape")
        await d.until(lambda: is_on(d, ProjectsScreen))
        assert d.app.drafts
        await d.press("e")
        assert await text_of(d, "title") == "Another"
        await put(d, "title", was)
        await d.press("escape")
        await d.until(lambda: is_on(d, ProjectsScreen))
        assert not d.app.drafts
        await d.press("e")
        await d.until(lambda: is_on(d, FormDialog))
        await d.press("ctrl+s")
        await d.until(lambda: "nothing to change in draft" in d.flash)
        assert not patches
        await d.press("e")
        await put(d, "title", "Another")
        await d.press("ctrl+s")
        await d.until(lambda: "changed draft" in d.flash)
        assert patches == [DraftPatch(title="Another")]
        await d.until(lambda: screen.draft is not None and screen.draft.title == "Another")


async def test_a_refused_form_is_left_where_one_was() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "down", "e")
        await put(d, "branch", "")
        (await field(d, "branch")).focus()
        await d.pilot.pause()
        first = d.screen
        await d.press("ctrl+s")
        await d.until(lambda: "a base branch cannot be taken away" in d.text() and d.screen is not first)
        await d.until(lambda: d.screen.focused is not None)
        assert d.screen.focused is await field(d, "branch")


async def test_a_task_is_added_to_the_project_under_the_cursor() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "down", "a")
        assert await text_of(d, "project") == "limits"
        await put(d, "title", "Count internal callers")
        await d.press("ctrl+s")
        await d.until(lambda: "created 01newtask00001" in d.flash)
        ((draft,),) = d.calls("enqueue")
        assert draft.project_id == "limits"
        await d.until(lambda: is_on(d, ProjectsScreen) and "Count internal callers" in d.text())


async def test_a_new_task_has_no_project_unless_one_is_named() -> None:
    desk = planned()
    async with driving(desk) as d:
        await d.press("n")
        assert await text_of(d, "project") == ""
        await put(d, "title", "Anything")
        await put(d, "project", "two names")
        await d.press("ctrl+s")
        await d.until(lambda: "one project's id, or nothing" in d.text())
        await put(d, "project", " cache ")
        await d.press("ctrl+s")
        await d.until(lambda: d.calls("enqueue"))
        ((draft,),) = d.calls("enqueue")
        assert draft.project_id == "cache"


async def test_what_cannot_be_emptied_is_said_and_nothing_is_stored() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "down", "e")
        branch = await field(d, "branch")
        assert isinstance(branch, Input)
        branch.value = ""
        await d.press("ctrl+s")
        await d.until(lambda: "a base branch cannot be taken away" in d.text())
        assert desk.backend.projects["limits"].base_branch == "api-limits"


async def test_the_state_of_a_project_is_chosen_from_a_list() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "s")
        await d.until(lambda: is_on(d, Choose))
        await d.press("down", "down", "enter")
        await d.until(lambda: desk.backend.projects["cache"].status is ProjectStatus.ABANDONED)
        assert d.flash == "project cache is abandoned now"


async def test_the_state_is_changed_of_what_is_there_now_and_not_of_what_was_read() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d)
        await of_somebody_else(desk, "cache", title="Theirs")
        await d.press("s")
        await d.until(lambda: is_on(d, Choose) and "Project Theirs" in d.text())
        await d.press("down", "down", "enter")
        await d.until(lambda: desk.backend.projects["cache"].status is ProjectStatus.ABANDONED)


async def test_a_draft_is_not_called_promoted_before_it_is() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "]", "s")
        await d.until(lambda: is_on(d, Choose))
        assert "promoted" not in [row.id for row in d.screen.query_one("Grid").rows]  # type: ignore[attr-defined]
        await d.press("G", "enter")
        await d.until(lambda: desk.backend.drafts["01kc7m2q9x6a4"].status is DraftStatus.ARCHIVED)


async def test_a_draft_becomes_a_task_for_each_line() -> None:
    desk = planned()
    async with driving(desk) as d:
        await open_projects(d, "]", "down", "down", "t")
        await d.until(lambda: is_on(d, Prompt))
        prompt = d.screen
        assert isinstance(prompt, Prompt)
        assert prompt.area.text == "Limits for callers inside of the network"
        prompt.area.text = "Count internal callers\n\n  Tell them apart  \n"
        await d.press("ctrl+s")
        await d.until(lambda: "draft 01kc7m2q9x6a2 became 01kc7m2q9x6a2-1 01kc7m2q9x6a2-2" in d.flash)
        ((draft_id, wanted),) = d.calls("promote")
        assert draft_id == "01kc7m2q9x6a2"
        assert [one.title for one in wanted] == ["Count internal callers", "Tell them apart"]
        assert {(one.project_id, one.body) for one in wanted} == {
            ("limits", desk.backend.drafts[draft_id].body)
        }


async def test_keys_that_do_not_apply_say_why() -> None:
    async with driving(empty()) as d:
        await open_projects(d)
        await d.until(lambda: "No projects." in d.text())
        await d.press("e")
        assert d.flash == "Edit: no project and no draft is selected"
        await d.press("t")
        assert d.flash == "Turn the draft into tasks: no draft is selected"
        await d.press("]")
        assert "No drafts." in d.text()


async def test_a_store_that_does_not_answer_is_said_and_read_again() -> None:
    desk = planned()
    async with driving(desk) as d:
        kept = desk.backend.list_projects

        async def broken() -> list[object]:
            raise StoreBroken("the store cannot be read", "octopoid doctor")

        desk.backend.list_projects = broken  # type: ignore[method-assign, assignment]
        await d.press("5")
        await d.until(lambda: is_on(d, ProjectsScreen) and "ctrl+r tries again" in d.text())
        assert "the store cannot be read" in d.text()
        desk.backend.list_projects = kept  # type: ignore[method-assign]
        await d.press("ctrl+r")
        await d.until(lambda: "Limits for the public API" in d.text())


@pytest.mark.parametrize("size", [SMALL, WIDE])
async def test_hostile_text_stays_text(size: tuple[int, int], hostile_payloads: Mapping[str, str]) -> None:
    desk: FixedDesk = planned()
    bad = "".join(hostile_payloads.values())
    for key, one in desk.backend.projects.items():
        desk.backend.projects[key] = replace(one, title=bad, description=bad, base_branch=bad)
    for key, paper in desk.backend.drafts.items():
        desk.backend.drafts[key] = replace(paper, title=bad, body=bad, tags=(bad,), file_path=bad)
    async with driving(desk, size) as d:
        screen = await open_projects(d)
        for _ in range(2):
            text = "".join(d.lines())
            assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text)
            assert not any("@click" in str(span.style) for span in screen.detail.visual.spans)  # type: ignore[attr-defined]
            await d.press("]")
