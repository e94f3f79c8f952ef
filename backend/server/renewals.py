"""Reading the leases that a request wants renewed."""

from __future__ import annotations

from collections.abc import Sequence

from backend.errors import BadInput
from backend.model import Json, Renewal
from backend.wire import from_json

MAX_LEASE_S = 24 * 3600


def read_leases(given: Sequence[Json], lease_seconds: int) -> list[Renewal]:
    """The leases named in a body.

    Raises:
        BadInput: one does not fit, or the time is out of bounds.
    """
    if not 0 < lease_seconds <= MAX_LEASE_S:
        raise BadInput(f"lease_seconds {lease_seconds} is out of bounds", f"give 1 to {MAX_LEASE_S}")
    return [from_json(Renewal, one, strict=True) for one in given]
