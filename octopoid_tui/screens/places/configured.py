"""Settings and agents as rows and for reading. Pure, but for the type of styled text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from textual.content import Content

from backend.clean import clean, clean_line
from octopoid_tui.panes.glyphs import Sign, styled
from octopoid_tui.widgets.grid_model import Column, Row, Tone

if TYPE_CHECKING:
    from backend.config.effective import Setting
    from scheduler.settings import AgentSettings

SETTING_COLUMNS = (
    Column("key", "Key", 28, flex=1, sortable=False),
    Column("value", "Value", 16, flex=3, sortable=False),
    Column("source", "From", 24, sortable=False),
    Column("type", "Takes", 20, priority=1, sortable=False),
)
AGENT_COLUMNS = (
    Column("state", "State", 10, sortable=False),
    Column("name", "Agent", 14, flex=1, sortable=False),
    Column("role", "Role", 10, sortable=False),
    Column("adapter", "Adapter", 9, sortable=False),
    Column("number", "Number", 6, priority=1, right=True, sortable=False),
    Column("model", "Model", 10, priority=2, sortable=False),
    Column("command", "Command", 16, flex=3, sortable=False),
)


def place(source: str) -> str:
    """Where a value comes from: a file with its line, a variable, or the program."""
    if ":" in source or source == "default":
        return source
    return f"${source}"


def how_to_change(setting: Setting | None, file: str) -> str:
    """What a person does about it: a variable comes before the file."""
    if setting is not None and place(setting.source).startswith("$"):
        return f"to change it, set {place(setting.source)}: it comes before {file}"
    return f"to change it, edit {file}"


def setting_row(setting: Setting) -> Row:
    tone: Tone = "dim" if setting.is_default else ""
    return Row(
        setting.key,
        (
            clean_line(setting.key, 200),
            clean_line(setting.value, 300),
            clean_line(place(setting.source), 200),
            setting.doc.type,
        ),
        cell_tones=("", tone, "dim" if setting.is_default else "accent", "dim"),
    )


def setting_text(setting: Setting, file: str) -> Content:
    """One key for reading: its value in full, what it means, and where one changes it."""
    doc = setting.doc
    facts = (
        ("value", clean(setting.value).expandtabs(4)),
        ("from", clean_line(place(setting.source), 300)),
        ("default", doc.default.strip('"')),
        ("takes", doc.type),
        ("file", clean_line(file, 300)),
    )
    return Content("\n").join(
        [
            Content.styled(clean_line(setting.key, 200), "bold"),
            Content(doc.description),
            Content(""),
            *(Content.assemble((f"{name:<9}", "$text-muted"), value) for name, value in facts),
        ]
    )


def agent_state(agent: AgentSettings) -> Sign:
    return ("‖ paused", "warning") if agent.spec.paused else ("○ in use", "ok")


def command(agent: AgentSettings) -> str:
    """What is started: the command, or the program, with what is added to it."""
    spec = agent.spec
    parts = [*(spec.command or (spec.program or "its adapter's own",)), *spec.args]
    return clean_line(" ".join(parts), 300)


def agent_row(agent: AgentSettings) -> Row:
    sign, tone = agent_state(agent)
    spec = agent.spec
    return Row(
        spec.name,
        (
            sign,
            clean_line(spec.name, 100),
            clean_line(spec.role, 60),
            spec.adapter,
            str(spec.max_instances),
            clean_line(spec.model or "its own", 60),
            command(agent),
        ),
        cell_tones=(tone, "", "", "", "dim", "" if spec.model else "dim", "dim"),
    )


def agent_text(agent: AgentSettings, file: str) -> Content:
    """One agent for reading: the keys that were set, with their lines, and then all others."""
    width = max((len(_name(setting)) for setting in agent.settings), default=0) + 2
    lines = [
        Content.styled(clean_line(agent.spec.name, 100), "bold"),
        styled(*agent_state(agent)),
        Content(""),
        Content.styled(f"Set in {clean_line(Path(file).name, 100)}", "$text-muted"),
        *(_agent_line(setting, width) for setting in agent.settings if not setting.is_default),
        Content(""),
        Content.styled("By default", "$text-muted"),
        *(_agent_line(setting, width) for setting in agent.settings if setting.is_default),
    ]
    return Content("\n").join(lines)


def _agent_line(setting: Setting, width: int) -> Content:
    value = clean_line(setting.value, 300)
    number = clean_line(setting.source, 100).rpartition(":")[2]
    line = "" if setting.is_default else f"   line {number}"
    style = "$text-muted" if setting.is_default else ""
    return Content.assemble(
        (f"{_name(setting):<{width}}", "$text-muted"), (value, style), (line, "$text-muted")
    )


def _name(setting: Setting) -> str:
    return setting.key.partition("].")[2]


def matches(words: str, *texts: str) -> bool:
    """Whether all words are somewhere in the texts; one after `!` must not be."""
    text = "\n".join(texts).lower()
    wanted = [word for word in words.lower().split() if word != "!"]
    return all(word[1:] not in text if word.startswith("!") else word in text for word in wanted)
