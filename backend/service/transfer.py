"""Export the whole state, and import one into an empty store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO, Any

from backend.clock import from_ms, to_ms
from backend.errors import Refused
from backend.model import Actor, Event
from backend.service.context import Context
from backend.service.leases import Leases
from backend.store.interface import NewEvent
from backend.transfer.check import check
from backend.transfer.columns import TABLES, columns_of
from backend.transfer.document import (
    END,
    SECTION_END,
    Document,
    Entry,
    Misfit,
    head_lines,
    row_line,
    section_start,
)

EVENTS = 500
UNLESS_KNOWN = frozenset({"orchestrators", "pauses", "agents", "sessions", "alerts"})
"""What a machine may have told this store before the import: that is newer."""
LEFT_BEHIND = "the state was imported here, and leases stay where they were given"


class Transfer:
    """All or nothing, both ways."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def export(self, out: IO[bytes]) -> None:
        """Write the state as one moment sees it, record by record."""
        out.write(head_lines(from_ms(self._context.now()), self._store.machines.intake()))
        for section, rows in self._sections():
            out.write(section_start(section))
            for number, (record, created_as) in enumerate(rows):
                out.write(row_line(record, created_as, number == 0))
            out.write(SECTION_END)
        out.write(END)

    def load(self, document: Document, actor: Actor) -> dict[str, int]:
        """Store what an export holds; returns how many records of each kind.

        Raises:
            Misfit: a record cannot be stored; its line is named.
            Refused: there are tasks, projects or drafts already.
        """
        transfer = self._store.transfer
        if not transfer.is_empty():
            raise Refused("the store is not empty", "import into a new one", ("it has tasks or projects",))
        now = self._context.now()
        open_blockers = check(document, from_ms(now))
        transfer.be_patient()
        self._insert(document, open_blockers)
        self._append(document.entries["events"])
        if document.pause.paused:
            self._store.machines.save_intake(document.pause)
        held = [entry.record.id for entry in document.entries["tasks"] if entry.record.run_id is not None]
        Leases(self._context).drop(held, LEFT_BEHIND)
        counts = {section: len(entries) for section, entries in document.entries.items()}
        self._context.note(now, actor, "store", "import", "import", data=dict(counts))
        transfer.settle()
        broken = transfer.audit()
        if broken:
            raise Misfit("the export does not hold together", "nothing was imported", tuple(broken))
        return counts

    def _sections(self) -> Iterator[tuple[str, Iterable[tuple[Any, str | None]]]]:
        store, transfer, now = self._store, self._store.transfer, self._context.now()
        yield "orchestrators", ((one, None) for one in store.machines.orchestrators())
        yield "pauses", ((one, None) for one in store.machines.machine_pauses())
        yield "agents", ((one, None) for one in store.machines.agents())
        yield "projects", ((one.project, one.created_as) for one in store.projects.find_all())
        yield "drafts", ((one.draft, one.created_as) for one in store.drafts.find_all())
        yield "tasks", transfer.tasks()
        yield "runs", ((one, None) for one in transfer.runs())
        yield "evidence", ((one, None) for one in transfer.evidence())
        yield "messages", ((one, None) for one in transfer.messages())
        yield "rules", ((one, None) for one in store.rules.find_all())
        yield "sessions", ((one, None) for one in store.sessions.find(None, False, now))
        yield "alerts", ((one, None) for one in store.alerts.in_force(now))
        yield "events", ((one, None) for one in self._events())

    def _events(self) -> Iterator[Event]:
        after = 0
        while batch := self._store.log.read(after, EVENTS, None):
            yield from batch
            after = batch[-1].seq

    def _insert(self, document: Document, open_blockers: dict[str, int]) -> None:
        transfer = self._store.transfer
        for section, table in TABLES.items():
            for entry in document.entries[section]:
                values = columns_of(section, entry.record)
                if entry.created_as:
                    values["created_as"] = entry.created_as
                if section == "tasks":
                    values["open_blockers"] = open_blockers[entry.record.id]
                transfer.insert(table, values, unless_known=section in UNLESS_KNOWN)
        for entry in document.entries["tasks"]:
            if entry.record.blocked_by:
                self._store.tasks.set_dependencies(entry.record.id, entry.record.blocked_by)

    def _append(self, entries: list[Entry]) -> None:
        """The events in their order; in a store that has a log already they come after it."""
        for number, entry in enumerate(entries, 1):
            event: Event = entry.record
            new = NewEvent(
                event.actor, event.entity, event.entity_id, event.kind, event.from_state, event.to_state,
                event.version, event.reason, event.data,
            )  # fmt: skip
            self._store.log.append(new, to_ms(event.at))
            if number % EVENTS == 0:
                self._store.transfer.settle()
