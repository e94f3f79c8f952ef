"""Small helpers for text."""


def decorate(text: str) -> str:
    """Make a line stand out."""
    return text
