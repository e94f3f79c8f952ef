"""What the schema cannot say: values that must fit each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

from backend.config.bind import Binder
from backend.config.branch import check_branch
from backend.config.schema import NOT_YET, REVIEW_CHECK, AgentSpec, Config
from backend.errors import BadInput
from backend.ids import check_id

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


def check_config(config: Config, binder: Binder) -> None:
    """Note everything in config.yaml that contradicts itself or cannot be done."""
    _word(binder, "merge", config.merge)
    _name(binder, "repo.main_branch", config.repo.main_branch, check_branch)
    _name(binder, "server.cluster", config.server.cluster, check_id)
    if config.server.machine_id is not None:
        _name(binder, "server.machine_id", config.server.machine_id, check_id)
    if config.server.url is not None:
        reason = url_problem(config.server.url)
        if reason:
            binder.note("server.url", reason)
    elif config.mode == "remote":
        binder.note("mode", "is remote, but server.url is not set", "set server.url or OCTOPOID_SERVER")
    if config.mode == "remote" and config.server.enabled is False:
        binder.note("server.enabled", "is false, but mode is remote", "set mode: local, or enabled: true")
    if config.leases.heartbeat_seconds * 2 > config.leases.seconds:
        binder.note(
            "leases.heartbeat_seconds",
            f"is more than half of leases.seconds ({config.leases.seconds})",
            "a single late heartbeat would lose the lease",
        )
    for number, one in enumerate(config.checks):
        if one.name == REVIEW_CHECK:
            said = f"is called {REVIEW_CHECK}, as agents' verdicts are"
            binder.note(f"checks[{number}]", said, "rename it")
    _unique(binder, ((f"checks[{number}]", check.name) for number, check in enumerate(config.checks)))


COMMANDED = ("acp", "command")
"""Adapters of any program, which `command` names."""


def check_agents(agents: tuple[AgentSpec, ...], binder: Binder) -> None:
    """Note everything in agents.yaml that contradicts itself or cannot be done."""
    for number, spec in enumerate(agents):
        key = f"agents[{number}]"
        _name(binder, f"{key}.name", spec.name, check_id)
        _name(binder, f"{key}.role", spec.role, check_id)
        _word(binder, f"{key}.isolation", spec.isolation)
        if spec.adapter in COMMANDED and not "".join(spec.command[:1]):
            said = f"({spec.name}) has adapter {spec.adapter} but no command"
            binder.note(key, said, "add `command: [program]`")
        if spec.adapter not in COMMANDED and spec.command:
            said = f"is only for adapters {' and '.join(COMMANDED)}, not {spec.adapter}"
            binder.note(f"{key}.command", said, "use `program`")
        for variable in spec.env:
            if not _VARIABLE.fullmatch(variable):
                binder.note(f"{key}.env", f"has {variable[:40]!r}, which is no name of a variable")
    _unique(binder, _slots(agents))


def url_problem(url: str) -> str:
    """Why this is no address of a server; empty if it is one."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a valid address"
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\\]", url):
        return "must be http:// or https:// and a host"
    if parts.username is not None or parts.password is not None:
        return "must not hold a password; give the key as OCTOPOID_API_KEY"
    if parts.query or parts.fragment:
        return "must not have a query or fragment"
    return ""


def _slots(agents: tuple[AgentSpec, ...]) -> Iterator[tuple[str, str]]:
    for number, spec in enumerate(agents):
        key = f"agents[{number}]"
        yield f"{key}.name", spec.name
        if spec.max_instances > 1:
            yield from ((key, f"{spec.name}-{instance}") for instance in range(1, spec.max_instances + 1))


def _word(binder: Binder, key: str, value: str) -> None:
    waiting = NOT_YET[key.rpartition(".")[2]]
    if value in waiting:
        binder.note(key, f"is {value}, which is not available in this version", "use another word for now")


def _name(binder: Binder, key: str, value: str, check: Callable[[str, str], str]) -> None:
    try:
        check(value, "the value")
    except BadInput as error:
        binder.note(key, f"is not usable: {error.problem}", error.next_step)


def _unique(binder: Binder, named: Iterable[tuple[str, str]]) -> None:
    seen: set[str] = set()
    for key, name in named:
        if name in seen:
            binder.note(key, f"uses the name {name!r} a second time", "give each a name of its own")
        seen.add(name)
