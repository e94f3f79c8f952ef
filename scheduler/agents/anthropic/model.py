"""Asking the model, and what its refusals mean. The only module that imports the package `anthropic`."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx2

from backend.config.schema import Price
from scheduler.agents.usage import Usage

MAX_TOKENS = 16_000
TRIES = 4
LONGEST_WAIT_S = 5.0
"""Longer waits are not done here: the run ends, and the scheduler starts no other until then."""

RATE_LIMITED_S = 300.0
PROVIDER_DOWN_S = 120.0
SIGN_OF_LIFE_S = 10.0
STATUS_OF = {
    "authentication_error": 401, "billing_error": 402, "permission_error": 403, "not_found_error": 404,
    "rate_limit_error": 429, "api_error": 500, "timeout_error": 504, "overloaded_error": 529,
}  # fmt: skip
"""Errors that come in the middle of an answer have a name, and no status."""

REFUSALS = frozenset({401, 402, 403, 404})
"""No other task would be spared: a bad key, no credit, no right, no such model."""

Emit = Callable[..., None]


class Failed(Exception):
    """The model gives no answer. `limited_s` or `refused` say that this is not the task's doing."""

    def __init__(
        self, reason: str, *, status: int | None = None, limited_s: float | None = None,
        refused: bool = False, worth_trying: bool = False, wait_s: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.limited_s = limited_s
        self.refused = refused
        self.worth_trying = worth_trying
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole message of the model: its content as it goes back to it, and why it ends."""

    content: list[dict[str, Any]]
    stop_reason: str
    usage: Usage


class Model:
    """One model of the API."""

    def __init__(self, name: str, price: Price | None, emit: Emit) -> None:
        self._client = anthropic.AsyncAnthropic(
            max_retries=0
        )  # each try is told, and a pause is the run's end
        self._name = name
        self._price = price
        self._emit = emit

    async def answer(self, system: str, tools: list[Any], messages: list[Any]) -> Answer:
        """The model's next message; passing errors are tried again.

        Raises:
            Failed: there is none.
        """
        for attempt in range(1, TRIES + 1):
            try:
                return await self._once(system, tools, messages)
            except (anthropic.AnthropicError, httpx2.TransportError, ValueError, Failed) as error:
                failed = error if isinstance(error, Failed) else explain(error)
            delay = failed.wait_s if failed.wait_s is not None else 0.25 * 2**attempt
            if not failed.worth_trying or delay > LONGEST_WAIT_S or attempt == TRIES:
                raise failed
            self._emit("retry", attempt=attempt, delay=delay, status=failed.status, reason=failed.reason)
            await asyncio.sleep(delay)
        raise AssertionError("unreachable")

    async def _once(self, system: str, tools: list[Any], messages: list[Any]) -> Answer:
        cached = [{"type": "text", "text": system, "cache_control": {"type": "ephemeral"}}]
        alive = time.monotonic()
        async with self._client.messages.stream(
            model=self._name, max_tokens=MAX_TOKENS, system=cached, tools=tools, messages=messages,  # type: ignore[arg-type]
        ) as stream:  # fmt: skip
            async for event in stream:
                if event.type == "content_block_stop":
                    self._tell(event.content_block)
                elif time.monotonic() - alive > SIGN_OF_LIFE_S:
                    alive = time.monotonic()
                    self._emit("state", state="running")
            message = await stream.get_final_message()
        if message.stop_reason is None:  # the package takes this for an answer
            raise Failed(
                "the model's answer was cut off by the connection",
                worth_trying=True, limited_s=PROVIDER_DOWN_S,
            )  # fmt: skip
        content = [kept for block in message.content if (kept := _kept(block)) is not None]
        return Answer(content, message.stop_reason, self._used(message.usage))

    def _tell(self, block: Any) -> None:
        if block.type == "text" and block.text.strip():
            self._emit("message", role="assistant", text=block.text)
        elif block.type == "thinking" and block.thinking.strip():
            self._emit("thinking", text=block.thinking)

    def _used(self, usage: Any) -> Usage:
        counts = Usage(
            input=usage.input_tokens,
            output=usage.output_tokens,
            cache_read=usage.cache_read_input_tokens or 0,
            cache_write=usage.cache_creation_input_tokens or 0,
        )
        return counts + Usage(cost_usd=cost_of(counts, self._price)) if self._price else counts


def cost_of(used: Usage, price: Price) -> float:
    """In US dollars."""
    return (
        used.input * price.input
        + used.output * price.output
        + used.cache_read * price.cache_read
        + used.cache_write * price.cache_write
    ) / 1e6


def explain(error: Exception) -> Failed:
    """What an error of the package means for the run."""
    if isinstance(error, ValueError):
        return Failed(f"the API's answer cannot be read: {error}", worth_trying=True)
    if not isinstance(error, anthropic.APIStatusError):
        return Failed(
            f"the API cannot be reached: {error.__cause__ or error}",
            worth_trying=isinstance(error, anthropic.APIConnectionError | httpx2.TransportError),
            limited_s=PROVIDER_DOWN_S,
        )
    status = STATUS_OF.get(str(error.type), error.status_code)
    reason = f"the API answers {status}: {_message(error)}"
    if status in REFUSALS:
        return Failed(reason, status=status, refused=True)
    if status != 429 and status < 500 and status not in (408, 409):
        return Failed(reason, status=status)
    told = _retry_after(error.response.headers)
    usual = RATE_LIMITED_S if status == 429 else PROVIDER_DOWN_S
    return Failed(
        reason, status=status, limited_s=usual if told is None else told, wait_s=told,
        worth_trying=error.response.headers.get("x-should-retry") != "false",
    )  # fmt: skip


def _message(error: anthropic.APIStatusError) -> str:
    body = error.body
    inner = body.get("error") if isinstance(body, dict) else None
    said = inner.get("message") if isinstance(inner, dict) else None
    return str(said or error.message)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; None where it is missing, or given as a date."""
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _kept(block: Any) -> dict[str, Any] | None:
    """A part of an answer as it goes back; None for what the API does not take back."""
    if block.type == "text":
        return {"type": "text", "text": block.text} if block.text.strip() else None
    if block.type == "tool_use":
        return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input}
    known: dict[str, Any] = block.model_dump(mode="json", exclude_none=True)
    return known
