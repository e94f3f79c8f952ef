"""The clients: by namespace, and flat."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from octopoid_sdk.calls import fleet, machines, messages, planning, tasks
from octopoid_sdk.exchange import Retries
from octopoid_sdk.namespaces import (
    Admin,
    Alerts,
    AsyncAdmin,
    AsyncAlerts,
    AsyncChat,
    AsyncDrafts,
    AsyncEvents,
    AsyncMessages,
    AsyncOrchestrators,
    AsyncProjects,
    AsyncQueue,
    AsyncRules,
    AsyncRuns,
    AsyncSessions,
    AsyncStatus,
    AsyncSync,
    AsyncTasks,
    AsyncWorkers,
    Chat,
    Drafts,
    Events,
    Messages,
    Orchestrators,
    Projects,
    Queue,
    Rules,
    Runs,
    Sessions,
    Status,
    Sync,
    Tasks,
    Workers,
)
from octopoid_sdk.operation import Asynchronous, Blocking, operation
from octopoid_sdk.transport import ANSWER_S, AsyncTransport, Server, Transport

OVER_A_SOCKET = "http://octopoid"


class _Client(Blocking):
    """What both blocking clients share. `with` closes them."""

    def __init__(
        self,
        server_url: str = OVER_A_SOCKET,
        api_key: str | None = None,
        *,
        socket_path: str | Path | None = None,
        timeout_s: float = ANSWER_S,
        retries: Retries | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            server_url: the server's address, without `/api`; not needed with `socket_path`.
            api_key: a key made with `octopoid keys create`.
            socket_path: the UNIX socket of a server on this machine, instead of an address.
            timeout_s: how long an answer may take, in seconds.
            retries: how often a request is sent again.
        """
        super().__init__(Transport(_server(server_url, api_key, socket_path, timeout_s), retries))

    def close(self) -> None:
        """Close the connections; iterators of events end."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _AsyncClient(Asynchronous):
    """What both asynchronous clients share. `async with` closes them."""

    def __init__(
        self,
        server_url: str = OVER_A_SOCKET,
        api_key: str | None = None,
        *,
        socket_path: str | Path | None = None,
        timeout_s: float = ANSWER_S,
        retries: Retries | None = None,
    ) -> None:
        """Nothing is sent yet.

        Args:
            server_url: the server's address, without `/api`; not needed with `socket_path`.
            api_key: a key made with `octopoid keys create`.
            socket_path: the UNIX socket of a server on this machine, instead of an address.
            timeout_s: how long an answer may take, in seconds.
            retries: how often a request is sent again.
        """
        super().__init__(AsyncTransport(_server(server_url, api_key, socket_path, timeout_s), retries))

    async def close(self) -> None:
        """Close the connections; iterators of events end."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class OctopoidSDK(_Client):
    """A server's calls by what they are about; each method returns when the server has answered."""

    @property
    def tasks(self) -> Tasks:
        return Tasks(self._transport)

    @property
    def projects(self) -> Projects:
        return Projects(self._transport)

    @property
    def drafts(self) -> Drafts:
        return Drafts(self._transport)

    @property
    def orchestrators(self) -> Orchestrators:
        return Orchestrators(self._transport)

    @property
    def messages(self) -> Messages:
        return Messages(self._transport)

    @property
    def status(self) -> Status:
        return Status(self._transport)

    @property
    def runs(self) -> Runs:
        return Runs(self._transport)

    @property
    def workers(self) -> Workers:
        return Workers(self._transport)

    @property
    def queue(self) -> Queue:
        return Queue(self._transport)

    @property
    def sessions(self) -> Sessions:
        return Sessions(self._transport)

    @property
    def chat(self) -> Chat:
        return Chat(self._transport)

    @property
    def rules(self) -> Rules:
        return Rules(self._transport)

    @property
    def alerts(self) -> Alerts:
        return Alerts(self._transport)

    @property
    def sync(self) -> Sync:
        return Sync(self._transport)

    @property
    def admin(self) -> Admin:
        return Admin(self._transport)

    @property
    def events(self) -> Events:
        return Events(self._transport)


class AsyncOctopoidSDK(_AsyncClient):
    """A server's calls by what they are about; each method is to be awaited."""

    @property
    def tasks(self) -> AsyncTasks:
        return AsyncTasks(self._transport)

    @property
    def projects(self) -> AsyncProjects:
        return AsyncProjects(self._transport)

    @property
    def drafts(self) -> AsyncDrafts:
        return AsyncDrafts(self._transport)

    @property
    def orchestrators(self) -> AsyncOrchestrators:
        return AsyncOrchestrators(self._transport)

    @property
    def messages(self) -> AsyncMessages:
        return AsyncMessages(self._transport)

    @property
    def status(self) -> AsyncStatus:
        return AsyncStatus(self._transport)

    @property
    def runs(self) -> AsyncRuns:
        return AsyncRuns(self._transport)

    @property
    def workers(self) -> AsyncWorkers:
        return AsyncWorkers(self._transport)

    @property
    def queue(self) -> AsyncQueue:
        return AsyncQueue(self._transport)

    @property
    def sessions(self) -> AsyncSessions:
        return AsyncSessions(self._transport)

    @property
    def chat(self) -> AsyncChat:
        return AsyncChat(self._transport)

    @property
    def rules(self) -> AsyncRules:
        return AsyncRules(self._transport)

    @property
    def alerts(self) -> AsyncAlerts:
        return AsyncAlerts(self._transport)

    @property
    def sync(self) -> AsyncSync:
        return AsyncSync(self._transport)

    @property
    def admin(self) -> AsyncAdmin:
        return AsyncAdmin(self._transport)

    @property
    def events(self) -> AsyncEvents:
        return AsyncEvents(self._transport)


class _Flat:
    list_tasks = operation(tasks.list_tasks)
    get_task = operation(tasks.get_task)
    create_task = operation(tasks.create_task)
    update_task = operation(tasks.update_task)
    claim_task = operation(tasks.claim_task)
    submit_completion = operation(tasks.submit_task)
    accept_completion = operation(tasks.accept_task)
    reject_completion = operation(tasks.reject_task)
    create_project = operation(planning.create_project)
    get_project = operation(planning.get_project)
    list_projects = operation(planning.list_projects)
    update_project = operation(planning.update_project)
    delete_project = operation(planning.delete_project)
    create_draft = operation(planning.create_draft)
    get_draft = operation(planning.get_draft)
    list_drafts = operation(planning.list_drafts)
    update_draft = operation(planning.update_draft)
    delete_draft = operation(planning.delete_draft)
    promote_draft = operation(planning.promote_draft)
    register_orchestrator = operation(machines.register_orchestrator)
    send_heartbeat = operation(machines.send_heartbeat)
    list_orchestrators = operation(machines.list_orchestrators)
    list_questions = operation(messages.list_questions)
    answer_message = operation(messages.answer_message)
    get_health = operation(fleet.get_health)


class OctopoidClient(_Flat, _Client):
    """The calls that scripts need most, in one flat class."""


class AsyncOctopoidClient(_Flat, _AsyncClient):
    """The calls that scripts need most, in one flat class, to be awaited."""


def _server(url: str, api_key: str | None, socket_path: str | Path | None, timeout_s: float) -> Server:
    return Server(url, api_key, None if socket_path is None else Path(socket_path), timeout_s)
