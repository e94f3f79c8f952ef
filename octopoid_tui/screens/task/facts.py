"""A task's facts as text and rows. Pure, but for styled content."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo

from textual.content import Content

from backend.clean import clean, clean_line
from backend.model import Event, Evidence, Run, Task
from octopoid_tui.formats import age, clock, count, duration, money
from octopoid_tui.host import Picture
from octopoid_tui.panes import glyphs
from octopoid_tui.panes.glyphs import styled
from octopoid_tui.panes.task_rows import reason
from octopoid_tui.widgets.grid_model import Column, Row

LABEL = 13
SHA = 10

EVENT_COLUMNS = (
    Column("at", "When", 12, sortable=False),
    Column("kind", "What", 14, sortable=False),
    Column("move", "From → to", 22, priority=2, sortable=False),
    Column("actor", "By", 16, priority=3, sortable=False),
    Column("reason", "Why", 20, flex=1, priority=1, sortable=False),
)
RUN_COLUMNS = (
    Column("attempt", "No", 2, right=True, sortable=False),
    Column("outcome", "Outcome", 15, sortable=False),
    Column("agent", "Agent", 10, sortable=False),
    Column("took", "Took", 7, right=True, priority=3, sortable=False),
    Column("turns", "Turns", 5, right=True, priority=6, sortable=False),
    Column("tokens", "Tokens", 6, right=True, priority=5, sortable=False),
    Column("cost", "Cost", 6, right=True, priority=4, sortable=False),
    Column("commits", "Commits", 7, right=True, priority=7, sortable=False),
    Column("reason", "What happened", 18, flex=1, priority=1, sortable=False),
    Column("session", "Session", 12, priority=8, sortable=False),
    Column("id", "Id", 14, priority=2, sortable=False),
)


def facts(task: Task, picture: Picture) -> Content:
    """The fields of a task that say something."""
    state, tone = glyphs.task(task, picture.busy.get(task.id))
    why = reason(task, picture.snapshot)
    rows: list[tuple[str, Content]] = [
        ("state", Content.assemble(styled(state, tone), f"   {why}" if why else "")),
        ("priority", styled(task.priority.value, glyphs.PRIORITY[task.priority])),
        ("for", Content(_join(task.role, task.type.value, task.complexity and task.complexity.value))),
        ("base", Content(f"{task.base_branch} at {task.base_sha[:SHA]}")),
    ]
    optional = (
        ("work", task.head_sha and f"commit {task.head_sha[:SHA]}"),
        ("merged", task.merged_sha and f"commit {task.merged_sha[:SHA]}"),
        ("blocked by", ", ".join(task.blocked_by)),
        ("needs", ", ".join(task.needs)),
        ("accepted by", task.approved_by),
        ("project", task.project_id),
        ("file", task.file_path),
        ("request", task.pr_url),
    )
    rows += [(name, Content(clean_line(value, 300))) for name, value in optional if value]
    tries = f"{task.attempts_counted} counted of {task.attempt_count}, {task.rejection_count} rejections"
    created = f"{age((picture.now - task.created_at).total_seconds())} ago by {task.created_by}"
    rows += [("attempts", Content(tries)), ("created", Content(clean_line(created, 200)))]
    return Content("\n").join(
        [Content.assemble((f"{name:<{LABEL}}", "$text-muted"), value) for name, value in rows]
    )


def _join(*parts: str | None) -> str:
    return ", ".join(clean_line(part, 60) for part in parts if part)


def event_rows(events: Sequence[Event], now: datetime, zone: tzinfo | None) -> list[Row]:
    """The newest first."""
    return [
        Row(
            str(event.seq),
            (clock(event.at, now, zone), event.kind, _move(event), event.actor, event.reason or ""),
            cell_tones=("dim", "", "info", "dim", ""),
        )
        for event in reversed(events)
    ]


def _move(event: Event) -> str:
    if event.from_state == event.to_state:
        return event.to_state or ""
    return f"{event.from_state or '·'} → {event.to_state or '·'}"


def run_rows(runs: Sequence[Run], now: datetime) -> list[Row]:
    """The newest first."""
    rows = []
    for run in reversed(runs):
        outcome, tone = glyphs.run(run)
        took = ((run.ended_at or now) - run.started_at).total_seconds()
        tokens = run.tokens_input + run.tokens_output + run.tokens_cache_write
        cells = (
            str(run.attempt),
            outcome,
            run.agent_name,
            duration(round(took)),
            "" if run.turns is None else str(run.turns),
            count(tokens),
            "" if run.cost_usd is None else money(run.cost_usd),
            "" if run.commits_count is None else str(run.commits_count),
            run.reason or run.summary or "",
            run.session_id or "",
            run.id,
        )
        rows.append(
            Row(
                run.id,
                cells,
                cell_tones=("dim", tone, "", "dim", "dim", "dim", "dim", "dim", "", "dim", "dim"),
            )
        )
    return rows


def run_line(run: Run, caps: Sequence[str]) -> Content:
    """Which run it is, which session of which agent program, and what that kind of agent can do."""
    state, tone = glyphs.run(run)
    said = [f"attempt {run.attempt}", run.agent_name, f"run {run.id}"]
    said += [f"session {clean_line(run.session_id, 60)}"] if run.session_id else []
    able = f"   {run.adapter} can: {', '.join(caps)}" if caps else f"   {run.adapter}"
    return Content.assemble(styled(state, tone), f"  {'  '.join(said)}", (able, "$text-muted"))


def evidence_summary(evidence: Sequence[Evidence], head_sha: str | None) -> Content:
    """The checks in one line, for the commit that would be merged."""
    fresh = newest_of_each(evidence, head_sha)
    stale = len({e.check for e in evidence}) - len(fresh)
    passed = sum(e.passed for e in fresh)
    failed = [e.check for e in fresh if not e.passed and e.exit_code is not None]
    unknown = [e.check for e in fresh if e.exit_code is None]
    parts = []
    if passed:
        parts.append(styled(f"✓ {passed} passed", "ok"))
    if failed:
        parts.append(styled(f"✗ {len(failed)} failed: {clean_line(', '.join(failed), 80)}", "error"))
    if unknown:
        parts.append(
            styled(f"? {len(unknown)} could not be run: {clean_line(', '.join(unknown), 80)}", "warning")
        )
    if stale > 0:
        parts.append(styled(f"? {stale} only on an older commit", "warning"))
    return Content.assemble("checks: ", Content(", ").join(parts or [styled("none were run", "dim")]))


def newest_of_each(evidence: Sequence[Evidence], head_sha: str | None) -> list[Evidence]:
    """The last result of each check on a commit; on any when there is no commit yet."""
    newest: dict[str, Evidence] = {}
    for result in sorted(evidence, key=lambda result: result.at):
        if head_sha in (None, result.commit_sha):
            newest[result.check] = result
    return list(newest.values())


def evidence_text(evidence: Sequence[Evidence], now: datetime) -> Content:
    """Every check with its command, its commit and the end of its output, the newest first."""
    if not evidence:
        return Content.styled(
            "No checks were run. `checks` in config.yaml names the commands.", "$text-muted"
        )
    parts: list[Content] = []
    for result in sorted(evidence, key=lambda result: result.at, reverse=True):
        word, tone = glyphs.check(result)
        parts.append(
            Content.assemble(
                styled(word, tone), "  ", (clean_line(result.check, 60), "bold"),
                (f"   {clean_line(result.command, 120)}   {duration(result.duration_ms / 1000)} on "
                 f"{result.commit_sha[:SHA]}, {age((now - result.at).total_seconds())} ago", "$text-muted"),
            )
        )  # fmt: skip
        parts += [Content(f"  {line}") for line in clean(result.output_tail).rstrip("\n").split("\n")]
        parts.append(Content(""))
    return Content("\n").join(parts)
