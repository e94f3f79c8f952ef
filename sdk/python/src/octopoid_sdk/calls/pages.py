"""Lists that are read page by page, until all or the limit is there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from octopoid_sdk.exchange import Json, Steps, request

PAGE = 200


def read_pages(
    name: str, *parts: str, params: Mapping[str, Any], limit: int | None = None
) -> Steps[list[Any]]:
    """The rows under `name` of `/api/v1/<parts>`; one that is on two pages counts once.

    Goes on by `next_cursor`, or where a server gives none, by `offset` up to `total`.
    """
    found: dict[str, Any] = {}
    seen = 0
    place: Json = {}
    while limit is None or len(found) < limit:
        size = PAGE if limit is None else min(PAGE, limit - len(found))
        page = yield request("GET", *parts, params={**params, "limit": size, **place})
        rows = page[name]
        found.update((row["id"], row) for row in rows)
        seen += len(rows)
        if page.get("next_cursor"):
            place = {"cursor": page["next_cursor"]}
        elif "cursor" not in place and rows and seen < page.get("total", 0):
            place = {"offset": seen}
        else:
            break
    return [*found.values()]
