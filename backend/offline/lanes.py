"""Which waiting changes may be on their way at the same time: those of tasks that nothing links.

A lane holds the changes of one task, and of the tasks that wait for it or that it waits for: what is done to
a task is told to those. All edits of dependencies share one lane. Within a lane one change is sent after the
other, in the order they were made. New tasks arrive in the order they were made too, since the oldest is
worked on first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Place:
    """A change in the outbox, as far as its order goes."""

    id: str
    task_id: str
    creates: bool = False
    """Whether it makes the task."""
    lane: str = ""


class Lanes:
    """The order in which changes are sent. Each that is taken has to be given back."""

    def __init__(self, places: Sequence[Place], links: Iterable[tuple[str, str]] = ()) -> None:
        """
        Args:
            places: every change that waits, in the order they were made.
            links: pairs of tasks whose changes keep their order.
        """
        roots: dict[str, str] = {}
        for one, other in links:
            roots[_root(roots, one)] = _root(roots, other)
        self._lanes: dict[str, deque[Place]] = {}
        for place in places:
            lane = _root(roots, place.task_id)
            self._lanes.setdefault(lane, deque()).append(replace(place, lane=lane))
        self._turns = deque(place.id for place in places if place.creates)
        self._held: dict[str, str] = {}
        """Lanes whose next change makes a task before its turn, by that change."""
        self._ready: deque[str] = deque()
        for lane in self._lanes:
            self._offer(lane)

    def take(self) -> Place | None:
        """The next change of a lane from which none is on its way; None when there is no such lane."""
        return self._lanes[self._ready.popleft()].popleft() if self._ready else None

    def settled(self, place: Place) -> None:
        """It is no longer waiting: the next one of its lane may go."""
        self._pass_by([place])
        self._offer(place.lane)

    def again(self, place: Place) -> None:
        """It is to be sent once more, before the others of its lane."""
        self._lanes[place.lane].appendleft(place)
        self._ready.appendleft(place.lane)

    def close(self, place: Place) -> None:
        """Nothing more of its lane is to be sent now."""
        lane = self._lanes[place.lane]
        self._pass_by([place, *lane])
        lane.clear()

    def _offer(self, lane: str) -> None:
        if not self._lanes[lane]:
            return
        first = self._lanes[lane][0]
        if first.creates and first.id != self._turns[0]:
            self._held[first.id] = lane
        else:
            self._ready.append(lane)

    def _pass_by(self, places: Iterable[Place]) -> None:
        """The turn of those that make a task is over."""
        over = {place.id for place in places if place.creates}
        if not over:
            return
        if len(over) == 1 and self._turns[0] in over:
            self._turns.popleft()
        else:
            self._turns = deque(one for one in self._turns if one not in over)
        if self._turns and (lane := self._held.pop(self._turns[0], None)) is not None:
            self._ready.append(lane)


def _root(roots: dict[str, str], task_id: str) -> str:
    """The task that stands for all that one is linked with."""
    path = []
    while (above := roots.get(task_id, task_id)) != task_id:
        path.append(task_id)
        task_id = above
    for one in path:
        roots[one] = task_id
    return task_id
