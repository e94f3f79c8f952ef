"""Having a form filled in: what was typed is kept, and of a change only what the person changed is sent."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from backend.clean import clean_line
from backend.errors import OctopoidError, VersionConflict
from octopoid_tui.host import Host
from octopoid_tui.screens.dialogs.form import Field, FormDialog, Values

YES_NO = {"yes": True, "no": False, "": False}


@dataclass(frozen=True, slots=True)
class Known:
    """What the store has: a value for each field, and of which version that is."""

    values: Values = field(default_factory=dict)
    version: int = 0
    """0 for what is not made yet."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What was typed, and over what."""

    values: Values
    known: Known

    @property
    def changed(self) -> frozenset[str]:
        """The fields in which the person wants something else than what is known."""
        known = self.known.values
        return frozenset(
            name
            for name, text in self.values.items()
            if meant(name, text) != meant(name, known.get(name, ""))
        )

    def over(self, newer: Known) -> Typed:
        """The same wish over what the store has by now: what was not touched is as it is there."""
        kept = {name: self.values[name] for name in self.changed}
        return Typed({**newer.values, **kept}, newer)

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> Typed:
        read = json.loads(text)
        return cls(read["values"], Known(**read["known"]))


Send = Callable[[Typed], Awaitable[str]]
"""Stores what was typed, and returns what is to be said of it."""
Read = Callable[[], Awaitable[Known]]
"""Reads again what a form is about."""


def meant(name: str, text: str) -> object:
    """What the text of a field stands for: a text area ends its lines, and a person a text, as they like."""
    return YES_NO.get(text.strip().lower(), text) if name == "auto" else text.rstrip().splitlines()


def news(fields: Sequence[Field], before: Typed, newer: Known) -> str:
    """Which fields somebody else has changed, and what becomes of each."""
    theirs = [
        one for one in fields
        if meant(one.name, before.known.values[one.name]) != meant(one.name, newer.values[one.name])
    ]  # fmt: skip
    if not theirs:
        return "changed meanwhile, in nothing that stands here: ctrl+s sends what you changed"
    taken = [one.label for one in theirs if one.name not in before.changed]
    both = [
        f"{one.label} (there: {clean_line(newer.values[one.name], 60) or 'nothing'})"
        for one in theirs
        if one.name in before.changed
    ]
    parts = [f"shown as it is there now: {', '.join(taken)}"] if taken else []
    parts += [f"yours stands against a newer one: {', '.join(both)}"] if both else []
    return f"changed meanwhile; {'; '.join(parts)}. ctrl+s sends only what you changed"


async def fill(
    host: Host,
    key: str,
    title: str,
    fields: tuple[Field, ...],
    check: Callable[[Values], Mapping[str, str]],
    store: Send,
    *,
    known: Known | None = None,
    read: Read | None = None,
) -> bool:
    """Have a form filled in until it is stored or left; what was typed is there again the next time.

    Args:
        known: what is to be changed; None for something new.
        read: reads that again, after somebody else has changed it.
    """
    known = known or Known(dict.fromkeys((one.name for one in fields), ""))
    typed, problem, focus = Typed(dict(known.values), known), "", ""
    if key in host.drafts:
        typed = Typed.of_text(host.drafts[key])
        if known.version > typed.known.version:
            typed, problem = typed.over(known), news(fields, typed, known)
    while True:
        send = "keep" if read else "create"
        form = FormDialog(title, fields, typed.values, check, send=send, problem=problem, focus=focus)
        sent = await host.push_screen_wait(form)
        typed, focus = Typed(form.values, typed.known), form.last_focused
        _keep(host, key, typed)
        if sent is None:
            return False
        try:
            said = await store(typed)
        except VersionConflict as error:
            typed, problem = await _read_again(fields, typed, read, error)
            _keep(host, key, typed)
        except OctopoidError as error:
            problem = str(error)
        else:
            host.drafts.pop(key, None)
            host.flash(said)
            return True


async def _read_again(
    fields: Sequence[Field], typed: Typed, read: Read | None, error: VersionConflict
) -> tuple[Typed, str]:
    """What was typed, over what the store has now, and what to say of that."""
    if read is None:
        return typed, str(error)
    try:
        newer = await read()
    except OctopoidError as failure:
        return typed, str(failure)
    return typed.over(newer), news(fields, typed, newer)


def _keep(host: Host, key: str, typed: Typed) -> None:
    """Keep what differs from what is known; nothing else is worth finding again."""
    if typed.changed:
        host.drafts[key] = typed.to_text()
    else:
        host.drafts.pop(key, None)
