"""The documented table is the table."""

from __future__ import annotations

import re
from pathlib import Path

from backend.lifecycle import TABLE
from backend.model import Queue

DOCUMENT = Path(__file__).parents[2] / "docs" / "lifecycle.md"
ROW = re.compile(r"^\| (\w+) \|([^|]*)\|", re.MULTILINE)


def test_every_action_is_documented_with_the_states_it_starts_from() -> None:
    rows = {action: cell.strip() for action, cell in ROW.findall(DOCUMENT.read_text())}
    del rows["action"]
    assert list(rows) == [action.value for action in TABLE]
    for action, rule in TABLE.items():
        said = rows[action.value]
        everywhere = frozenset(Queue)
        states = everywhere if said == "anywhere" else {Queue(s) for s in said.split(", ") if s}
        assert states == rule.sources, action
