"""Keys to the REST API: what they are, how they are written, and how one is told from another."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from backend.ids import new_id
from backend.model import Actor

PREFIX = "oct"
SECRET_BYTES = 32
TOKEN_LIMIT = 200


class KeyScope(StrEnum):
    """What a key may do; each may do what those before it may."""

    READ = "read"
    WORK = "work"
    ADMIN = "admin"

    def covers(self, needed: KeyScope) -> bool:
        order = list(KeyScope)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as it is listed; its secret is known to its holder alone."""

    id: str
    label: str
    scope: KeyScope
    orchestrator_id: str | None
    """The one machine it may act for; None when it is bound to none."""
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is asked for."""

    label: str
    scope: KeyScope
    orchestrator_id: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class CreatedKey:
    """A new key, and the text that opens the API. The text is shown once and kept nowhere."""

    key: ApiKey
    token: str


@runtime_checkable
class KeyKeeper(Protocol):
    """A backend that has keys."""

    async def create_key(self, new: NewKey, *, actor: Actor) -> CreatedKey: ...

    async def list_keys(self) -> list[ApiKey]: ...

    async def revoke_key(self, key_id: str, *, actor: Actor) -> ApiKey: ...


@dataclass(frozen=True, slots=True)
class Token:
    """`oct_<id>_<secret>`, taken apart."""

    key_id: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}_{self.key_id}_{self.secret}"

    @property
    def digest(self) -> str:
        """What the store keeps. The secret is random, so a fast digest gives nothing away."""
        return hashlib.sha256(self.secret.encode()).hexdigest()


def make_token() -> Token:
    return Token(new_id(), secrets.token_hex(SECRET_BYTES))


def parse_token(text: str) -> Token | None:
    """The parts of a key, or None for what is none."""
    parts = text.split("_")
    if len(text) > TOKEN_LIMIT or len(parts) != 3 or parts[0] != PREFIX or not all(parts):
        return None
    return Token(parts[1], parts[2]) if text.isascii() else None
