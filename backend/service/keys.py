"""Keys to the REST API: made, listed, revoked, and told from what only looks like one."""

from __future__ import annotations

import hmac

from backend.clock import from_ms, to_ms
from backend.errors import BadInput, NotFound
from backend.ids import check_id
from backend.keys import ApiKey, CreatedKey, NewKey, Token, make_token, parse_token
from backend.model import Actor
from backend.service.context import Context

LABEL_LIMIT = 100
USE_NOTED_MS = 60_000
"""A key's last use is written down this often at most: reading must not become writing."""
NOBODY = Token("nobody", "")


class Keys:
    """Who may come in over the network."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(self, new: NewKey, actor: Actor) -> CreatedKey:
        """Make a key; its text is in the answer and nowhere else.

        Raises:
            BadInput: the label, the machine or the expiry cannot be.
        """
        if not new.label.strip() or len(new.label) > LABEL_LIMIT or not new.label.isprintable():
            raise BadInput("a key needs a label", f"say who holds it, in 1 to {LABEL_LIMIT} characters")
        if new.orchestrator_id is not None:
            check_id(new.orchestrator_id, "orchestrator id")
        now = self._context.now()
        if new.expires_at is not None and to_ms(new.expires_at) <= now:
            raise BadInput(f"{new.expires_at.isoformat()} is over already", "give a time to come, or none")
        token = make_token()
        self._context.store.keys.insert(token.key_id, new, token.digest, now)
        data = {"label": new.label, "scope": new.scope.value, "orchestrator_id": new.orchestrator_id}
        self._context.note(now, actor, "key", token.key_id, "create", data=data)
        return CreatedKey(self._get(token.key_id), str(token))

    def find_all(self) -> list[ApiKey]:
        return self._context.store.keys.find_all()

    def revoke(self, key_id: str, actor: Actor) -> ApiKey:
        """End a key for good; revoking it again is no error.

        Raises:
            NotFound.
        """
        key = self._get(key_id)
        if key.revoked_at is not None:
            return key
        now = self._context.now()
        self._context.store.keys.revoke(key_id, now)
        self._context.note(now, actor, "key", key_id, "revoke", data={"label": key.label})
        return self._get(key_id)

    def verify(self, text: str) -> ApiKey | None:
        """The key that `text` is, if it is one and still opens anything."""
        token = parse_token(text)
        stored = None if token is None else self._context.store.keys.read(token.key_id)
        # Compared in every case, so that the time taken tells nobody which ids there are.
        known = NOBODY.digest if stored is None else stored.digest
        same = hmac.compare_digest((token or NOBODY).digest, known)
        if stored is None or not same or stored.key.revoked_at is not None:
            return None
        expires = stored.key.expires_at
        return None if expires is not None and expires <= from_ms(self._context.now()) else stored.key

    def use(self, key_id: str) -> None:
        """Note that a key was used."""
        self._context.store.keys.use(key_id, self._context.now())

    def is_noted(self, key: ApiKey) -> bool:
        """Whether the key's last use was written down within the last minute."""
        return key.last_used_at is not None and self._context.now() - to_ms(key.last_used_at) < USE_NOTED_MS

    def _get(self, key_id: str) -> ApiKey:
        stored = self._context.store.keys.read(key_id)
        if stored is None:
            raise NotFound(f"there is no key {key_id[:80]!r}", "octopoid keys list shows every key")
        return stored.key
