"""How one kind of agent program is driven: what to start, how to read it, how to answer it.

An adapter starts a program; a conversation speaks its protocol. A conversation does no I/O: it turns lines
into events and into messages to send, and people's words into messages. The scheduler writes them, exactly
once, and makes the same conversation again after a restart by reading the transcript from its start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from backend.config.schema import AgentSpec
from backend.errors import OctopoidError
from backend.model import Json
from scheduler.agents.usage import NOTHING_USED, Usage


class AgentUnavailable(OctopoidError):
    """The agent's program or adapter cannot be used on this machine."""

    slug = "agent-unavailable"


@dataclass(frozen=True, slots=True)
class Caps:
    """What a kind of agent program can do. The screen shows it, and the scheduler asks nothing else."""

    resume: bool = False
    """An ended run's session can be gone on with."""
    steer: bool = False
    """It takes a person's words while it works."""
    interrupt: bool = False
    """A turn can be broken off, and the program goes on with what it is told next."""
    questions: bool = False
    """It asks people by its own protocol; `octopoid ask` works in any case."""
    permissions: bool = False
    """It asks before it uses a tool."""
    edit_input: bool = False
    """What a tool is called with can be changed before it is allowed."""
    usage: bool = False
    """It tells its tokens."""
    cost: bool = False
    """It tells its cost in US dollars."""

    def names(self) -> tuple[str, ...]:
        """What it can do, in words."""
        return tuple(name.replace("_", " ") for name in self.__slots__ if getattr(self, name))


@dataclass(frozen=True, slots=True)
class Assignment:
    """Everything an adapter needs to know of a run before it starts."""

    run_id: str
    run_dir: Path
    task_id: str
    worktree: Path
    prompt_file: Path
    state_dir: Path
    """What the program remembers from run to run of this task in this role; made when it is needed."""
    resume_session: str | None
    """The session to go on with."""
    used: Usage = NOTHING_USED
    """What that session has used in earlier runs."""

    @classmethod
    def trial(cls, place: Path) -> Assignment:
        """An assignment that is never started, to see whether it could be."""
        return cls("-", place, "-", place, place, place, None)


@dataclass(frozen=True, slots=True)
class Command:
    """The program to start: its arguments and what it is given beyond the common environment."""

    argv: tuple[str, ...]
    env: dict[str, str]
    setup: Json = field(default_factory=dict)
    """What the conversation must know; kept in the run directory as `conversation.json`."""
    folders: tuple[Path, ...] = ()
    """Made before it is started, for its own use."""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a conversation is begun with, the same after every restart."""

    run_id: str
    prompt: str
    setup: Json


@dataclass(frozen=True, slots=True)
class Draft:
    """An event as an adapter reads it from one line of output; time and offset are added outside."""

    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """One whole message for the agent's input."""

    id: str
    """The same for the same message after every restart: a message of this id is sent once."""
    data: bytes
    repeatable: bool = True
    """Whether the program ignores it the second time. A scheduler that is killed between writing a message
    and recording that sends it again, if it is repeatable; if not, it is recorded first, and may be lost."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What one line of output means."""

    drafts: Sequence[Draft] = ()
    sends: Sequence[Send] = ()


class RequestKind(StrEnum):
    """What an agent wants of a person."""

    QUESTION = "question"
    PERMISSION = "permission"  # to use a tool; answered by `decision.read_decision`
    PLAN = "plan"  # to go on with its plan; answered like a permission
    PROGRESS = "progress"  # nothing: it says how it gets on


@dataclass(frozen=True, slots=True)
class Ask:
    """One question of a request: its text as markdown, and answers to choose from."""

    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """Something the agent waits for, open until it is replied to or the agent closes it."""

    id: str
    """The program's own id of it, unique within the run."""
    kind: RequestKind
    asks: tuple[Ask, ...]
    """Each becomes a message; the reply goes out when all of them are answered."""
    tool: str = ""
    """For a permission: the tool's name."""
    input: Json = field(default_factory=dict)
    """For a permission: what the tool is to be called with."""


class Conversation(Protocol):
    """One run's conversation with its program: the state of the protocol, and no I/O.

    Its state comes from `begin` and `read` alone: after a restart only these are called again, for all that
    was sent and read before.
    """

    @property
    def requests(self) -> Mapping[str, Request]:
        """What it has asked and not closed itself, by id, oldest first."""
        ...

    def done(self, said: Collection[str]) -> bool:
        """Whether its work is done unless it is told more. Its input is ended then, and that ends it.

        Args:
            said: ids of the messages of people (`say`) that were sent to it: it must have dealt with all.
        """
        ...

    def begin(self) -> Sequence[Send]:
        """What is sent before anything has been heard."""
        ...

    def read(self, line: bytes) -> Heard:
        """Take in one line of the program's standard output, whatever it holds."""
        ...

    def reply(self, request: Request, answers: Sequence[str]) -> Sequence[Send]:
        """A person's answers to each of the request's questions: one message, `reply_id(request.id)`.

        The request stays among `requests`: it may be replied to again, before that could be sent.
        """
        ...

    def say(self, message_id: str, text: str) -> Sequence[Send]:
        """A person's words to a program that steers: one message, of the id `say_id(message_id)`.

        None when it takes none yet: it is asked again.
        """
        ...

    def interrupt(self, message_id: str) -> Sequence[Send]:
        """Break off the turn, on behalf of the message that follows."""
        ...


def reply_id(request_id: str) -> str:
    """The id of the message that answers a request."""
    return f"reply {request_id}"


def say_id(message_id: str) -> str:
    """The id of the message that carries a person's words."""
    return f"say {message_id}"


class Adapter(Protocol):
    """One kind of agent program. Adapters hold no state."""

    @property
    def name(self) -> str: ...

    @property
    def caps(self) -> Caps: ...

    @property
    def two_way(self) -> bool:
        """Whether it speaks a protocol on its input and output. It says then when it is ready
        (`session.started`), and until then its run counts as starting."""
        ...

    @property
    def line_limit(self) -> int:
        """Bytes of a line of its output that are read; a longer one is cut, and so usually unusable."""
        ...

    def command(self, spec: AgentSpec, assignment: Assignment) -> Command:
        """What to start. May look at the program; called in a thread.

        Raises:
            AgentUnavailable: the program is missing or unsuitable, or the agent's entry is incomplete.
        """
        ...

    def doubts(self, spec: AgentSpec) -> Sequence[str]:
        """What may keep the agent from working although it can be started, each with what to do."""
        ...

    def converse(self, opening: Opening) -> Conversation:
        """The conversation of one run, before anything was said."""
        ...
