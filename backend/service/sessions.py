"""Sessions: opened, heard of, ended when nobody needs them any more, and opened again by a late answer.

A session never says who may work on what: its end leaves every lease as it is. A sign of life is no history,
and writes no event.
"""

from __future__ import annotations

from dataclasses import replace

from backend.clock import to_ms
from backend.errors import BadInput, Duplicate, NotFound, Refused
from backend.ids import check_id, new_id
from backend.model import SYSTEM, Actor, Run, SenderType
from backend.service.context import NO_RUN, Context
from backend.sessions import NAME_LIMIT, NewSession, Session, SessionStatus, is_name

REOPENED = (SessionStatus.TERMINATED, SessionStatus.ACTIVE)
WHENEVER = 2**62
States = tuple[str | None, str]


class Sessions:
    """The conversations of agent programs."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, session_id: str) -> Session:
        """
        Raises:
            NotFound: there is none with this id, ours or the agent program's.
        """
        found = self._context.store.sessions.read(session_id, self._context.now())
        if found is None:
            raise NotFound(
                f"there is no session {session_id[:80]!r}",
                "open it with POST /api/v1/sessions; GET /api/v1/sessions lists them",
            )
        return found

    def find(self, task_id: str | None, live: bool) -> list[Session]:
        return self._context.store.sessions.find(task_id, live, self._context.now())

    def open(self, new: NewSession) -> Session:
        """Note a session; a known one of the same machine goes on with the task and run given.

        Raises:
            BadInput, NotFound, UnknownOrchestrator: what it names cannot be.
            Duplicate: the id is taken, or the session belongs to another machine.
        """
        check_id(new.id, "session id")
        check_name(new.session_id)
        self._context.require_orchestrator(new.orchestrator_id)
        self._check_places(new)
        known = self._context.store.sessions.read(new.session_id, self._context.now())
        if known is None:
            if self._context.store.sessions.read(new.id, self._context.now()) is not None:
                raise Duplicate(f"session {new.id} exists already", "choose another id")
            return self._begin(new)
        if known.orchestrator_id != new.orchestrator_id:
            raise Duplicate(
                f"session {new.session_id[:80]!r} belongs to {known.orchestrator_id}", "open one of your own"
            )
        return self._go_on(known, new)

    def learn(self, run: Run) -> None:
        """Note the session that a run says it works in; one of another machine stays that machine's."""
        if run.session_id is None or not is_name(run.session_id):
            return
        new = NewSession(new_id(), run.session_id, run.orchestrator_id, run.agent_name, run.task_id, run.id)
        known = self._context.store.sessions.read(run.session_id, self._context.now())
        if known is None:
            self._begin(new)
        elif known.orchestrator_id == run.orchestrator_id:
            self._go_on(known, new)

    def touch(self, session_id: str) -> Session:
        """Note a sign of life.

        Raises:
            NotFound.
            Refused: it has ended.
        """
        session = self.get(session_id)
        if not self._context.store.sessions.touch(session.id, self._context.now()):
            raise Refused(
                f"session {session.id} has ended",
                "open it again with POST /api/v1/sessions",
                (session.reason or "it has ended",),
            )
        return self.get(session.id)

    def touch_run(self, run_id: str) -> None:
        """Note a sign of life of whatever sessions a run has."""
        self._context.store.sessions.touch_run(run_id, self._context.now())

    def resume(self, run_id: str, actor: Actor) -> None:
        """A run's question has been answered: its session goes on, also one that has ended."""
        store, now = self._context.store.sessions, self._context.now()
        session_id = store.last_of_run(run_id)
        if session_id is not None and not store.touch(session_id, now) and store.reopen(session_id, now):
            self._note(session_id, "resume", actor, REOPENED, "it was answered")

    def end(self, session_id: str, reason: str, actor: Actor) -> Session:
        """End a session; one that has ended is returned as it is.

        Raises:
            NotFound.
            BadInput: no reason is given.
        """
        if not reason.strip():
            raise BadInput("no reason was given", "say why the session ends")
        session = self.get(session_id)
        self._finish(session, reason, actor, WHENEVER)
        return self.get(session.id)

    def expire(self) -> list[Session]:
        """End what is idle or old; a session that waits for an answer is not idle."""
        now, limits = self._context.now(), self._context.limits
        idle_ms, oldest_ms = limits.session_idle_s * 1000, limits.session_max_s * 1000
        ended = []
        for session in self._context.store.sessions.over(now - idle_ms, now - oldest_ms, now):
            old = now - to_ms(session.opened_at) > oldest_ms
            seconds = limits.session_max_s if old else limits.session_idle_s
            reason = f"{'older than' if old else 'idle over'} {seconds / 60:g} minutes"
            if self._finish(session, reason, SYSTEM, to_ms(session.last_activity_at)):
                ended.append(self.get(session.id))
        return ended

    def _begin(self, new: NewSession) -> Session:
        self._context.store.sessions.insert(new, self._context.now())
        self._note(new.id, "start", _driver(new), (None, SessionStatus.ACTIVE))
        return self.get(new.id)

    def _go_on(self, known: Session, new: NewSession) -> Session:
        store, now = self._context.store.sessions, self._context.now()
        if store.reopen(known.id, now):
            self._note(known.id, "resume", _driver(new), REOPENED, "it was opened again")
        if new.task_id is None:
            new = replace(new, task_id=known.task_id, run_id=known.run_id)
        moved = (known.task_id, known.run_id, known.agent_name) != (new.task_id, new.run_id, new.agent_name)
        store.bind(known.id, new, now)
        if moved:
            self._note(known.id, "bind", _driver(new), (None, SessionStatus.ACTIVE))
        return self.get(known.id)

    def _finish(self, session: Session, reason: str, actor: Actor, seen: int) -> bool:
        done = self._context.store.sessions.end(session.id, reason, seen, self._context.now())
        if done:
            self._note(session.id, "end", actor, (session.status, SessionStatus.TERMINATED), reason)
        return done

    def _note(
        self,
        session_id: str,
        kind: str,
        actor: Actor,
        states: States,
        reason: str | None = None,
    ) -> None:
        session = self.get(session_id)
        data = {
            "session_id": session.session_id,
            "orchestrator_id": session.orchestrator_id,
            "task_id": session.task_id,
            "run_id": session.run_id,
        }
        now = self._context.now()
        self._context.note(now, actor, "session", session_id, kind, states=states, reason=reason, data=data)

    def _check_places(self, new: NewSession) -> None:
        if new.run_id is not None and new.task_id is None:
            raise BadInput("a run is of a task", "give task_id with the run")
        if new.task_id is not None:
            self._context.read_task(new.task_id)
        if new.run_id is None:
            return
        run = self._context.store.runs.read(new.run_id)
        if run is None:
            raise NotFound(f"there is no run {new.run_id[:80]!r}", NO_RUN)
        if run.task_id != new.task_id or run.orchestrator_id != new.orchestrator_id:
            raise BadInput(
                f"run {run.id} is of task {run.task_id} and machine {run.orchestrator_id}",
                "open the session for that task and machine, or leave the run out",
            )


def check_name(text: str) -> None:
    """
    Raises:
        BadInput: no session can be called so.
    """
    if not is_name(text):
        raise BadInput("session_id is not usable", f"give 1 to {NAME_LIMIT} printable characters")


def _driver(new: NewSession) -> Actor:
    return Actor(SenderType.WORKER, new.agent_name)
