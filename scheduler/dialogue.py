"""What agents ask and are told by their own protocols, between their conversations and the store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping

from backend.errors import Refused
from backend.interface import Backend
from backend.model import Event, Message, MessageKind, MessageType, RunStatus, SenderType
from scheduler.agents.interface import Request, RequestKind
from scheduler.follow import Following, shorten
from scheduler.questions import INTERRUPT, asked_by_talk, deliver, post_asks, post_progress


class Dialogue:
    """Makes messages of what live agents ask, and brings them answers and people's words."""

    def __init__(
        self,
        backend: Backend,
        set_status: Callable[[Following, RunStatus], Awaitable[None]],
        wake: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._set_status = set_status
        self._wake = wake

    async def take(self, following: Following, key: str, request: Request) -> None:
        """Make messages of what the agent waits for; the same after a restart are the same messages."""
        if request.kind is RequestKind.PROGRESS:
            text = "\n".join(ask.text for ask in request.asks)
            await post_progress(self._backend, following.run, text, key)
            await asyncio.to_thread(following.talk.reply, request, ("Noted.",))
            return
        messages = await post_asks(self._backend, following.run, key, request)
        following.asked[key] = tuple(message.id for message in messages)
        following.waiting_for.update(message.id for message in messages if message.open)
        if following.waiting_for:
            await self._set_status(following, RunStatus.WAITING)
        if not following.known(key):
            detail = {"tool": request.tool, "input": request.input} if request.tool else {}
            asks = {"question": "\n\n".join(ask.text for ask in request.asks),
                    "options": [option for ask in request.asks for option in ask.options]}  # fmt: skip
            following.note(
                "request.opened", **shorten({"request_id": key, "kind": str(request.kind), **asks, **detail})
            )
        if all(message.answer is not None for message in messages):
            self._wake()

    async def withdraw(self, following: Following, key: str) -> None:
        """The agent waits no longer for what it asked."""
        for message_id in following.asked.pop(key):
            following.waiting_for.discard(message_id)
            with contextlib.suppress(Refused):  # it has been answered
                await self._backend.withdraw(message_id, "the agent no longer asks")
        following.note("request.closed", request_id=key, by="agent")
        await self.goes_on(following)

    async def goes_on(self, following: Following) -> None:
        if not following.waiting_for and not following.ended:
            await self._set_status(following, RunStatus.RUNNING)

    def hear(self, events: Iterable[Event], runs: Iterable[Following]) -> None:
        """Notice what people have written to tasks whose agents listen while they work."""
        tasks = {
            event.data.get("task_id")
            for event in events
            if event.entity == "message" and event.kind == "post" and event.actor.startswith("human:")
        }
        for following in runs:
            following.listens |= following.run.task_id in tasks

    async def bring(self, following: Following, message: Message) -> tuple[str, ...]:
        """Bring an answer to its agent; returns the messages that are delivered by that."""
        key = asked_by_talk(message)
        if key is None:
            await asyncio.to_thread(deliver, following, message)
            return (message.id,)
        if following.talk.replied(key):  # later than it was to be, or by a scheduler that was killed then
            following.asked.pop(key, None)
            return (message.id,)
        request = following.talk.requests.get(key)
        if request is None and not following.caught_up:
            return ()
        if request is None:
            return await self._bring_late(following, message)
        messages = [await self._backend.get_message(one) for one in following.asked.get(key, ())]
        answers = [one.answer for one in messages if one.answer is not None]
        if not messages or len(answers) < len(messages):
            return ()
        if not await asyncio.to_thread(following.talk.reply, request, answers):
            return ()
        following.asked.pop(key, None)
        following.note("request.closed", request_id=key, by="answer")
        return tuple(one.id for one in messages)

    async def _bring_late(self, following: Following, message: Message) -> tuple[str, ...]:
        """An answer to what the agent no longer asks is told to it, if it listens."""
        text = f"An answer to your earlier question\n\n{message.body}\n\nis: {message.answer}"
        if not following.adapter.caps.steer:
            return ()
        said = await asyncio.to_thread(following.talk.say, message.id, text, interrupt=False)
        return (message.id,) if said else ()

    async def pass_on(self, runs: Mapping[str, Following]) -> None:
        """Tell agents that listen while they work what people have written meanwhile."""
        for following in runs.values():
            if not following.listens or not following.adapter.caps.steer:
                continue
            following.listens = False
            for note in await self._backend.list_messages(following.run.task_id):
                if not _said_to(following, note):
                    continue
                interrupt = INTERRUPT in note.options and following.adapter.caps.interrupt
                if not await asyncio.to_thread(following.talk.say, note.id, note.body, interrupt=interrupt):
                    following.listens = True  # it does not read just now
                    break


def _said_to(following: Following, message: Message) -> bool:
    """Whether a message is a person's word to this run, which its prompt does not hold."""
    return (
        message.sender.type is SenderType.HUMAN
        and message.type is MessageType.STATUS
        and message.kind is MessageKind.NOTE
        and message.created_at >= following.run.started_at
        and message.id not in following.talk.told
    )
