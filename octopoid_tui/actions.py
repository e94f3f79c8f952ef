"""Every action a person can take, as data.

The footer, the help, the palette, the key map, the documentation and the tests read this one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, StrEnum

from backend.model import OPEN_QUEUES, Priority, Queue, Rule, Task
from backend.planning import Draft, DraftStatus, Project
from backend.ranking import Question
from backend.sync import Conflict, SyncMode
from octopoid_tui.snapshot import Snapshot


class Where(StrEnum):
    """The screens that have actions of their own."""

    CONTROL = "control"
    TASK = "task"
    REVIEW = "review"
    SYNC = "sync"
    PROJECTS = "projects"
    COSTS = "costs"
    RULES = "rules"
    SINCE = "since"
    SETTINGS = "settings"


class Confirm(Enum):
    """When an action asks before it does anything."""

    NEVER = "never"
    MANY = "when several tasks are marked"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True)
class Context:
    """What an action would act on, here and now."""

    where: Where
    snapshot: Snapshot
    pane: str = ""
    task: Task | None = None
    marked: tuple[Task, ...] = ()
    question: Question | None = None
    owns_scheduler: bool = False
    live: bool = True
    """Whether the backend answers."""
    undo: str = ""
    """What the undo would take back; empty when nothing can be."""
    conflict: Conflict | None = None
    """The change under the cursor that the server did not take."""
    project: Project | None = None
    draft: Draft | None = None
    rule: Rule | None = None
    """What is under the cursor, where projects, drafts or rules are listed."""

    @property
    def targets(self) -> tuple[Task, ...]:
        """The marked tasks, or else the selected one."""
        return self.marked or ((self.task,) if self.task else ())


Applies = Callable[[Context], str | None]
"""Returns why the action is not possible now, or None when it is."""


@dataclass(frozen=True, slots=True)
class Action:
    id: str
    title: str
    group: str
    keys: tuple[str, ...]
    calls: str
    """The name of the operation, or of the screen's own method, that does it."""
    tip: str
    where: frozenset[Where] = field(default_factory=lambda: frozenset(Where))
    applies: Applies = lambda context: None
    confirm: Confirm = Confirm.NEVER
    footer: int | None = None
    """Its place in the footer, smallest first; None leaves it out."""
    short: str = ""
    """Its name in the footer, where room is scarce; the title when empty."""
    palette: bool = True
    footer_on: frozenset[Where] = field(default_factory=lambda: frozenset(Where))
    """The screens whose footers have it."""


def always(context: Context) -> str | None:
    return None


def has_task(context: Context) -> str | None:
    return None if context.targets else "no task is selected"


def has_question(context: Context) -> str | None:
    if context.question or context.task:
        return None
    return "no question is open and no task is selected"


def has_work(context: Context) -> str | None:
    if context.task is None:
        return "no task is selected"
    if context.task.attempt_count == 0:
        return f"{context.task.id} has not been worked on yet: there is nothing to review"
    return None


def in_queues(verb: str, *queues: Queue) -> Applies:
    """Applies to tasks in one of these queues; says which they are otherwise."""
    wanted = frozenset(queues)
    names = " or ".join(queue.value for queue in queues)

    def applies(context: Context) -> str | None:
        if not context.targets:
            return "no task is selected"
        if any(task.queue in wanted for task in context.targets):
            return None
        if len(context.targets) > 1:
            return f"none of the marked tasks is {names}"
        task = context.targets[0]
        return f"{task.id} is {task.queue}: only {names} tasks can be {verb}"

    return applies


def acceptable(context: Context) -> str | None:
    refusal = in_queues("accepted", Queue.PROVISIONAL)(context)
    if refusal is None and all(t.approved_by for t in context.targets if t.queue is Queue.PROVISIONAL):
        return "already accepted: the merge is under way"
    return refusal


def cancellable(context: Context) -> str | None:
    if not context.targets:
        return "no task is selected"
    if any(task.queue in OPEN_QUEUES for task in context.targets):
        return None
    task = context.targets[0]
    return f"{task.id} is {task.queue}: there is nothing to cancel"


def can_raise(context: Context) -> str | None:
    if context.task is None:
        return "no task is selected"
    return f"{context.task.id} is P0 already" if context.task.priority is Priority.P0 else None


def can_lower(context: Context) -> str | None:
    if context.task is None:
        return "no task is selected"
    return f"{context.task.id} is P3 already" if context.task.priority is Priority.P3 else None


def undoable(context: Context) -> str | None:
    return None if context.undo else "nothing was moved or cancelled that could be taken back"


def interruptible(context: Context) -> str | None:
    """Whether the agent at work on the task takes an interruption: its adapter says so."""
    run = context.snapshot.runs.get((context.task and context.task.run_id) or "")
    if run is None:
        return "no agent works on it now"
    from scheduler.steer import caps_of  # with every adapter: only once a run is looked at

    if caps_of(run.adapter).interrupt:
        return None
    return f"{run.agent_name} cannot be interrupted: {run.adapter} agents do not take it"


def unavailable_offline(context: Context) -> str | None:
    return None if context.live else "the store does not answer"


def has_server(context: Context) -> str | None:
    if context.snapshot.sync.mode is SyncMode.LOCAL:
        return "the state is in this project's own store: there is no server"
    return None


def has_conflict(context: Context) -> str | None:
    return None if context.conflict else "no change in conflict is under the cursor"


def has_planned(context: Context) -> str | None:
    if context.project or context.draft:
        return unavailable_offline(context)
    return "no project and no draft is selected"


def has_project(context: Context) -> str | None:
    return unavailable_offline(context) if context.project else "no project is selected"


def promotable(context: Context) -> str | None:
    if context.draft is None:
        return "no draft is selected"
    if context.draft.status is DraftStatus.ARCHIVED:
        return "it is archived: give it another state first"
    return unavailable_offline(context)


def revocable(context: Context) -> str | None:
    if context.rule is None:
        return "no rule is selected"
    if context.rule.revoked_at is not None:
        return "it is revoked already"
    return unavailable_offline(context)


_CONTROL = frozenset({Where.CONTROL})
_TASK = frozenset({Where.TASK})
_REVIEW = frozenset({Where.REVIEW})
_LISTS = frozenset({Where.CONTROL, Where.TASK})
_TASKS = frozenset({Where.CONTROL, Where.TASK, Where.REVIEW})
_SYNC = frozenset({Where.SYNC})
_PROJECTS = frozenset({Where.PROJECTS})
_COSTS = frozenset({Where.COSTS})
_RULES = frozenset({Where.RULES})
_SINCE = frozenset({Where.SINCE})
_SETTINGS = frozenset({Where.SETTINGS})
_PLACES = _PROJECTS | _COSTS | _RULES | _SINCE | _SETTINGS

ACTIONS: tuple[Action, ...] = (
    # Tasks
    Action("task.open", "Open task", "Tasks", ("enter",), "open_task", "Description, diff, transcript, runs",
           _CONTROL | _PROJECTS | _COSTS | _SINCE, has_task, footer=10, short="open"),
    Action("task.review", "Review changes", "Tasks", ("d",), "review", "Read the diff and the evidence",
           _LISTS | _SINCE, has_work, footer=20, short="review"),
    Action("task.accept", "Accept", "Tasks", ("a",), "accept", "Merge the work into its base branch",
           _TASKS, acceptable, confirm=Confirm.MANY, footer=30, short="accept"),
    Action("task.reject", "Reject with reason", "Tasks", ("r",), "reject",
           "Send the work back; the agent reads the reason",
           _TASKS, in_queues("rejected", Queue.PROVISIONAL), footer=40, short="reject"),
    Action("task.new", "New task", "Tasks", ("n",), "new_task", "Queue work for an agent",
           _CONTROL, unavailable_offline, footer=50, short="new"),
    Action("task.why", "Why it does not run", "Tasks", ("w",), "why", "Every gate, and what it says",
           _LISTS, has_task, footer=70, short="why"),
    Action("task.retry", "Retry", "Tasks", ("R",), "retry", "Put failed work back into the queue",
           _TASKS, in_queues("retried", Queue.FAILED, Queue.ESCALATED, Queue.CANCELLED),
           confirm=Confirm.MANY, footer=80, short="retry"),
    Action("task.cancel", "Cancel task", "Tasks", ("c",), "cancel", "Stop its run; the work done is kept",
           _TASKS, cancellable, confirm=Confirm.ALWAYS, footer=90, short="cancel"),
    Action("task.enqueue", "Move to incoming", "Tasks", ("e",), "enqueue", "From the backlog to the queue",
           _LISTS, in_queues("enqueued", Queue.BACKLOG), Confirm.MANY),
    Action("task.hold", "Move to backlog", "Tasks", ("b",), "hold", "Keep it from starting",
           _LISTS, in_queues("held back", Queue.INCOMING), Confirm.MANY),
    Action("task.raise", "Raise priority", "Tasks", ("plus",), "raise_priority", "Towards P0",
           _LISTS, can_raise),
    Action("task.lower", "Lower priority", "Tasks", ("minus",), "lower_priority", "Towards P3",
           _LISTS, can_lower),
    Action("task.undo", "Undo", "Tasks", ("u",), "undo",
           "Take back the last move, cancel or retry, of one task or of many", _CONTROL, undoable),
    Action("task.note", "Add a note for the agent", "Tasks", ("m",), "note",
           "An agent at work may hear it; the next prompt has it", _TASKS, has_task),
    Action("task.interrupt", "Interrupt the agent", "Tasks", ("I",), "interrupt",
           "Break off what it does now, and tell it how to go on", _TASK, interruptible,
           footer=65, short="interrupt"),
    Action("task.copy", "Copy task id", "Tasks", ("y",), "copy_id", "To the clipboard",
           frozenset(Where) - _RULES - _SETTINGS, has_task),
    Action("task.mark", "Mark or unmark", "Tasks", ("space",), "mark",
           "Accept, retry and cancel then act on all marked", _CONTROL, has_task, palette=False),
    Action("task.unmark", "Clear all marks", "Tasks", ("U",), "unmark", "", _CONTROL,
           lambda context: None if context.marked else "nothing is marked"),
    # Review
    Action("review.next", "Next to review", "Review", ("n",), "next_review", "The next provisional task",
           _REVIEW, footer=50, short="next"),
    Action("review.previous", "Previous to review", "Review", ("N",), "previous_review",
           "The provisional task before", _REVIEW, footer=60, short="previous"),
    Action("review.comment", "Comment on the line", "Review", ("enter",), "comment",
           "Kept for the reason of the rejection", _REVIEW, has_task, footer=45, short="comment"),
    Action("review.next_file", "Next file", "Review", ("right_curly_bracket",), "next_file", "", _REVIEW,
           footer=70, short="next file"),
    Action("review.previous_file", "Previous file", "Review", ("left_curly_bracket",), "previous_file", "",
           _REVIEW),
    Action("review.next_hunk", "Next hunk", "Review", ("right_square_bracket",), "next_hunk", "", _REVIEW),
    Action("review.previous_hunk", "Previous hunk", "Review", ("left_square_bracket",), "previous_hunk", "",
           _REVIEW),
    Action("review.open", "Open task", "Review", ("t",), "open_task", "Description, transcript, runs",
           _REVIEW, has_task),
    # Conversations
    Action("chat.open", "Open conversation", "Conversations", ("o",), "open_conversation",
           "Read it and answer", _LISTS | _SINCE, has_question, footer=60, short="answer"),
    Action("chat.input", "Write an answer", "Conversations", ("i",), "focus_input", "",
           _CONTROL, has_question),
    # Scheduler
    Action("fleet.pause", "Pause or resume the scheduler", "Scheduler", ("p",), "pause",
           "Running work goes on; nothing new starts", _CONTROL, unavailable_offline, footer=85,
           short="pause"),
    # Server
    Action("sync.open", "Server and conflicts", "Server", ("s",), "open_sync",
           "What waits to be sent, and what the server did not take", _TASKS, has_server),
    Action("sync.mine", "Keep mine", "Server", ("m",), "settle_mine",
           "Ask the server for the change again", _SYNC, has_conflict, footer=10, short="mine"),
    Action("sync.theirs", "Keep theirs", "Server", ("t",), "settle_theirs",
           "Leave everything as the server has it", _SYNC, has_conflict, footer=20, short="theirs"),
    Action("sync.now", "Send now", "Server", ("s",), "send_now", "Try the server at once", _SYNC, has_server,
           footer=30, short="send now"),
    # Projects and drafts, costs, rules
    Action("projects.new", "New project or draft", "Projects", ("n",), "new_planned",
           "Of the kind that is listed", _PROJECTS, unavailable_offline, footer=20, short="new"),
    Action("projects.edit", "Edit", "Projects", ("e",), "edit_planned", "Title, description and the rest",
           _PROJECTS, has_planned, footer=30, short="edit"),
    Action("projects.state", "Change the state", "Projects", ("s",), "state_planned",
           "Completed, archived and so on", _PROJECTS, has_planned, footer=40, short="state"),
    Action("projects.promote", "Turn the draft into tasks", "Projects", ("t",), "promote",
           "One task for each line you write", _PROJECTS, promotable, footer=25, short="to tasks"),
    Action("projects.task", "Add a task to the project", "Projects", ("a",), "new_task",
           "A new task that belongs to it", _PROJECTS, has_project, footer=27, short="add task"),
    Action("costs.days", "Today, 7 or 30 days", "Costs", ("d",), "next_span",
           "A run counts for the day on which it began", _COSTS, footer=20, short="days"),
    Action("rules.revoke", "Revoke the rule", "Rules", ("x",), "revoke_rule",
           "It answers nothing any more", _RULES, revocable, confirm=Confirm.ALWAYS, footer=20,
           short="revoke"),
    Action("since.time", "Another time", "Since you left", ("t",), "next_time",
           "Since you left, since last evening, 24 hours, 7 days", _SINCE, footer=30, short="time"),
    Action("places.next_tab", "Next list", "View", ("right_square_bracket", "right", "l"), "next_tab", "",
           _PROJECTS | _COSTS | _SINCE | _SETTINGS, footer=50, short="next list", palette=False),
    Action("places.previous_tab", "Previous list", "View", ("left_square_bracket", "left", "h"),
           "previous_tab", "", _PROJECTS | _COSTS | _SINCE | _SETTINGS, palette=False),
    Action("places.next_part", "Next part", "View", ("tab",), "next_part",
           "From the list to what is beside it", _PLACES, footer=60, short="next part", palette=False),
    Action("places.previous_part", "Previous part", "View", ("shift+tab",), "previous_part", "", _PLACES,
           palette=False),
    # View
    Action("pane.queues", "Queues", "View", ("1",), "pane_queues", "Tasks by state", _CONTROL | _PLACES),
    Action("pane.agents", "Agents", "View", ("2",), "pane_agents", "What each agent does",
           _CONTROL | _PLACES),
    Action("pane.leases", "Leases", "View", ("3",), "pane_leases", "Who holds what until when",
           _CONTROL | _PLACES),
    Action("pane.chat", "Chat", "View", ("4",), "pane_chat", "Open questions and conversations",
           _CONTROL | _PLACES),
    Action("projects.open", "Projects and drafts", "View", ("5",), "open_projects",
           "What tasks belong to, and what may become tasks", _CONTROL | _PLACES, footer=100,
           short="projects"),
    Action("costs.open", "Costs and budgets", "View", ("6",), "open_costs",
           "What runs have used, and what they may", _CONTROL | _PLACES, footer=101, short="costs"),
    Action("rules.open", "Rules of answers", "View", ("7",), "open_rules",
           "What is answered by itself", _CONTROL | _PLACES, footer=102, short="rules"),
    Action("since.open", "Since you left", "View", ("8",), "open_since",
           "What happened since you last did something here", _CONTROL | _PLACES, footer=99,
           short="since"),
    Action("settings.open", "Settings", "View", ("9",), "open_settings",
           "Every key of the configuration, and the agents", _CONTROL | _PLACES, footer=103,
           short="settings"),
    Action("pane.next", "Next pane", "View", ("tab",), "next_pane", "", _CONTROL, palette=False),
    Action("pane.previous", "Previous pane", "View", ("shift+tab",), "previous_pane", "", _CONTROL,
           palette=False),
    Action("pane.zoom", "Zoom the pane", "View", ("z",), "zoom", "One pane on the whole screen", _CONTROL),
    Action("view.filter", "Filter", "View", ("slash",), "filter", "Show only what matches",
           _CONTROL | _SETTINGS,
           footer=75, short="filter"),
    Action("view.next_tab", "Next queue", "View", ("right_square_bracket", "right", "l"), "next_tab", "",
           _CONTROL, palette=False),
    Action("view.previous_tab", "Previous queue", "View", ("left_square_bracket", "left", "h"),
           "previous_tab", "", _CONTROL, palette=False),
    Action("task.next_tab", "Next tab", "View", ("tab", "right_square_bracket"), "next_tab", "", _TASK,
           footer=15, short="next tab", palette=False),
    Action("task.search", "Search the transcript", "View", ("slash",), "search", "n and N go on", _TASK,
           footer=75, short="search"),
    Action("task.previous_tab", "Previous tab", "View", ("shift+tab", "left_square_bracket"), "previous_tab",
           "", _TASK, palette=False),
    Action("view.theme", "Change theme", "View", ("T",), "theme", "Dark, light, high contrast, mono"),
    Action("view.refresh", "Read everything again", "View", ("ctrl+r",), "refresh", ""),
    # Program
    Action("app.help", "Help", "Program", ("question_mark", "f1"), "help", "Every key of this screen",
           footer=200, short="help"),
    Action("app.palette", "Command palette", "Program", ("ctrl+p",), "palette",
           "Every action, and every task by name", footer=190, short="palette", palette=False),
    Action("app.back", "Back", "Program", ("escape",), "back", "", footer=195, short="back", palette=False,
           footer_on=_PLACES),
    Action("app.quit", "Quit", "Program", ("q",), "quit", "Agents go on; the next start finds them",
           footer=210, short="quit"),
)  # fmt: skip

BY_ID = {action.id: action for action in ACTIONS}


def actions_of(where: Where) -> Iterator[Action]:
    """The actions of one screen, in the table's order."""
    return (action for action in ACTIONS if where in action.where)


def footer_of(where: Where) -> list[Action]:
    """What the footer of a screen shows, the most useful first."""
    return sorted(
        (one for one in actions_of(where) if one.footer is not None and where in one.footer_on),
        key=lambda action: (action.footer or 0, action.id),
    )
