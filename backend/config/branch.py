"""Names of branches that may come from anywhere."""

from __future__ import annotations

import re

from backend.errors import BadInput

_ALLOWED = re.compile(r"\w[\w./@+=#,%-]{0,199}")


def check_branch(text: str, what: str = "branch") -> str:
    """Return `text` if it may name a branch: a subset of what git takes, none of it an option.

    Raises:
        BadInput: if git would refuse it, or it could be read as an option, a revision or a full ref.
    """
    parts = text.split("/")
    fits = (
        _ALLOWED.fullmatch(text) is not None
        and ".." not in text
        and not text.endswith(".")
        and text != "HEAD"
        and parts[0] != "refs"
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
    )
    if not fits:
        raise BadInput(
            f"{what} {text[:80]!r} is not usable",
            "branches are 1 to 200 letters, digits or any of '._/@+=#,%-', begin with a letter or digit, "
            "hold no '..' or '//' and are given without 'refs/heads/'",
        )
    return text
