"""The calls by what they are about."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator

from octopoid_sdk.calls import (
    admin,
    alerts,
    chat,
    fleet,
    machines,
    messages,
    planning,
    records_of_tasks,
    rules,
    runs,
    sessions,
    sync,
    tasks,
    transitions,
    workers,
)
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
    fail = operation(transitions.fail_task)
    retry = operation(transitions.retry_task)
    cancel = operation(transitions.cancel_task)
    delete = operation(tasks.delete_task)
    act = operation(transitions.act_on_task)
    approve = operation(transitions.approve_task)
    release = operation(transitions.release_task)
    continue_ = operation(transitions.continue_task)
    escalate = operation(transitions.escalate_task)
    hold = operation(transitions.hold_task)
    enqueue = operation(transitions.enqueue_task)
    block = operation(transitions.block_task)
    unblock = operation(transitions.unblock_task)
    note_conflict = operation(transitions.note_conflict)
    force = operation(transitions.force_task)
    split = operation(tasks.split_task)
    claim_in_place = operation(tasks.claim_task_in_place)
    finish_in_place = operation(transitions.finish_task_in_place)
    history = operation(records_of_tasks.list_history)
    why = operation(records_of_tasks.list_reasons)
    runs = operation(records_of_tasks.list_task_runs)
    messages = operation(records_of_tasks.list_task_messages)
    evidence = operation(records_of_tasks.list_evidence)
    unfinished_evidence = operation(records_of_tasks.list_unfinished_evidence)
    add_evidence = operation(records_of_tasks.add_evidence)


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
    set_status = operation(machines.set_orchestrator_status)
    agents = operation(machines.list_agents)
    report_agents = operation(machines.report_agents)
    renew_leases = operation(machines.renew_leases)
    expire_leases = operation(machines.expire_leases)
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
    undelivered = operation(messages.list_undelivered)
    unfinished = operation(messages.list_unfinished)
    mark_delivered = operation(messages.mark_delivered)


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
    run = operation(runs.get_run)
    runs = operation(fleet.list_live_runs)


class Status(_Status, Blocking):
    """The state of the whole fleet."""


class AsyncStatus(_Status, Asynchronous):
    """The state of the whole fleet."""


class _Runs:
    get = operation(runs.get_run)
    list = operation(runs.list_runs)
    update = operation(runs.update_run)
    end = operation(runs.end_run)
    usage = operation(runs.list_usage)


class Runs(_Runs, Blocking):
    """Attempts of agents at tasks."""


class AsyncRuns(_Runs, Asynchronous):
    """Attempts of agents at tasks."""


class _Workers:
    register = operation(workers.register_worker)
    list = operation(workers.list_workers)
    get = operation(workers.get_worker)
    heartbeat = operation(workers.beat_worker)
    delete = operation(workers.delete_worker)


class Workers(_Workers, Blocking):
    """Programs that take work over plain HTTP."""


class AsyncWorkers(_Workers, Asynchronous):
    """Programs that take work over plain HTTP."""


class _Queue:
    enqueue = operation(workers.enqueue_work)
    claim = operation(workers.claim_work)
    complete = operation(workers.complete_work)
    fail = operation(workers.fail_work)
    status = operation(workers.get_queue_status)


class Queue(_Queue, Blocking):
    """The queue as workers see it."""


class AsyncQueue(_Queue, Asynchronous):
    """The queue as workers see it."""


class _Sessions:
    open = operation(sessions.open_session)
    get = operation(sessions.get_session)
    list = operation(sessions.list_sessions)
    heartbeat = operation(sessions.touch_session)
    end = operation(sessions.end_session)
    delete = operation(sessions.delete_session)


class Sessions(_Sessions, Blocking):
    """Conversations of agent programs."""


class AsyncSessions(_Sessions, Asynchronous):
    """Conversations of agent programs."""


class _Chat:
    read = operation(chat.read_chat)
    say = operation(chat.say)
    events = operation(chat.list_chat_events)


class Chat(_Chat, Blocking):
    """What agents ask and people answer."""


class AsyncChat(_Chat, Asynchronous):
    """What agents ask and people answer."""


class _Rules:
    list = operation(rules.list_rules)
    create = operation(rules.create_rule)
    revoke = operation(rules.revoke_rule)


class Rules(_Rules, Blocking):
    """Answers that are given by themselves."""


class AsyncRules(_Rules, Asynchronous):
    """Answers that are given by themselves."""


class _Alerts:
    list = operation(alerts.list_alerts)
    raise_ = operation(alerts.raise_alert)
    clear = operation(alerts.clear_alert)


class Alerts(_Alerts, Blocking):
    """What everybody should know for a while."""


class AsyncAlerts(_Alerts, Asynchronous):
    """What everybody should know for a while."""


class _Sync:
    state = operation(sync.get_sync_state)
    now = operation(sync.sync_now)
    pending = operation(sync.list_pending)
    conflicts = operation(sync.list_conflicts)
    settle = operation(sync.settle_conflict)


class Sync(_Sync, Blocking):
    """How the process that answers stands with a server of its own."""


class AsyncSync(_Sync, Asynchronous):
    """How the process that answers stands with a server of its own."""


class _Admin:
    list_keys = operation(admin.list_keys)
    create_key = operation(admin.create_key)
    revoke_key = operation(admin.revoke_key)
    export_state = operation(admin.export_state)
    import_state = operation(admin.import_state)


class Admin(_Admin, Blocking):
    """Keys, and the whole state as one file."""


class AsyncAdmin(_Admin, Asynchronous):
    """Keys, and the whole state as one file."""


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
