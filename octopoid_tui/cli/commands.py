"""The table of commands: help, completion, documentation and dispatch all read it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One command: where it is implemented, imported only when it is used."""

    name: str
    module: str
    """Below `octopoid_tui.cli`."""
    function: str
    summary: str
    group: str


START = "Start"
TASKS = "Tasks"
REVIEW = "Review"
STEER = "Steer"
TALK = "Questions"
CHECK = "Check"
SERVER = "Server"

COMMANDS: tuple[Entry, ...] = (
    Entry("init", "setup", "init", "Set up Octopoid in this git repository.", START),
    Entry("trust", "trust", "trust", "Agree to configuration that came with the repository.", START),
    Entry("demo", "start", "demo", "Watch scripted agents work in a throw-away repository.", START),
    Entry("run", "start", "run", "Run the scheduler without a screen.", START),
    Entry("start", "start", "run", "The same as run.", START),
    Entry("stop", "start", "stop", "Stop the scheduler; agents go on.", START),
    Entry("status", "steer", "status", "Show what runs, what waits and what is stuck.", STEER),
    Entry("agents", "agents", "agents", "List the agents and what their kind can do.", STEER),
    Entry("costs", "costs", "costs", "Show what runs have cost.", STEER),
    Entry("sessions", "sessions", "sessions", "List the sessions of agent programs.", STEER),
    Entry("pause", "steer", "pause", "Start no new work; what runs goes on.", STEER),
    Entry("resume", "steer", "resume", "Start new work again.", STEER),
    Entry("enqueue", "tasks", "enqueue", "Queue a task.", TASKS),
    Entry("list", "tasks", "list_tasks", "List tasks.", TASKS),
    Entry("show", "tasks", "show", "Show everything about one task.", TASKS),
    Entry("why", "tasks", "why", "Say why a task does not run.", TASKS),
    Entry("retry", "tasks", "retry", "Queue a failed, escalated or cancelled task again.", TASKS),
    Entry("cancel", "tasks", "cancel", "Cancel a task; its work is kept under a rescue ref.", TASKS),
    Entry("projects", "projects", "projects", "List projects; create, show or edit one.", TASKS),
    Entry("drafts", "drafts", "drafts", "List drafts; write one, or turn one into tasks.", TASKS),
    Entry("logs", "logs", "logs", "Show what a run's agent did.", REVIEW),
    Entry("diff", "review", "diff", "Show the changes of a task.", REVIEW),
    Entry("accept", "review", "accept", "Accept finished work and merge it.", REVIEW),
    Entry("reject", "review", "reject", "Send finished work back with a reason.", REVIEW),
    Entry("questions", "questions", "questions", "List what agents wait to be told.", TALK),
    Entry("answer", "questions", "answer", "Answer a question.", TALK),
    Entry("rules", "questions", "rules", "List or revoke answers that are given by themselves.", TALK),
    Entry("tell", "questions", "tell", "Tell an agent something while it works.", TALK),
    Entry("interrupt", "attach", "interrupt", "Break off what an agent does now.", TALK),
    Entry("attach", "attach", "attach", "Follow an agent while it works, and write to it.", TALK),
    Entry("ask", "questions", "ask", "Ask a person from inside a run.", TALK),
    Entry("mcp", "questions", "mcp", "Serve tools to an agent from inside its run.", TALK),
    Entry("doctor", "doctor", "doctor", "Check everything Octopoid relies on.", CHECK),
    Entry("validate", "setup", "validate", "Check the configuration, or explain its keys.", CHECK),
    Entry("sync", "sync", "sync", "Send what waits to the server now.", SERVER),
    Entry("conflicts", "sync", "conflicts", "List changes that the server did not take.", SERVER),
    Entry("settle", "sync", "settle", "Settle a conflict: keep mine, or theirs.", SERVER),
    Entry("serve", "serve", "serve", "Serve the state to other machines.", SERVER),
    Entry("keys", "keys", "keys", "Make, list or revoke keys to the server.", SERVER),
    Entry("export", "transfer", "export", "Write the whole state to a file.", SERVER),
    Entry("import", "transfer", "import_", "Take in an export, into an empty store.", SERVER),
)
BY_NAME = {entry.name: entry for entry in COMMANDS}
