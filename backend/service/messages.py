"""Conversations: what agents ask, what people answer, and whether the answer has arrived."""

from __future__ import annotations

from collections.abc import Sequence

from backend.errors import BadInput, NotFound, Refused
from backend.ids import check_id
from backend.model import SYSTEM, Actor, Message, MessageType, NewMessage, SenderType
from backend.service.context import NO_RUN, Context
from backend.service.sessions import Sessions


class Messages:
    """A request is open until it is answered or withdrawn, and then never changes again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sessions = Sessions(context)

    def get(self, message_id: str) -> Message:
        """
        Raises:
            NotFound: there is no such message.
        """
        message = self._context.store.messages.read(message_id)
        if message is None:
            raise NotFound(f"there is no message {message_id!r}", "octopoid questions shows the open ones")
        return message

    def post(self, new: NewMessage) -> Message:
        """Store a message once: the same id, or the same request of a run, gives the first.

        Raises:
            BadInput: the id is unusable, or the run is of another task.
            NotFound: the task, run or parent does not exist.
        """
        check_id(new.id, "message id")
        known = self._context.store.messages.read(new.id)
        if known is None and new.run_id is not None and new.request_id is not None:
            known = self._context.store.messages.find_request(new.run_id, new.request_id)
        if known is not None:
            return known
        self._check_places(new)
        now = self._context.now()
        self._context.store.messages.insert(new, now)
        message = self.get(new.id)
        self._note(message, now, new.sender, "post")
        if new.run_id is not None and new.sender.type is SenderType.WORKER:
            self._sessions.touch_run(new.run_id)
        return message

    def answer(self, message_id: str, text: str, actor: Actor) -> Message:
        """
        Raises:
            NotFound.
            Refused: it is no request, has another answer already, or was withdrawn.
        """
        now = self._context.now()
        answered = self._context.store.messages.answer(message_id, text, now)
        if answered is not None:
            self._note(answered, now, actor, "answer")
            if answered.run_id is not None:
                self._sessions.resume(answered.run_id, actor)
            return answered
        message = self.get(message_id)
        if message.answer == text:
            return message
        raise _refusal(message, "answered")

    def withdraw(self, message_id: str, reason: str) -> Message:
        """
        Raises:
            NotFound.
            Refused: it is no request, or has been answered.
        """
        now = self._context.now()
        withdrawn = self._context.store.messages.withdraw(message_id, now)
        if withdrawn is not None:
            self._note(withdrawn, now, SYSTEM, "withdraw", reason)
            return withdrawn
        message = self.get(message_id)
        if message.withdrawn_at is not None:
            return message
        raise _refusal(message, "withdrawn")

    def mark_delivered(self, message_id: str) -> Message:
        """
        Raises:
            NotFound.
            Refused: nobody has answered it.
        """
        now = self._context.now()
        delivered = self._context.store.messages.deliver(message_id, now)
        if delivered is not None:
            self._note(delivered, now, SYSTEM, "deliver")
            return delivered
        message = self.get(message_id)
        if message.delivered_at is not None:
            return message
        raise Refused(
            f"message {message_id} has no answer that could be delivered",
            "wait until it is answered: GET /api/v1/messages?state=undelivered lists what is",
        )

    def of_task(self, task_id: str) -> list[Message]:
        return self._context.store.messages.of_conversation(task_id)

    def open(self) -> list[Message]:
        return self._context.store.messages.open()

    def undelivered(self, run_ids: Sequence[str]) -> list[Message]:
        return self._context.store.messages.undelivered(run_ids)

    def _check_places(self, new: NewMessage) -> None:
        self._context.read_task(new.conversation_id)
        if new.parent_message_id is not None:
            self.get(new.parent_message_id)
        if new.run_id is None:
            return
        run = self._context.store.runs.read(new.run_id)
        if run is None:
            raise NotFound(f"there is no run {new.run_id!r}", NO_RUN)
        if run.task_id != new.conversation_id:
            raise BadInput(
                f"run {new.run_id} is of task {run.task_id}, not of {new.conversation_id}",
                "write into the conversation of the run's task, or leave the run out",
            )

    def _note(self, message: Message, now: int, actor: Actor, kind: str, reason: str | None = None) -> None:
        data = {
            "task_id": message.conversation_id,
            "run_id": message.run_id,
            "type": message.type,
            "kind": message.kind,
        }
        self._context.note(now, actor, "message", message.id, kind, reason=reason, data=data)


def _refusal(message: Message, done: str) -> Refused:
    if message.type is not MessageType.REQUEST:
        why = "it is no request"
    elif message.withdrawn_at is not None:
        why = "it was withdrawn"
    else:
        why = f"it was answered already: {message.answer}"
    return Refused(f"message {message.id} can not be {done}", why, (why,))
