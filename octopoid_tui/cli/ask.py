"""`octopoid ask`: a question from inside a run, by files alone. Imports nothing beyond the standard library.

The question is a file in the run's `outbox`, its answer one in the `inbox`. Both are durable: whoever
waits may be stopped and come back with `--wait`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import stat
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.clean import clean
from backend.clock import to_iso
from backend.errors import EXIT_FAILED, BadInput, OctopoidError, Refused
from backend.ids import check_id, new_id

POLL_SECONDS = 0.1
INTERRUPTED = 130
RUN_DIR_VARIABLE = "OCTOPOID_RUN_DIR"


class NoAnswerYet(OctopoidError):
    """The time to wait is over; the question stays open."""

    slug = "no-answer-yet"


def parser() -> argparse.ArgumentParser:
    """The options of `octopoid ask`; also what its documentation is made from."""
    options = argparse.ArgumentParser(
        prog="octopoid ask",
        description="Ask a person from inside a run and print the answer. The question is kept: "
        "after a time-out or a crash, --wait goes on waiting for the same one.",
        allow_abbrev=False,
    )
    options.add_argument(
        "question", nargs="?", metavar="QUESTION", help="the question; - reads it from stdin"
    )
    options.add_argument(
        "--option", action="append", default=[], metavar="X", help="an answer to choose from"
    )
    options.add_argument(
        "--default", metavar="X", help="the answer you would go on with; with --deadline, it is given"
    )
    options.add_argument(
        "--deadline",
        type=_seconds,
        metavar="S",
        help="seconds after which --default is the answer, if nobody has answered",
    )
    options.add_argument(
        "--timeout", type=_seconds, metavar="S", help="seconds to wait; without it, for ever"
    )
    options.add_argument("--id", metavar="ID", help="name the question, so that asking again is the same one")
    options.add_argument("--wait", metavar="ID", help="wait for the answer to a question asked before")
    return options


def ask(arguments: Sequence[str]) -> int:
    """Run the command; returns its exit status and never raises for expected errors."""
    options = parser().parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        answer = _ask(options)
        sys.stdout.write((clean(answer) if sys.stdout.isatty() else answer) + "\n")
        sys.stdout.flush()
    except OctopoidError as error:
        sys.stderr.write(f"octopoid ask: {clean(str(error))}\n")
        return error.exit_status
    except BrokenPipeError:
        # The reader has gone; without this the interpreter complains again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except OSError as error:
        sys.stderr.write(f"octopoid ask: the run directory cannot be used: {error}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _ask(options: argparse.Namespace) -> str:
    if (options.question is None) == (options.wait is None):
        raise BadInput("give either a QUESTION or --wait ID", "see: octopoid ask --help")
    if options.deadline is not None and not (options.default or "").strip():
        raise BadInput("--deadline needs a --default", "say which answer holds when nobody gives one")
    run_dir = run_directory()
    if options.wait is not None:
        request_id = check_id(options.wait, "question id")
        if not any((run_dir / box / f"{request_id}.json").exists() for box in ("outbox", "inbox")):
            raise BadInput(f"this run has no question {request_id}", "ask it first: octopoid ask QUESTION")
    else:
        request_id = check_id(options.id or f"ask-{new_id()}", "question id")
        _post(run_dir / "outbox", request_id, _question(options), options)
    answer = wait_for_answer(run_dir / "inbox" / f"{request_id}.json", options.timeout)
    if answer is None:
        raise NoAnswerYet(f"no answer yet, id={request_id}; call: octopoid ask --wait {request_id}")
    return answer


def wait_for_answer(reply: Path, timeout: float | None) -> str | None:
    """The answer in `reply` once it is there; None when `timeout` seconds have passed.

    Raises:
        Refused: the question was withdrawn.
    """
    content = wait_for_reply(reply, timeout)
    if content is None:
        return None
    answer = content.get("answer")
    if isinstance(answer, str):
        return answer
    raise Refused("the question was withdrawn", "go on without an answer, or ask again")


def wait_for_reply(reply: Path, timeout: float | None) -> dict[str, Any] | None:
    """What is in `reply` once it is there; None when `timeout` seconds have passed.

    Raises:
        OctopoidError: it cannot be read.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        try:
            content = json.loads(reply.read_text(encoding="utf-8"))
        except FileNotFoundError:
            pass
        except ValueError as error:
            raise OctopoidError(f"the answer in {reply} cannot be read ({error})", "ask again") from None
        else:
            return content if isinstance(content, dict) else {}
        if deadline is not None and time.monotonic() >= deadline:
            return None
        time.sleep(POLL_SECONDS)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < 10**9:
        raise argparse.ArgumentTypeError("not a number of seconds")
    return value


def run_directory() -> Path:
    """The directory of the run that this process belongs to.

    Raises:
        BadInput: it belongs to none.
    """
    name = os.environ.get(RUN_DIR_VARIABLE)
    if not name:
        raise BadInput(
            f"this works inside a run, and {RUN_DIR_VARIABLE} is not set",
            "agents call it from their worktree; people see open questions with: octopoid questions",
        )
    path = Path(name)
    if not (path / "outbox").is_dir() or not (path / "inbox").is_dir():
        raise BadInput(
            f"{RUN_DIR_VARIABLE} is {name}, which is no run directory", "do not change it inside a run"
        )
    return path


def _question(options: argparse.Namespace) -> str:
    try:
        text = sys.stdin.read() if options.question == "-" else options.question
        question = str(text).strip()
        "\n".join([question, *options.option, options.default or ""]).encode()
    except UnicodeError:
        raise BadInput("the question or an option is not UTF-8", "convert it first") from None
    if not question:
        raise BadInput("the question is empty", "say what you need to know")
    return question


def _post(outbox: Path, request_id: str, question: str, options: argparse.Namespace) -> None:
    target = outbox / f"{request_id}.json"
    content = {
        "id": request_id,
        "kind": "ask",
        "question": question,
        "options": options.option,
        "default": options.default,
        "deadline_s": options.deadline,
        "at": to_iso(datetime.now(UTC)),
    }
    with contextlib.suppress(FileNotFoundError):
        if not _asks(target.read_bytes(), question):
            raise Refused(f"question {request_id} was asked already, with other words", "use another --id")
        return
    write_atomically(target, json.dumps(content) + "\n")


def _asks(content: bytes, question: str) -> bool:
    try:
        asked = json.loads(content)
    except ValueError:
        return False
    return isinstance(asked, dict) and asked.get("question") == question


def write_atomically(target: Path, text: str) -> None:
    """Leave an item in the outbox."""
    # Readers see the whole file or none, also after a power cut: content first, name second.
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with os.fdopen(os.open(temporary, flags, stat.S_IRUSR | stat.S_IWUSR), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
