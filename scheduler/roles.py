"""Roles as data: what an agent is for, and the prompt it gets.

A role is a markdown file with YAML frontmatter, shipped in `config/roles` and overridden by a file of the
same name in `.octopoid/roles`. Its placeholders are `{{name}}`; a part between `{{#name}}` and `{{/name}}`
is left out when that value is empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from backend.config.shipped import shipped
from backend.config.yamltree import YamlProblem, parse, plain_value
from backend.errors import ConfigError
from backend.ids import check_id

PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
OPENED = re.compile(r"\{\{#(\w+)\}\}")
CLOSED = re.compile(r"\{\{/(\w+)\}\}")
SECTION = re.compile(r"\{\{#(\w+)\}\}\n?(.*?)\{\{/\1\}\}\n?", re.DOTALL)
VALUES = frozenset(
    {
        "fence", "task_id", "task_title", "task_body", "base_branch", "feedback", "commits_so_far",
        "diff_stat", "diff", "conflict_paths", "checks", "evidence", "head_sha",
    }
)  # fmt: skip
"""What a prompt may name."""

HEADER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)


class Product(StrEnum):
    """What a run of a role has to leave behind."""

    COMMITS = "commits"
    VERDICT = "verdict"  # on the work of a provisional task
    TASKS = "tasks"  # into which its own task is split


@dataclass(frozen=True, slots=True)
class Role:
    """One role. `in_place` roles lease a provisional task and leave it provisional."""

    name: str
    produces: Product
    in_place: bool
    template: str

    def render(self, values: dict[str, str]) -> str:
        """The prompt with its placeholders filled; values are put in once and never read as template.

        Args:
            values: every one of `VALUES`.
        """
        kept = SECTION.sub(lambda match: match[2] if values[match[1]] else "", self.template)
        return PLACEHOLDER.sub(lambda match: values[match[1]], kept)


def load_role(name: str, overrides: Path) -> Role:
    """Read a role's file.

    Raises:
        ConfigError: there is no such role, its file is not well formed, or names a value that does not exist.
    """
    check_id(name, "role")
    path = overrides / f"{name}.md"
    if not path.is_file():
        path = shipped(f"roles/{name}.md")
    if not path.is_file():
        raise ConfigError(
            f"role {name!r} has no prompt", f"write one in {overrides / (name + '.md')}, or use another role"
        )
    try:
        match = HEADER.match(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "write it as UTF-8 text") from error
    if match is None:
        raise ConfigError(f"{path} has no frontmatter", "begin it with --- and the role's properties")
    try:
        node = parse(match[1], first_line=2)
    except YamlProblem as problem:
        raise ConfigError(f"{path}: the frontmatter cannot be read", str(problem)) from problem
    properties = plain_value(node) if node is not None else None
    if not isinstance(properties, dict) or "produces" not in properties:
        raise ConfigError(f"{path}: the frontmatter has no `produces`", "say `produces: commits`")
    _check_template(path, match[2])
    in_place = properties.get("in_place", False) is True
    return Role(name, _product(path, properties["produces"], in_place), in_place, match[2])


def _product(path: Path, said: object, in_place: bool) -> Product:
    if not isinstance(said, str) or said not in frozenset(Product):
        raise ConfigError(f"{path}: a role cannot produce {said!r}", f"say one of {', '.join(Product)}")
    product = Product(said)
    if (product is Product.VERDICT and not in_place) or (product is Product.TASKS and in_place):
        raise ConfigError(
            f"{path}: a role that produces {product} cannot have in_place: {str(in_place).lower()}",
            "a verdict is given on finished work, in place; tasks come from a task of their own",
        )
    return product


def _check_template(path: Path, template: str) -> None:
    named = {*PLACEHOLDER.findall(template), *OPENED.findall(template)}
    unknown = sorted(named - VALUES)
    if unknown:
        raise ConfigError(
            f"{path} names {{{{{unknown[0]}}}}}, which does not exist",
            f"use one of {', '.join(sorted(VALUES))}",
        )
    outside = SECTION.sub("", template)
    within = any(OPENED.search(match[2]) for match in SECTION.finditer(template))
    if within or OPENED.search(outside) or CLOSED.search(outside):
        raise ConfigError(
            f"{path} has a section that is not closed, or one within another", "end {{#name}} with {{/name}}"
        )
