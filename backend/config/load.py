"""Read the configuration, all of it or not at all, and read it again when it changes."""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Mapping as EnvironLike
from dataclasses import dataclass
from pathlib import Path

import msgspec

from backend.config.bind import Binder
from backend.config.locate import Layout
from backend.config.problems import Problem, as_error
from backend.config.rules import check_agents, check_config, url_problem
from backend.config.schema import AgentsFile, AgentSpec, Config
from backend.config.textfile import UnreadableFile, read_text
from backend.config.yamltree import Items, Mapping, Node, YamlProblem, parse
from backend.errors import ConfigError

SERVER_VARIABLE = "OCTOPOID_SERVER"
KEY_VARIABLE = "OCTOPOID_API_KEY"
OVERRIDES = (
    (SERVER_VARIABLE, "server.url"),
    (SERVER_VARIABLE, "server.enabled"),
    (SERVER_VARIABLE, "mode"),
    (KEY_VARIABLE, "server.api_key"),
)
"""Which keys a variable of the environment decides."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration without errors.

    `sources` says for every key that was set where that was: `.octopoid/config.yaml:7` or the name of a
    variable of the environment. Keys that are not in it have their default.
    """

    directory: Path
    config: Config
    agents: tuple[AgentSpec, ...]
    sources: dict[str, str]
    warnings: tuple[str, ...]

    @property
    def repository(self) -> Path:
        """The repository that is worked on: `repo.path`, or the folder that holds `.octopoid`."""
        return Path(os.path.abspath(self.directory.parent / (self.config.repo.path or ".")))


@dataclass(slots=True)
class _File:
    binder: Binder
    tree: Node | None
    readable: bool
    mode: int


def load(octopoid_dir: Path, environ: EnvironLike[str, str] | None = None) -> Loaded:
    """Read config.yaml and agents.yaml.

    An empty config.yaml means the defaults; an empty agents.yaml is a warning.

    Args:
        octopoid_dir: the `.octopoid` folder.
        environ: where `OCTOPOID_SERVER` and `OCTOPOID_API_KEY` are looked up; the process's by default.

    Raises:
        ConfigError: with the first problem, and all others in its details.
    """
    environ = os.environ if environ is None else environ
    layout = Layout(octopoid_dir)
    config_file = _read(octopoid_dir, layout.config)
    agents_file = _read(octopoid_dir, layout.agents)
    config = _config(config_file, environ)
    agents = _agents(agents_file)
    problems = [*config_file.binder.problems, *agents_file.binder.problems]
    if problems or config is None or agents is None:
        raise as_error(problems)
    sources = {
        key: f"{file.binder.file}:{line}"
        for file in (config_file, agents_file)
        for key, line in file.binder.lines.items()
        if not (file is agents_file and key == "agents")  # the name of a section of config.yaml as well
    }
    for variable, key in OVERRIDES:
        if environ.get(variable):
            sources[key] = variable
    return Loaded(octopoid_dir, config, agents, sources, _warnings(config_file, agents_file, config, agents))


def _label(octopoid_dir: Path, path: Path) -> str:
    return f"{octopoid_dir.name}/{path.name}" if octopoid_dir.name == ".octopoid" else str(path)


def _read(octopoid_dir: Path, path: Path) -> _File:
    binder = Binder(_label(octopoid_dir, path))
    try:
        file = read_text(path)
        return _File(binder, parse(file.text), True, file.mode)
    except UnreadableFile as error:
        hint = "" if path.exists() else "write it, or start with `octopoid init --local`"
        binder.note("", error.reason, hint, error.line)
    except YamlProblem as error:
        binder.note("", error.reason, line=error.line)
    return _File(binder, None, False, 0)


def _config(file: _File, environ: EnvironLike[str, str]) -> Config | None:
    if not file.readable:
        return None
    tree = Mapping({}, {}, 1) if file.tree is None else file.tree
    if not isinstance(tree, Mapping):
        file.binder.note("", "must be keys and values", "for example `mode: local`", tree.line)
        return None
    config = file.binder.bind(Config, tree)
    if config is None:
        return None
    config = _overridden(config, environ, file.binder)
    check_config(config, file.binder)
    return config


def _overridden(config: Config, environ: EnvironLike[str, str], binder: Binder) -> Config:
    url, key = environ.get(SERVER_VARIABLE), environ.get(KEY_VARIABLE)
    server = config.server
    if url:
        reason = url_problem(url)
        if reason:
            binder.problems.append(Problem(SERVER_VARIABLE, None, "", reason))
        else:
            server = msgspec.structs.replace(server, url=url, enabled=True)
            config = msgspec.structs.replace(config, mode="remote")
    if key:
        server = msgspec.structs.replace(server, api_key=key)
    return msgspec.structs.replace(config, server=server)


def _agents(file: _File) -> tuple[AgentSpec, ...] | None:
    if not file.readable:
        return None
    tree = file.tree
    if tree is None:
        return ()
    if isinstance(tree, Items):
        tree = Mapping({"agents": tree}, {"agents": tree.line}, tree.line)
    if not isinstance(tree, Mapping):
        file.binder.note("", "must be a list of agents", "for example `agents: [...]`", tree.line)
        return None
    bound = file.binder.bind(AgentsFile, tree)
    if bound is None:
        return None
    check_agents(bound.agents, file.binder)
    return bound.agents


def _warnings(
    config_file: _File, agents_file: _File, config: Config, agents: tuple[AgentSpec, ...]
) -> tuple[str, ...]:
    found = []
    if not agents:
        found.append(f"{agents_file.binder.file}: no agents configured, so nothing will be worked on here")
    if "server.api_key" in config_file.binder.lines and config_file.mode & 0o077:
        name = config_file.binder.file
        found.append(f"{name}: holds an api_key and others can read it: chmod 600 {name}")
    if config.mode == "local" and config.server.enabled:
        line = config_file.binder.lines["server.enabled"]
        found.append(f"{config_file.binder.file}:{line}: server.enabled has no effect in mode local")
    if config.review in ("agent", "both") and all(spec.role != "review" for spec in agents):
        line = config_file.binder.lines["review"]
        said = f"review is {config.review}, but no agent here has role review: add one to agents.yaml"
        found.append(f"{config_file.binder.file}:{line}: {said}")
    return tuple(found)


class Reloader:
    """Notices changes of the files and keeps the last configuration that was good.

    Args:
        loaded: the configuration in force.
    """

    def __init__(self, loaded: Loaded, environ: EnvironLike[str, str] | None = None) -> None:
        self.current = loaded
        self.error: ConfigError | None = None
        """What is wrong with the files as they are now; None while they are good."""
        self._environ = environ
        self._layout = Layout(loaded.directory)
        self._seen = self._signature()
        self._refused = False

    def poll(self, admit: Callable[[], ConfigError | None]) -> Loaded | ConfigError | None:
        """Look once: the new configuration, what is wrong with it, or None if nothing has changed.

        Args:
            admit: why changed files are not to be used; asked again at each look until it is None.
        """
        signature = self._signature()
        changed = signature != self._seen
        if not (changed or self._refused):
            return None
        self._seen = signature
        try:
            refusal = admit()
            self._refused = refusal is not None
            if refusal is not None:
                raise refusal
            self.current = load(self._layout.root, self._environ)
        except ConfigError as error:
            self.error = error
            return error if changed else None
        self.error = None
        return self.current

    def _signature(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(_stamp(path) for path in (self._layout.config, self._layout.agents))


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino
