"""The one schema of config.yaml and agents.yaml: keys, types, units, defaults and what each means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta


def doc(description: str, **rules: Any) -> Meta:
    """A field's description with its bounds (`ge`, `le`, …)."""
    return Meta(description=description, **rules)


def duration(description: str) -> Meta:
    """A time of at least one second, in seconds or written like `90s`, `30m`, `1h30m`, `2d`."""
    return Meta(description=description, ge=1, extra={"duration": True})


Count = Annotated[int, Meta(ge=1)]
Dollars = Annotated[float, Meta(gt=0)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all parts of the configuration."""


class Server(Section, frozen=True):
    enabled: Annotated[bool | None, doc("Whether the server is used; follows `mode` when absent.")] = None
    url: Annotated[str | None, doc("Address of the server, http:// or https://. Needed in mode remote.")] = (
        None
    )
    cluster: Annotated[str, doc("Name of the group of machines this one belongs to.")] = "default"
    machine_id: Annotated[
        str | None, doc("Name of this machine within the cluster; the host's name when absent.")
    ] = None
    api_key: Annotated[
        str | None, doc("Key for the server; better given as OCTOPOID_API_KEY than written here.")
    ] = None

    def __repr__(self) -> str:
        return f"Server(url={self.url!r}, cluster={self.cluster!r}, machine_id={self.machine_id!r})"


class Agents(Section, frozen=True):
    max_concurrent: Annotated[int, doc("Runs at the same time on this machine.", ge=1, le=1000)] = 3
    max_load: Annotated[
        int, doc("Load of the machine, per processor, above which no agent is started.", ge=1, le=1000)
    ] = 16


class Repo(Section, frozen=True):
    path: Annotated[
        str | None, doc("The repository; relative to, and by default, the folder that holds `.octopoid`.")
    ] = None
    main_branch: Annotated[str, doc("Branch that work starts from and is accepted into.")] = "main"
    update_checkout: Annotated[
        bool, doc("Whether accepting may fast-forward your checkout of the branch when it is clean.")
    ] = True
    watch: Annotated[
        bool, doc("Whether it is told when the repository's git configuration or hooks changed under agents.")
    ] = True


class Check(Section, frozen=True):
    """A command whose exit status says whether work is good."""

    name: Annotated[str, doc("What evidence of this check is called.", min_length=1, max_length=80)]
    command: Annotated[str, doc("Run by `sh -c` in the work tree; 0 is a pass.", min_length=1)]
    timeout_s: Annotated[int, doc("Longest time it may take, in seconds.", ge=1, le=86400)] = 900

    @classmethod
    def from_text(cls, text: str) -> Check:
        """The short form: a command that is its own name."""
        return cls(name=" ".join(text.split())[:80], command=text)


REVIEW_CHECK = "agent review"
"""What the evidence of a reviewing agent's verdict is called; no check may have this name."""


class Limits(Section, frozen=True):
    incoming: Annotated[Count | None, doc("Tasks that may wait in `incoming`; no limit when absent.")] = None
    provisional: Annotated[
        int, doc("Tasks waiting for review at which nothing new is started.", ge=1, le=100_000)
    ] = 20
    attempts: Annotated[int, doc("Attempts per task, over all ways of trying again.", ge=1, le=100)] = 5
    rejections: Annotated[int, doc("Rejections after which a task goes to a person.", ge=1, le=100)] = 3
    continuations: Annotated[
        int, doc("Times a run that is out of turns is resumed, per task.", ge=0, le=100)
    ] = 3
    conflicts: Annotated[int, doc("Runs spent on resolving merge conflicts, per task.", ge=0, le=100)] = 2


class Budgets(Section, frozen=True):
    task_usd: Annotated[Dollars | None, doc("Most a task may cost, in US dollars.")] = None
    day_usd: Annotated[
        Dollars | None, doc("Most a day may cost, in US dollars; it begins at this machine's midnight.")
    ] = None
    project_usd: Annotated[Dollars | None, doc("Most a project may cost in all, in US dollars.")] = None
    task_tokens: Annotated[Count | None, doc("Most tokens a task may use, in and out.")] = None
    day_tokens: Annotated[Count | None, doc("Most tokens a day may use, in and out.")] = None
    project_tokens: Annotated[Count | None, doc("Most tokens a project may use in all, in and out.")] = None
    warn_percent: Annotated[
        int, doc("Part of any budget at which a warning is given, in percent.", ge=1, le=100)
    ] = 80


class Leases(Section, frozen=True):
    seconds: Annotated[int, doc("How long a lease lasts unless renewed, in seconds.", ge=10, le=86400)] = 300
    heartbeat_seconds: Annotated[
        int, doc("How often leases are renewed, in seconds; at most half a lease.", ge=1, le=3600)
    ] = 30


class Sessions(Section, frozen=True):
    idle_minutes: Annotated[
        int, doc("A session without activity for so long ends; waiting for an answer is not idle.", ge=1)
    ] = 30
    max_minutes: Annotated[int, doc("A session older than this ends, in minutes.", ge=1)] = 60


class Retention(Section, frozen=True):
    worktrees_hours: Annotated[int, doc("How long a finished task's work tree is kept, in hours.", ge=0)] = 24
    runs_days: Annotated[int, doc("How long the files of an ended run are kept, in days.", ge=1)] = 30


class Notify(Section, frozen=True):
    bell: Annotated[bool, doc("Ring the terminal's bell when something waits for you.")] = True
    desktop: Annotated[bool, doc("Show a desktop notification when something waits for you.")] = False


class Config(Section, frozen=True):
    """config.yaml"""

    mode: Annotated[Literal["local", "remote"], doc("Where the state lives: here, or on a server.")] = "local"
    server: Server = Server()
    agents: Agents = Agents()
    repo: Repo = Repo()
    checks: Annotated[
        tuple[Check, ...],
        doc("Commands that work must pass: a line of shell each, or name, command and timeout_s."),
    ] = ()
    review: Annotated[
        Literal["human", "agent", "both", "auto"],
        doc("Who must agree before work is accepted; `auto` needs the checks alone."),
    ] = "human"
    merge: Annotated[
        Literal["merge", "squash", "rebase", "push", "pr"],
        doc("How accepted work is integrated; push and pr are not available yet."),
    ] = "merge"
    limits: Limits = Limits()
    budgets: Budgets = Budgets()
    leases: Leases = Leases()
    sessions: Sessions = Sessions()
    retention: Retention = Retention()
    notify: Notify = Notify()
    keys: Annotated[
        dict[str, str | tuple[str, ...]], doc("Keys for actions: an action's id and its key, or several.")
    ] = msgspec.field(default_factory=dict)
    theme: Annotated[str | None, doc("Name of the screen's theme; the built-in one when absent.")] = None


class Price(Section, frozen=True):
    """What a model's tokens cost: US dollars per million. Costs made of it are estimates."""

    input: Annotated[float, doc("Tokens that come from no cache.", ge=0)]
    output: Annotated[float, doc("Tokens that the model writes.", ge=0)]
    cache_read: Annotated[float, doc("Tokens that are read from the cache.", ge=0)]
    cache_write: Annotated[float, doc("Tokens that are written to the cache.", ge=0)]


class AgentSpec(Section, frozen=True):
    """One entry of agents.yaml: a blueprint for one or more agents."""

    name: Annotated[str, doc("The agent's name, unique in the file.")]
    role: Annotated[
        str, doc("What it is for: implement, review, test, breakdown, resolve, fix, or your own.")
    ]
    interval_seconds: Annotated[
        int, doc("Least time between the starts of two of its runs, in seconds.", ge=0)
    ] = 0
    model: Annotated[str | None, doc("Model the agent program is asked to use; its own when absent.")] = None
    max_turns: Annotated[Count | None, doc("Turns a run may take; no limit of ours when absent.")] = None
    adapter: Annotated[
        Literal["claude", "codex", "acp", "anthropic", "command", "demo"],
        doc("Kind of agent program: see docs/agents.md."),
    ] = "claude"
    program: Annotated[str | None, doc("Path of the agent program; found on PATH when absent.")] = None
    command: Annotated[
        tuple[str, ...], doc("Program and arguments, for `adapter: command` and `acp`; no shell is involved.")
    ] = ()
    args: Annotated[tuple[str, ...], doc("Further arguments for the agent program.")] = ()
    env: Annotated[
        dict[str, str], doc("Variables given to the agent beyond the short list it gets anyway.")
    ] = msgspec.field(default_factory=dict)
    pass_env: Annotated[
        tuple[str, ...],
        doc("Names of variables of your own environment that the agent is given, such as ANTHROPIC_API_KEY."),
    ] = ()
    permissions: Annotated[
        Literal["ask", "accept-edits"] | tuple[str, ...],
        doc("Ask for every tool, accept edits, or a list of the tools that are allowed."),
    ] = "ask"
    isolation: Annotated[
        Literal["none", "landlock", "bubblewrap", "command"],
        doc("What the agent is confined by; only none is available in this version."),
    ] = "none"
    max_instances: Annotated[int, doc("Agents made from this entry.", ge=1, le=100)] = 1
    timeout: Annotated[int, duration("Longest time of a run, in seconds or like 30m.")] = 3600
    idle_timeout: Annotated[
        int, duration("Longest time without output, in seconds or like 30m; waiting for a person is free.")
    ] = 1800
    budget_usd: Annotated[Dollars | None, doc("Most one run may cost, in US dollars.")] = None
    budget_tokens: Annotated[Count | None, doc("Most tokens one run may use, in and out.")] = None
    day_usd: Annotated[
        Dollars | None, doc("Most this agent, all instances together, may cost a day, in US dollars.")
    ] = None
    price: Annotated[
        Price | None,
        doc("Prices of its model in US dollars per million tokens, where the program tells no cost itself."),
    ] = None
    paused: Annotated[bool, doc("Start nothing new with this agent.")] = False

    def __repr__(self) -> str:
        return f"AgentSpec(name={self.name!r}, role={self.role!r}, adapter={self.adapter!r})"


class AgentsFile(Section, frozen=True):
    """agents.yaml; the list may also stand alone."""

    agents: Annotated[tuple[AgentSpec, ...], doc("The agents of this machine.")] = ()


NOT_YET: dict[str, frozenset[str]] = {
    "merge": frozenset({"push", "pr"}),
    "isolation": frozenset({"landlock", "bubblewrap", "command"}),
}
"""Words of the schema that this version cannot do; using one is an error, not a silent something else."""
