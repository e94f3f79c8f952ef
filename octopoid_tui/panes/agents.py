"""The agents: what each does, for how long and for how much, or why it does nothing."""

from __future__ import annotations

from textual import events, getters, on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from backend.clean import clean_line
from backend.model import Agent, AgentStatus, Run
from octopoid_tui.formats import age, count, money
from octopoid_tui.host import Picture
from octopoid_tui.panes import glyphs
from octopoid_tui.panes.base import Pane, Selection
from octopoid_tui.snapshot import Snapshot
from octopoid_tui.widgets.grid import Grid
from octopoid_tui.widgets.grid_model import Column, Row

COLUMNS = (
    Column("name", "Agent", 9),
    Column("status", "Status", 9),
    Column("doing", "Task, or why it is idle", 22, flex=1),
    Column("elapsed", "For", 6, priority=2, right=True),
    Column("active", "Active", 6, priority=3, right=True),
    Column("tokens", "Tokens", 6, priority=5, right=True),
    Column("cost", "Cost", 6, priority=4, right=True),
)


class AgentsPane(Pane):
    KEY = "agents"
    NUMBER = 2
    TITLE = "Agents"

    grid = getters.query_one(Grid)
    detail = getters.query_one("#agent-detail", Static)

    def compose(self) -> ComposeResult:
        yield Grid(COLUMNS, id="agents-grid")
        yield Static("", id="agent-detail", markup=False)

    def show(self, picture: Picture) -> None:
        snapshot = picture.snapshot
        self.grid.stale = picture.feed.status == "stale"
        if picture.loaded:
            self.grid.set_placeholder(
                "empty", "No agents.\nagents.yaml names them, and a running scheduler reports them."
            )
        else:
            self.grid.set_placeholder("loading", "Reading the agents")
        self.grid.set_rows([row(agent, picture) for agent in snapshot.agents])
        working = sum(a.status in (AgentStatus.BUSY, AgentStatus.WAITING) for a in snapshot.agents)
        self.set_count(f"{working}/{len(snapshot.agents)} at work" if snapshot.agents else 0)

    @property
    def agent(self) -> Agent | None:
        """The agent under the cursor."""
        agents = self.app.picture.snapshot.agents
        return next((a for a in agents if key_of(a) == self.grid.cursor_id), None)

    @property
    def selection(self) -> Selection:
        snapshot = self.app.picture.snapshot
        chosen = self.agent
        if chosen is None:
            return Selection()
        task = snapshot.tasks.get(chosen.task_id or "")
        questions = snapshot.questions_of(task.id) if task else ()
        hint = f"{chosen.name} ({chosen.role}, {chosen.adapter}): {doing(chosen, snapshot)}"
        return Selection(task, questions[0] if questions else None, hint)

    def focus_list(self) -> None:
        self.screen.set_focus(self.grid)

    @on(Grid.Highlighted)
    def _cursor_moved(self, event: Grid.Highlighted) -> None:
        event.stop()
        self._show_detail()
        self.changed()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        # Textual calls the handler of the class above by itself.
        self._show_detail()

    def _show_detail(self) -> None:
        """What the agent under the cursor can do; the grid has all the room until somebody asks."""
        chosen = self.agent if self.grid.has_focus else None
        if chosen is not None:
            self.detail.update(abilities(chosen))

    @on(Grid.Selected)
    def _row_opened(self, event: Grid.Selected) -> None:
        event.stop()
        self.post_message(self.Opened(self))


def key_of(agent: Agent) -> str:
    return f"{agent.orchestrator_id}/{agent.name}"


def doing(agent: Agent, snapshot: Snapshot) -> str:
    """What an agent works at, or the reason that it does not."""
    task = snapshot.tasks.get(agent.task_id or "")
    if task is not None:
        asks = "asks: " if agent.status is AgentStatus.WAITING else ""
        return f"{asks}{task.title}"
    return agent.reason or agent.task_id or "no reason is known"


def abilities(agent: Agent) -> Content:
    """What an agent of this kind can do, as its adapter says."""
    from scheduler.steer import caps_of  # with every adapter: only once an agent is looked at

    kind = f"{clean_line(agent.adapter, 40)} agents"
    names = caps_of(agent.adapter).names()
    if not names:
        return Content.styled(
            f"{kind} can do no more than their work, and ask by: octopoid ask", "$text-muted"
        )
    return Content.assemble((f"{kind} can: ", "$text-muted"), ", ".join(names))


def row(agent: Agent, picture: Picture) -> Row:
    status, tone = glyphs.agent(agent.status)
    run = picture.snapshot.runs.get(agent.run_id or "")
    return Row(
        key_of(agent),
        (agent.name, status, doing(agent, picture.snapshot), *_figures(run, picture)),
        cell_tones=("", tone, "dim" if run is None else "", "dim", "dim", "dim", "dim"),
    )


def _figures(run: Run | None, picture: Picture) -> tuple[str, str, str, str]:
    if run is None:
        return "", "", "", ""
    spent = run.tokens_input + run.tokens_output + run.tokens_cache_write
    return (
        age((picture.now - run.started_at).total_seconds()),
        age((picture.now - run.last_activity_at).total_seconds()),
        count(spent),
        "" if run.cost_usd is None else money(run.cost_usd),
    )
