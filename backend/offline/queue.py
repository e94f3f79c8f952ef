"""Taking a change into the outbox: made to the records here and kept for the server, in one transaction."""

from __future__ import annotations

from dataclasses import fields, replace

from backend.clean import clean_line
from backend.clock import from_ms
from backend.errors import NotFound, OctopoidError, Refused
from backend.inline import run_at_once
from backend.interface import Action
from backend.model import Json, RunPatch, Task
from backend.offline.cache import CacheService
from backend.offline.operations import (
    Create,
    Edit,
    Move,
    OnMessage,
    OnRun,
    Operation,
    Post,
    Prove,
    named,
    touched,
)
from backend.offline.outbox import Entry, is_base
from backend.wire import to_json

SUMMARY_LIMIT = 200


def take(service: CacheService, operation: Operation, entry_id: str, *, sent: bool) -> object:
    """Make a change here and keep it for the server; returns what the backend returns for it.

    Args:
        sent: it was sent already, and the answer did not come: the server may have made it.

    Raises: what any backend raises; then nothing is kept.
    """
    task_id = run_at_once(operation.task_id(service.here))
    before = _task(service, task_id)
    if operation.base is None and before is not None and not (sent and isinstance(operation, Move)):
        operation = operation.on(before.version)
    needs = service.outbox.needs_of(operation, task_id)
    result = _do(service, operation, sent=sent)
    after = result.version if isinstance(result, Task) else None
    if not sent and _fold(service, operation, task_id, after):
        return result
    entry = Entry(
        id=entry_id,
        # A request that was sent is repeated: its version is in a header, which may differ.
        key=entry_id if sent or operation.base is None else f"{entry_id}-v{operation.base}",
        operation=operation,
        task_id=task_id,
        after=after,
        needs=needs,
        before=None if before is None else _values(before, touched(operation)),
        tries=int(sent),
        at=from_ms(service.now()),
        summary=_summary(service, operation, task_id),
    )
    service.outbox.add(entry)
    return result


def _do(service: CacheService, operation: Operation, *, sent: bool) -> object:
    """What was sent and is refused here may have been made by the server already: that one will tell."""
    try:
        return service.do(operation)
    except Refused:
        if not sent:
            raise
        return run_at_once(operation.look(service.here))


def make_again(service: CacheService) -> None:
    """Put the waiting changes on top of records read anew; what does not fit the server will tell."""
    for entry_id in [entry.id for entry in service.outbox.pending()]:
        entry = service.outbox.find(entry_id)  # as the one before has left it
        assert entry is not None
        try:
            result = service.do(entry.operation.on(None))
        except OctopoidError:
            continue
        if isinstance(result, Task) and entry.after is not None and entry.after != result.version:
            service.outbox.rechain(entry, result.version)
            service.outbox.save(replace(entry, after=result.version))


def _fold(service: CacheService, operation: Operation, task_id: str, after: int | None) -> bool:
    """Let a change be part of one that has never been sent, where it can."""
    pending = service.outbox.pending_of(task_id)
    if isinstance(operation, Edit):
        create = next((entry for entry in pending if isinstance(entry.operation, Create)), None)
        if create is None or create.tries:
            return False
        folded = create.operation.fold(operation.patch) if isinstance(create.operation, Create) else None
        if folded is None:
            return False
        before = next((entry for entry in reversed(pending) if is_base(entry, operation, task_id)), create)
        service.outbox.save(replace(create, operation=folded))
        kept = service.outbox.find(before.id)
        assert kept is not None
        service.outbox.save(replace(kept, after=after))
        return True
    last = pending[-1] if pending else None
    if isinstance(operation, OnRun) and operation.patch is not None and last is not None and not last.tries:
        earlier = last.operation
        if isinstance(earlier, OnRun) and earlier.id == operation.id and earlier.patch is not None:
            merged = replace(earlier, patch=_merged(earlier.patch, operation.patch))
            service.outbox.save(replace(last, operation=merged))
            return True
    return False


def _merged(first: RunPatch, second: RunPatch) -> RunPatch:
    given = {field.name: getattr(second, field.name) for field in fields(second)}
    return replace(first, **{name: value for name, value in given.items() if value is not None})


def _task(service: CacheService, task_id: str) -> Task | None:
    try:
        return service.tasks.get(task_id)
    except NotFound:
        return None


def _values(task: Task, names: tuple[str, ...]) -> Json | None:
    known = to_json(task)
    return {name: known.get(name) for name in names} or None


def _summary(service: CacheService, operation: Operation, task_id: str) -> str:
    text = f"{named(operation)} {task_id}"
    match operation:
        case Create():
            text += f": {operation.new.title}"
        case Edit():
            text += f": {', '.join(touched(operation))}"
        case Post():
            text = f"message on {task_id}: {operation.new.body}"
        case OnMessage() if operation.answer is not None:
            text = f"answer to {operation.id} of {task_id}: {operation.answer}"
        case OnMessage() | OnRun():
            text = f"{named(operation)} {operation.id} of {task_id}"
        case Prove():
            text = f"evidence of {operation.evidence.check} for {task_id}"
        case Move():
            work = _work(service, operation)
            reason = operation.wish.reason
            verb = "accept" if operation.wish.action is Action.APPROVE else named(operation)
            text = f"{verb} {task_id}" + (f" ({work})" if work else f": {reason}" if reason else "")
        case _:
            pass
    return clean_line(text, SUMMARY_LIMIT)


def _work(service: CacheService, move: Move) -> str:
    """Where the work that is handed in lies, so that a person finds it when it is not taken."""
    sha, run_id = move.wish.head_sha, move.wish.run_id
    if sha is None:
        return ""
    try:
        branch = None if run_id is None else service.runs.get(run_id).branch
    except NotFound:
        branch = None
    parts = [f"commit {sha[:12]}", f"branch {branch}" if branch else "", f"run {run_id}" if run_id else ""]
    return ", ".join(part for part in parts if part)
