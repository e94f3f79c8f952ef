"""Places in the log of this machine, which holds the server's events and, between them, changes made here.

As long as nothing was changed here while the server was away, a place is the server's own number. Changes
made here take the numbers that follow, and the server's later events move on by as many: so numbers only
grow, nobody who follows the log sees one twice, and every place says what of the server's comes after it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stretch:
    """Places after `start` hold the server's events, numbered `ahead` fewer there."""

    start: int
    ahead: int

    @property
    def seen(self) -> int:
        """The server's last event before this stretch."""
        return self.start - self.ahead


@dataclass(frozen=True, slots=True)
class Positions:
    """The log as stretches, the oldest first."""

    stretches: tuple[Stretch, ...] = (Stretch(0, 0),)

    def here(self, seq: int) -> int:
        """The place of one of the server's events."""
        found = next((one for one in reversed(self.stretches) if one.seen < seq), self.stretches[0])
        return seq + found.ahead

    def there(self, place: int) -> int:
        """The server's last event at or before a place."""
        following: Stretch | None = None
        for one in reversed(self.stretches):
            if place > one.start:
                seq = place - one.ahead
                return seq if following is None else min(seq, following.seen)
            following = one
        return max(0, self.stretches[0].seen)

    def go_on(self, place: int, seq: int) -> Positions:
        """Everything after the server's event `seq` comes after `place`."""
        if place - seq == self.stretches[-1].ahead:
            return self
        return Positions((*self.stretches, Stretch(place, place - seq)))

    @classmethod
    def anew(cls, place: int, seq: int) -> Positions:
        """The same, after a server whose numbers have nothing to do with those before."""
        return cls((Stretch(place, place - seq),))
