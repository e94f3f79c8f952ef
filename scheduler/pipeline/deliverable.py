"""What a run had to leave in its outbox besides commits: a verdict, or the tasks of a plan."""

from __future__ import annotations

from pathlib import Path

from backend.errors import BadInput, OctopoidError
from scheduler.pipeline import plan, verdict
from scheduler.pipeline.plan import Plan, RoleProblem, read_plan
from scheduler.pipeline.verdict import Verdict, read_verdict
from scheduler.roles import Product, load_role
from scheduler.runs.outbox import OutboxItem
from scheduler.runs.rundir import RunDir

Deliverable = Verdict | Plan
KINDS = {Product.VERDICT: verdict.KIND, Product.TASKS: plan.KIND}
"""The kind of outbox item in which each product comes."""


class Nothing(BadInput):
    """A run left nothing of what its role has to produce, or nothing that can be used."""


def read_deliverable(run_dir: RunDir, product: Product, commit: str | None, roles: Path) -> Deliverable:
    """The newest one that a run left. Blocking, brief.

    Raises:
        Nothing: there is none, or it cannot be used; `details` names each fault.
    """
    kind = KINDS[product]
    found = run_dir.read_outbox(set())
    items = [item for item in found if isinstance(item, OutboxItem) and item.kind == kind]
    if not items:
        raise Nothing(f"it left no {kind}", f"a run of this role writes outbox/{kind}.json")
    try:
        return read_item(items[-1], product, commit, roles)
    except BadInput as error:
        faults = error.details or (error.next_step,)
        raise Nothing(f"{error.problem}: {'; '.join(faults)}", error.next_step, error.details) from error


def read_item(item: OutboxItem, product: Product, commit: str | None, roles: Path) -> Deliverable:
    """One item as what it is to be.

    Raises:
        BadInput: it is not.
    """
    if product is Product.VERDICT:
        return read_verdict(item.payload, commit)
    return read_plan(item.payload, role_problem_in(roles))


def role_problem_in(roles: Path) -> RoleProblem:
    """Whether a task of a plan may have a role: one with a prompt, that does work of its own."""

    def problem(name: str) -> str | None:
        try:
            role = load_role(name, roles)
        except OctopoidError as error:
            return error.problem
        if role.in_place or role.produces is not Product.COMMITS:
            return f"a task of a plan cannot have role {name}"
        return None

    return problem
