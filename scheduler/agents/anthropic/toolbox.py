"""Using the tools that the model calls: checked, allowed, done, and told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from scheduler.agents.anthropic import shell
from scheduler.agents.anthropic.channel import Channel
from scheduler.agents.anthropic.files import Change, Folder, ToolError
from scheduler.agents.anthropic.permissions import COMMAND, Permissions
from scheduler.agents.anthropic.tools import (
    DELIVERED,
    TOOLS,
    AskHuman,
    Edit,
    Input,
    ListFiles,
    Read,
    ReportProgress,
    Run,
    Search,
    Write,
)  # fmt: skip
from scheduler.agents.decision import OPTIONS, Allow, decide
from scheduler.agents.shown import diff, fenced

SEARCH_S = 60.0
RECEIVED_S = 60.0
LOOK_EVERY_S = 0.1
OUTPUT_SHOWN = 4000

T = TypeVar("T", bound=Input)


@dataclass(frozen=True, slots=True)
class Result:
    """What the model is told; `status` is ok, error or denied."""

    text: str
    status: str = "ok"


class Denied(Exception):
    """A person does not allow it."""


class Toolbox:
    """The tools of one run."""

    def __init__(
        self,
        folder: Folder,
        run_dir: Path,
        permissions: Permissions,
        channel: Channel,
        env: Mapping[str, str],
    ) -> None:
        self._folder = folder
        self._run_dir = run_dir
        self._permissions = permissions
        self._channel = channel
        self._env = env
        self._delivered = 0
        self._use: dict[type[Input], Callable[[Any], Awaitable[str]]] = {
            Read: self._read, ListFiles: self._list, Search: self._search, Write: self._write,
            Edit: self._edit, Run: self._run, AskHuman: self._ask, ReportProgress: self._report,
        }  # fmt: skip

    async def use(self, call: str, name: str, given: Any) -> Result:
        """Use a tool as the model wants it; whatever goes wrong is for the model to read."""
        given = given if isinstance(given, dict) else {}
        self._channel.emit("tool.started", tool_id=call, name=name, title=_title(given), input=given)
        try:
            result = Result(await self._used(name, given))
        except Denied as denied:
            result = Result(str(denied), "denied")
        except (ToolError, ValueError, OSError) as error:  # ValueError: a NUL, or what does not validate
            result = Result(str(error), "error")
        except asyncio.CancelledError:
            self._channel.emit("tool.finished", tool_id=call, status="cancelled", output="")
            raise
        # A file's name may be bytes that are no text; as text they can be neither kept nor sent.
        text = result.text.encode("utf-8", "replace").decode()
        shown = text[:OUTPUT_SHOWN]
        self._channel.emit("tool.finished", tool_id=call, status=result.status, output=shown)
        return Result(text, result.status)

    async def _used(self, name: str, given: dict[str, Any]) -> str:
        if name not in TOOLS:
            raise ToolError(f"there is no tool {name!r}; there are {', '.join(TOOLS)}")
        kind = TOOLS[name][0]
        what = msgspec.convert(given, kind)
        if name in DELIVERED:
            return await self._deliver(name, what)
        return await self._use[kind](what)

    async def _read(self, what: Read) -> str:
        return await asyncio.to_thread(self._folder.read, what.path, what.first_line, what.lines)

    async def _list(self, what: ListFiles) -> str:
        return await asyncio.to_thread(self._folder.list, what.path)

    async def _search(self, what: Search) -> str:
        place = self._folder.name(self._folder.inside(what.path))
        argv = ["grep", "-rnIE", "-D", "skip", "--exclude-dir=.git", "-e", what.pattern, "--", place]
        ran = await shell.run(argv, self._folder.root, self._env, SEARCH_S)
        if ran.status is None:
            raise ToolError(f"the search took longer than {SEARCH_S:.0f} s; name a smaller folder")
        if ran.status > 1:
            raise ToolError(ran.output)
        return ran.output or "(not found)"

    async def _write(self, what: Write) -> str:
        change = await asyncio.to_thread(self._folder.to_write, what.path, what.content)
        return await self._change("write", what, change)

    async def _edit(self, what: Edit) -> str:
        change = await asyncio.to_thread(self._edited, what)
        return await self._change("edit", what, change)

    def _edited(self, what: Edit) -> Change:
        return self._folder.to_edit(what.path, what.old, what.new, everywhere=what.everywhere)

    async def _change(self, tool: str, what: Write | Edit, change: Change) -> str:
        if not self._permissions.allows(tool):
            shown = fenced("diff", diff(change.old or "", change.new))
            always = f"Always: {tool}, any file, until the run ends"
            wanted = await self._permit(tool, what, f"{tool}: {change.name}\n\n{shown}\n\n{always}")
            if wanted.always:
                self._permissions.allow_always(tool)
            if isinstance(what, Write):
                what = _changed(what, wanted)
                change = await asyncio.to_thread(self._folder.to_write, what.path, what.content)
            else:
                change = await asyncio.to_thread(self._edited, _changed(what, wanted))
        return await asyncio.to_thread(self._folder.apply, change)

    async def _run(self, what: Run) -> str:
        if not self._permissions.allows(COMMAND, what.command):
            always = "Always: this very command, until the run ends"
            title = _title({"command": what.command})
            text = f"{COMMAND}: {title}\n\n{fenced('sh', what.command)}\n\n{always}"
            wanted = await self._permit(COMMAND, what, text)
            what = _changed(what, wanted)
            if wanted.always:
                self._permissions.allow_always(COMMAND, what.command)
        ran = await shell.run(["sh", "-c", what.command], self._folder.root, self._env, what.timeout_s)
        if ran.status is None:
            raise ToolError(f"{ran.output}\n(it took longer than {what.timeout_s} s and was killed)")
        if ran.status != 0:
            raise ToolError(f"{ran.output}\n(exit status {ran.status})")
        return ran.output

    async def _permit(self, tool: str, what: Input, text: str) -> Allow:
        """
        Raises:
            Denied: a person does not allow it.
        """
        given = msgspec.to_builtins(what)
        decision = decide(await self._channel.ask("permission", text, OPTIONS, tool=tool, given=given))
        if not isinstance(decision, Allow):
            raise Denied(f"A person does not allow it: {decision.message}")
        return decision

    async def _ask(self, what: AskHuman) -> str:
        return await self._channel.ask("question", what.question, what.options)

    async def _report(self, what: ReportProgress) -> str:
        return await self._channel.ask("progress", what.text)

    async def _deliver(self, kind: str, what: Input) -> str:
        """Leave a verdict or a plan in the outbox, and wait until it is said whether it can be used."""
        self._delivered += 1
        item = f"{kind}-{self._delivered}"
        outbox = self._run_dir / "outbox"
        temporary = outbox / f".{item}.tmp"
        temporary.write_text(json.dumps({"kind": kind, **msgspec.to_builtins(what)}))
        temporary.rename(outbox / f"{item}.json")
        reply = self._run_dir / "inbox" / f"{item}.json"
        for _ in range(int(RECEIVED_S / LOOK_EVERY_S)):
            if reply.exists():
                said = json.loads(reply.read_text())
                if not said["usable"]:
                    raise ToolError("It cannot be used. Give it again without these faults: "
                                    + "; ".join(said["faults"]))  # fmt: skip
                return "It was received."
            await asyncio.sleep(LOOK_EVERY_S)
        return "It was left; nobody has looked at it yet."


def _changed(what: T, wanted: Allow) -> T:
    """A tool's input with a person's changes.

    Raises:
        msgspec.ValidationError: they do not fit it.
    """
    given: dict[str, Any] = msgspec.to_builtins(what)
    return msgspec.convert({**given, **(wanted.input or {})}, type(what))


def _title(given: dict[str, Any]) -> str:
    """A tool's input in a few words of one line."""
    for key in ("command", "path", "pattern", "question", "text"):
        if isinstance(given.get(key), str):
            return " ".join(given[key].split())[:200]
    return ""
