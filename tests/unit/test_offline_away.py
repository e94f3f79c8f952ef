"""How a server says that it is not there, wants fewer requests, or fails at one."""

from __future__ import annotations

import pytest
from octopoid_sdk import Answer

from backend.errors import OctopoidError, Offline, StoreBroken, StoreBusy
from backend.rest.connection import Away, ServerFailed, Throttled, read_answer
from backend.server.problems import problem


def answered(status: int, content: bytes = b"{}", **headers: str) -> OctopoidError:
    with pytest.raises(OctopoidError) as caught:
        read_answer(Answer(status, headers, content))
    return caught.value


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_its_server_is_an_absence(status: int) -> None:
    assert type(answered(status, b"<html>")) is Away


def test_how_long_to_wait_is_kept() -> None:
    throttled, away = answered(429, **{"retry-after": "7"}), answered(503, **{"retry-after": "0.5"})
    assert isinstance(throttled, Throttled)
    assert isinstance(away, Away)
    assert (throttled.retry_after, away.retry_after) == (7.0, 0.5)
    never = answered(503, **{"retry-after": "tomorrow"})
    assert isinstance(never, Away)
    assert never.retry_after is None


def test_one_failure_is_told_from_a_broken_store() -> None:
    assert type(answered(500, b'{"slug":"unexpected"}')) is ServerFailed
    broken = problem(StoreBroken("the disk is full"))
    assert type(answered(broken.status_code, bytes(broken.body))) is StoreBroken


def test_what_cannot_wait_is_a_temporary_failure() -> None:
    refused = problem(Offline("a pause needs the server"))
    again = answered(refused.status_code, bytes(refused.body))
    assert isinstance(again, Offline)
    assert isinstance(again, StoreBusy)
