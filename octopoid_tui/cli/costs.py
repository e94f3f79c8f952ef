"""`costs`: what runs have used, by project, agent and task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from backend.clock import day_of, to_iso
from backend.model import Json, Usage, UsageBy
from octopoid_tui.cli.output import BOLD, Style, columns, say_json, say_styled
from octopoid_tui.cli.session import Session, run_session
from octopoid_tui.cli.tasks import JsonFlag

if TYPE_CHECKING:
    from scheduler.budget import Line, Standing

SHOWN = 20
"""Lines of each part, the dearest first; `--json` has all."""


def costs(
    days: Annotated[int, typer.Option(min=1, max=36_500, help="So many days, today being the last.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """Show what runs have cost and which tokens they used, today unless said otherwise.

    A run counts for the day on which it began, and a day begins at this machine's midnight.
    Budgets that several tasks share are listed with what is used of them.
    """
    now = datetime.now(UTC)
    since = day_of(now - timedelta(days=days - 1))[0]

    async def work(session: Session) -> tuple[dict[UsageBy, list[Usage]], Standing]:
        used = {by: await session.desk.backend.usage(by, since=since) for by in UsageBy}
        return used, await session.desk.budgets()

    found, standing = run_session(work)
    if as_json:
        say_json({**_fields(found, since), "budgets": [_budget_fields(line) for line in standing.shared]})
    else:
        say_styled(_text(found, standing))


def _fields(found: dict[UsageBy, list[Usage]], since: datetime) -> Json:
    agents = found[UsageBy.AGENT]
    return {
        "since": to_iso(since),
        "cost_usd": round(sum(one.cost_usd for one in agents), 6),
        "tokens": sum(one.tokens for one in agents),
        "runs": sum(one.runs for one in agents),
        **{f"by_{by}": [_row_fields(by, one) for one in rows] for by, rows in found.items()},
    }


def _budget_fields(line: Line) -> Json:
    return {
        "reach": line.reach.value,
        "of": line.of or None,
        "unit": "tokens" if line.tokens else "usd",
        "used": round(line.used, 6),
        "limit": line.limit,
    }


def _row_fields(by: UsageBy, usage: Usage) -> Json:
    return {
        by.value: usage.key or None,
        "runs": usage.runs,
        "cost_usd": round(usage.cost_usd, 6),
        "tokens_input": usage.tokens_input,
        "tokens_output": usage.tokens_output,
        "tokens_cache_read": usage.tokens_cache_read,
        "tokens_cache_write": usage.tokens_cache_write,
    }


def _text(found: dict[UsageBy, list[Usage]], standing: Standing) -> str:
    style, agents = Style(), found[UsageBy.AGENT]
    cost, tokens = sum(one.cost_usd for one in agents), sum(one.tokens for one in agents)
    runs = sum(one.runs for one in agents)
    parts = [style(f"${cost:.2f}, {tokens:,} tokens, {runs} run{'' if runs == 1 else 's'}", BOLD)]
    if standing.shared:
        lines = [_line(one) for one in standing.shared]
        parts.append(columns([("BUDGET", "PART", "USED", "LIMIT"), *lines], indent="  "))
    for by in (UsageBy.PROJECT, UsageBy.AGENT, UsageBy.TASK):
        rows = found[by]
        if not rows:
            continue
        heads = (by.upper(), "COST", "IN", "OUT", "CACHED", "RUNS")
        parts.append(columns([heads, *(_row(one) for one in rows[:SHOWN])], indent="  "))
        if len(rows) > SHOWN:
            parts.append(style(f"  and {len(rows) - SHOWN} more"))
    return "\n\n".join(parts)


def _line(line: Line) -> tuple[str, ...]:
    return line.name, f"{line.used / line.limit:.0%}", line.amount(line.used), line.amount(line.limit)


def _row(usage: Usage) -> tuple[str, ...]:
    return (
        usage.key or "(none)",
        f"${usage.cost_usd:.2f}",
        f"{usage.tokens_input:,}",
        f"{usage.tokens_output:,}",
        f"{usage.tokens_cache_read + usage.tokens_cache_write:,}",
        str(usage.runs),
    )
