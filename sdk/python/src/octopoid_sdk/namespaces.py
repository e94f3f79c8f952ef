"""The calls by what they are about."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator

from octopoid_sdk.calls import fleet, machines, messages, planning, tasks
from octopoid_sdk.operation import Asynchronous, Blocking, operation
from octopoid_sdk.records import Event

PATIENCE_S = 60.0


class _Tasks:
    create = operation(tasks.create_task)
    get = operation(tasks.get_task)
    list = operation(tasks.list_tasks)
    update = operation(tasks.update_task)
    claim = operation(tasks.claim_task)
    renew = operation(tasks.renew_task)
    submit = operation(tasks.submit_task)
    accept = operation(tasks.accept_task)
    reject = operation(tasks.reject_task)
    fail = operation(tasks.fail_task)
    retry = operation(tasks.retry_task)
    cancel = operation(tasks.cancel_task)
    delete = operation(tasks.delete_task)
    act = operation(tasks.act_on_task)
    history = operation(tasks.list_history)
    why = operation(tasks.list_reasons)
    runs = operation(tasks.list_task_runs)
    messages = operation(tasks.list_task_messages)
    evidence = operation(tasks.list_evidence)


class Tasks(_Tasks, Blocking):
    """Units of work."""


class AsyncTasks(_Tasks, Asynchronous):
    """Units of work."""


class _Projects:
    create = operation(planning.create_project)
    get = operation(planning.get_project)
    list = operation(planning.list_projects)
    update = operation(planning.update_project)
    delete = operation(planning.delete_project)


class Projects(_Projects, Blocking):
    """What tasks belong to."""


class AsyncProjects(_Projects, Asynchronous):
    """What tasks belong to."""


class _Drafts:
    create = operation(planning.create_draft)
    get = operation(planning.get_draft)
    list = operation(planning.list_drafts)
    update = operation(planning.update_draft)
    delete = operation(planning.delete_draft)
    promote = operation(planning.promote_draft)


class Drafts(_Drafts, Blocking):
    """Documents that are to become tasks."""


class AsyncDrafts(_Drafts, Asynchronous):
    """Documents that are to become tasks."""


class _Orchestrators:
    register = operation(machines.register_orchestrator)
    heartbeat = operation(machines.send_heartbeat)
    get = operation(machines.get_orchestrator)
    list = operation(machines.list_orchestrators)
    agents = operation(machines.list_agents)
    poll = operation(machines.poll)


class Orchestrators(_Orchestrators, Blocking):
    """Machines that run the scheduler."""


class AsyncOrchestrators(_Orchestrators, Asynchronous):
    """Machines that run the scheduler."""


class _Messages:
    questions = operation(messages.list_questions)
    get = operation(messages.get_message)
    post = operation(messages.post_message)
    answer = operation(messages.answer_message)
    withdraw = operation(messages.withdraw_message)


class Messages(_Messages, Blocking):
    """Questions, answers and notes."""


class AsyncMessages(_Messages, Asynchronous):
    """Questions, answers and notes."""


class _Status:
    health = operation(fleet.get_health)
    queues = operation(fleet.count_queues)
    paused = operation(fleet.get_pause)
    pause = operation(fleet.pause_intake)
    resume = operation(fleet.resume_intake)
    cost = operation(fleet.get_cost)
    runs = operation(fleet.list_live_runs)
    run = operation(fleet.get_run)


class Status(_Status, Blocking):
    """The state of the whole fleet."""


class AsyncStatus(_Status, Asynchronous):
    """The state of the whole fleet."""


class _Events:
    list = operation(fleet.list_events)
    last = operation(fleet.get_last_seq)


class Events(_Events, Blocking):
    """The log of changes."""

    def follow(self, after: int = 0, *, patience_s: float | None = PATIENCE_S) -> Generator[Event]:
        """Events after a sequence number as they come, without gap or repeat, over lost connections too.

        Args:
            patience_s: how long the server may be away before its error is raised; None for ever.
        """
        for frames in self._transport.follow(after, patience_s):
            for frame in frames:
                event: Event = json.loads(frame.data)
                yield event


class AsyncEvents(_Events, Asynchronous):
    """The log of changes."""

    async def follow(self, after: int = 0, *, patience_s: float | None = PATIENCE_S) -> AsyncGenerator[Event]:
        """Events after a sequence number as they come, without gap or repeat, over lost connections too.

        Args:
            patience_s: how long the server may be away before its error is raised; None for ever.
        """
        batches = self._transport.follow(after, patience_s)
        try:
            async for frames in batches:
                for frame in frames:
                    event: Event = json.loads(frame.data)
                    yield event
        finally:
            await batches.aclose()
