"""Answers that are given by themselves, because a person said so once."""

from __future__ import annotations

from backend.clock import from_ms, to_ms
from backend.errors import BadInput, Duplicate, NotFound, Refused
from backend.ids import check_id, new_id
from backend.model import (
    Actor,
    Message,
    MessageType,
    NewMessage,
    NewRule,
    Rule,
    SenderType,
)
from backend.rules import Asker, choose, fits, pattern_problem
from backend.service.context import Context
from backend.service.messages import Messages


class Rules:
    """Only a person makes a rule, and only from a request that was put; it does nothing but answer."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._messages = Messages(context)

    def create(self, new: NewRule, actor: Actor) -> Rule:
        """Store a rule, answer the request it comes from, and every open one that it is for.

        Raises:
            NotFound: there is no such request.
            Duplicate: the id is taken by another rule.
            Refused: the actor is no person; the message is no request, or has another answer.
            BadInput: the pattern says nothing or does not fit; the time is over; there is no answer.
        """
        check_id(new.id, "rule id")
        if actor.type is not SenderType.HUMAN:
            reason = f"only a person may, and {actor} is none"
            raise Refused("the rule can not be made", reason, (reason,))
        asked = self._messages.get(new.message_id)
        rule = self._read(new, asked, actor)
        known = self._context.store.rules.read(new.id)
        if known is not None:
            if known.message_id == rule.message_id and known.pattern == rule.pattern:
                return known
            raise Duplicate(f"rule {new.id} exists already", "choose another id, or revoke that rule")
        self._messages.answer(asked.id, rule.answer, actor)
        now = self._context.now()
        self._context.store.rules.insert(rule, now)
        data = {"scope": rule.scope, "scope_id": rule.scope_id, "message_id": asked.id}
        self._context.note(now, actor, "rule", rule.id, "create", reason=rule.answer, data=data)
        for message in self._messages.open():
            self.apply(message)
        return self.get(rule.id)

    def post(self, new: NewMessage) -> Message:
        """Store a message; a request that a rule is for is answered in the same transaction."""
        return self.apply(self._messages.post(new))

    def apply(self, message: Message) -> Message:
        """Answer an open request by the rule that is for it, if there is one."""
        if not message.open:
            return message
        now = self._context.now()
        rule = choose(self._context.store.rules.in_force(message.kind, now), message, self._asker(message))
        if rule is None:
            return message
        self._context.store.rules.use(rule.id, now)
        by = Actor(SenderType.SYSTEM, "rule")
        self._context.note(now, by, "rule", rule.id, "use", data={"message_id": message.id})
        answered = self._messages.answer(message.id, rule.answer, by)
        self._messages.post(
            NewMessage(
                id=new_id(),
                conversation_id=message.conversation_id,
                sender=by,
                type=MessageType.RESPONSE,
                kind=message.kind,
                body=f"answered by rule {rule.id} of {rule.author}: {rule.answer}",
                parent_message_id=message.id,
                run_id=message.run_id,
            )
        )
        return answered

    def get(self, rule_id: str) -> Rule:
        """
        Raises:
            NotFound.
        """
        rule = self._context.store.rules.read(rule_id)
        if rule is None:
            raise NotFound(f"there is no rule {rule_id[:80]!r}", "octopoid rules shows every rule")
        return rule

    def find_all(self) -> list[Rule]:
        return self._context.store.rules.find_all()

    def revoke(self, rule_id: str, actor: Actor) -> Rule:
        """End a rule for good; revoking it again is no error.

        Raises:
            NotFound.
        """
        rule = self.get(rule_id)
        if rule.revoked_at is not None:
            return rule
        now = self._context.now()
        self._context.store.rules.revoke(rule_id, now)
        self._context.note(now, actor, "rule", rule_id, "revoke")
        return self.get(rule_id)

    def _read(self, new: NewRule, asked: Message, actor: Actor) -> Rule:
        """The rule that a person means, with what the request itself says."""
        if asked.type is not MessageType.REQUEST:
            raise Refused(f"message {asked.id} is no request", "make rules from questions")
        answer = new.answer if new.answer is not None else asked.answer
        if answer is None or not answer.strip():
            raise BadInput("the rule has no answer", "say what is to be answered")
        now = self._context.now()
        if new.expires_at is not None and to_ms(new.expires_at) <= now:
            raise BadInput(f"{new.expires_at.isoformat()} is over already", "give a time to come, or none")
        problem = None if new.pattern is None else pattern_problem(new.pattern)
        if problem is not None:
            raise BadInput(
                f"the pattern {new.pattern!r} {problem}", "write a part of the request, and * for the rest"
            )
        rule = Rule(
            id=new.id,
            scope=new.scope,
            scope_id=self._asker(asked).of(new.scope),
            kind=asked.kind,
            pattern=asked.body if new.pattern is None else new.pattern,
            exact=new.pattern is None,
            answer=answer,
            author=str(actor),
            message_id=asked.id,
            created_at=from_ms(now),
            expires_at=new.expires_at,
            uses=0,
            last_used_at=None,
            revoked_at=None,
        )
        if not fits(rule, asked.body):
            raise BadInput(
                f"the pattern {new.pattern!r} does not fit the request that the rule comes from",
                "a pattern has as many lines as the request, and * for any part of a line",
            )
        return rule

    def _asker(self, message: Message) -> Asker:
        task = self._context.read_task(message.conversation_id).task
        run = None if message.run_id is None else self._context.store.runs.read(message.run_id)
        return Asker(
            task_id=task.id,
            agent=message.sender.id if run is None else run.agent_name,
            role=task.role if run is None else run.role,
            project=task.project_id or "",
        )
