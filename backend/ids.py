"""Ids: made here, checked here. Sortable by time, and safe as file and ref names."""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from backend.errors import BadInput

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
TIME_DIGITS = 9  # 45 bits of milliseconds: sortable until the year 3084
RANDOM_DIGITS = 5

_of_request: ContextVar[Iterator[str] | None] = ContextVar("ids of a request", default=None)


def new_id() -> str:
    """A fresh id of 14 characters: time first, so that ids sort in order of creation."""
    value = (time.time_ns() // 1_000_000) << (5 * RANDOM_DIGITS) | secrets.randbits(5 * RANDOM_DIGITS)
    return _written(value)


def asked_id() -> str:
    """An id for what a request makes: a fresh one, or inside of `ids_of` that request's next."""
    ids = _of_request.get()
    return new_id() if ids is None else next(ids)


@contextmanager
def ids_of(request: str) -> Iterator[None]:
    """Let `asked_id` make the same ids each time a request is done, in whichever process.

    Args:
        request: what tells it from every other. The ids are made of this alone, so they do not sort by time.
    """
    token = _of_request.set(_derived(request, number) for number in itertools.count(1))
    try:
        yield
    finally:
        _of_request.reset(token)


def _derived(request: str, number: int) -> str:
    return _written(int.from_bytes(hashlib.sha256(f"{request}\0{number}".encode()).digest()))


def _written(value: int) -> str:
    digits = [ALPHABET[value >> (5 * place) & 31] for place in range(TIME_DIGITS + RANDOM_DIGITS)]
    return "".join(reversed(digits))


def check_id(text: str, what: str = "id") -> str:
    """Return `text` if it may serve as an id.

    Raises:
        BadInput: if it has other characters than letters, digits, `.`, `_` and `-`, begins with one of
            the last three, holds `..`, ends in `.` or `.lock` (git refuses such refs), or is too long.
    """
    if not PATTERN.fullmatch(text) or ".." in text or text.endswith((".", ".lock")):
        raise BadInput(
            f"{what} {text[:80]!r} is not usable",
            "ids are 1 to 64 letters, digits, '.', '_' or '-', begin with a letter or digit, "
            "hold no '..' and do not end in '.' or '.lock'",
        )
    return text
