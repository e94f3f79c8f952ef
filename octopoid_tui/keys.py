"""Key maps over the actions: bindings for a screen, a user's changes to them, and how keys are written."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from textual.binding import Binding, BindingType

from octopoid_tui.actions import ACTIONS, BY_ID, Action, Where, actions_of

_LABELS = {
    "question_mark": "?",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "right_square_bracket": "]",
    "left_square_bracket": "[",
    "escape": "esc",
    "right": "→",
    "left": "←",
    "up": "↑",
    "down": "↓",
    "right_curly_bracket": "}",
    "left_curly_bracket": "{",
    "full_stop": ".",
    "comma": ",",
}

GRID_KEYS: tuple[tuple[str, str], ...] = (
    ("↑ ↓ or k j", "move"),
    ("pgup pgdn or ctrl+u ctrl+d", "move by a page or half of one"),
    ("home end or g G", "first, last"),
)
"""Movement that every list has of itself; told in the help, not to be remapped."""


WIDGET_KEYS: Mapping[str, str] = {
    "diff.next_hunk": "right_square_bracket",
    "diff.previous_hunk": "left_square_bracket",
    "chat.next_question": "J",
    "chat.previous_question": "K",
}
"""Keys of widgets that would hide an action of the screen they are on, moved out of its way."""


def bindings(where: Where) -> list[BindingType]:
    """The bindings of one screen; their ids are the actions' ids, so that a keymap can change them."""
    return [
        Binding(
            ",".join(action.keys),
            f"perform('{action.id}')",
            action.title,
            id=action.id,
            tooltip=action.tip,
            show=False,
            priority=action.id == "app.palette",
        )
        for action in actions_of(where)
    ]


def label(key: str) -> str:
    """A key as people write it."""
    return _LABELS.get(key, key)


def keys_of(action: Action, keymap: Mapping[str, str]) -> tuple[str, ...]:
    """The keys of an action under a user's keymap."""
    chosen = keymap.get(action.id)
    return tuple(part.strip() for part in chosen.split(",")) if chosen else action.keys


def labels_of(action: Action, keymap: Mapping[str, str]) -> str:
    return " ".join(label(key) for key in keys_of(action, keymap))


def check_keymap(keymap: Mapping[str, str]) -> list[str]:
    """What is wrong with a user's keymap: unknown actions, and keys that would mean two things."""
    problems = []
    for action_id in keymap:
        if action_id not in BY_ID:
            near = get_close_matches(action_id, BY_ID, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(f"keys: there is no action {action_id!r}{hint}")
    for where in Where:
        owners: dict[str, str] = {}
        for action in actions_of(where):
            for key in keys_of(action, keymap):
                other = owners.setdefault(key, action.id)
                if other != action.id:
                    both = f"both {other!r} and {action.id!r}"
                    problems.append(f"keys: {label(key)!r} would be {both} on the {where} screen")
    return problems


def textual_keymap(keymap: Mapping[str, str | tuple[str, ...]]) -> dict[str, str]:
    """A keymap of the configuration as Textual takes it: several keys separated by commas."""
    return {
        action_id: keys if isinstance(keys, str) else ",".join(keys) for action_id, keys in keymap.items()
    }


def document() -> str:
    """`docs/keys.md`, from the table."""
    lines = [
        "# Keys",
        "",
        "Every action has a name. In `config.yaml`, `keys` maps names to other keys, several separated by a",
        'comma: `keys: {task.accept: "A", pane.zoom: "z,f5"}`.',
        "",
        "Lists have these of themselves: " + "; ".join(f"`{keys}` {what}" for keys, what in GRID_KEYS) + ".",
    ]
    for group in dict.fromkeys(action.group for action in ACTIONS):
        lines += ["", f"## {group}", "", "| key | action | name | where |", "|---|---|---|---|"]
        for action in ACTIONS:
            if action.group == group:
                where = "everywhere" if len(action.where) == len(Where) else ", ".join(sorted(action.where))
                what = f"{action.title}. {action.tip}." if action.tip else f"{action.title}."
                shown = " ".join(f"`{label(key)}`" for key in action.keys)
                lines.append(f"| {shown} | {what} | `{action.id}` | {where} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    import sys

    sys.stdout.write(document())
