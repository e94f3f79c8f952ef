"""Our themes. States never rest on colour alone, so each theme is free to be calm."""

from __future__ import annotations

from textual.theme import Theme


def _dim(muted: str, disabled: str) -> dict[str, str]:
    """Quiet text. Textual's own is "auto", which the line API cannot resolve: it would be plain white."""
    return {"text-muted": muted, "text-disabled": disabled}


DARK = Theme(
    name="octopoid-dark",
    primary="#7aa2f7",
    secondary="#9a8cd8",
    accent="#7dcfdc",
    warning="#e0af68",
    error="#f07a88",
    success="#98c379",
    foreground="#c9cfda",
    background="#14171d",
    surface="#191d24",
    panel="#262c37",
    dark=True,
    variables={
        "block-cursor-text-style": "bold",
        "border": "#3a4250",
        **_dim("#8b94a5", "#5f6878"),
        "footer-background": "#191d24",
    },
)

LIGHT = Theme(
    name="octopoid-light",
    primary="#2c5fb8",
    secondary="#6b4fb0",
    accent="#0f7480",
    warning="#955d00",
    error="#b3263a",
    success="#3a7317",
    foreground="#23272e",
    background="#fbfbf9",
    surface="#f3f3f0",
    panel="#e3e4e0",
    dark=False,
    variables={"block-cursor-text-style": "bold", "border": "#c3c6c0", **_dim("#5a616c", "#8d939c")},
)

HIGH_CONTRAST = Theme(
    name="octopoid-high-contrast",
    primary="#5fd7ff",
    secondary="#ffaf00",
    accent="#5fffff",
    warning="#ffd700",
    error="#ff8787",
    success="#87ff5f",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#303030",
    dark=True,
    text_alpha=1.0,
    variables={"block-cursor-text-style": "bold", "border": "#a0a0a0", **_dim("#e0e0e0", "#b8b8b8")},
)

MONO = Theme(
    name="octopoid-mono",
    primary="#ffffff",
    secondary="#d0d0d0",
    accent="#ffffff",
    warning="#ffffff",
    error="#ffffff",
    success="#e0e0e0",
    foreground="#e4e4e4",
    background="#000000",
    surface="#000000",
    panel="#3a3a3a",
    dark=True,
    text_alpha=1.0,
    variables={"block-cursor-text-style": "bold", "border": "#8a8a8a", **_dim("#c4c4c4", "#9a9a9a")},
)

THEMES = (DARK, LIGHT, HIGH_CONTRAST, MONO)
NAMES = tuple(theme.name for theme in THEMES)
SHORT = {name.removeprefix("octopoid-"): name for name in NAMES}


def theme_name(wanted: str | None, no_color: bool) -> str:
    """The theme to start with. `NO_COLOR` wins: dulled colours would be unreadable, our mono is not."""
    if no_color:
        return MONO.name
    return SHORT.get(wanted or "dark", wanted if wanted in NAMES else DARK.name) or DARK.name


def next_theme(current: str) -> str:
    """The theme after this one, round and round."""
    return NAMES[(NAMES.index(current) + 1) % len(NAMES)] if current in NAMES else NAMES[0]
