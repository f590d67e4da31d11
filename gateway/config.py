"""The configuration: one YAML file, one frozen dataclass per section, built once.

A wrong key is named with its full path and the keys known there; `${NAME}` is replaced from the environment, so that
secrets stay out of the file. Every default is safe, and `config.example.yaml` shows them all.
"""

import os
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, cast

import yaml

from gateway.errors import ConfigInvalid
from gateway.model import Visibility

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where we listen and how we are reached.

    ports: further ports, for repositories mounted at the root of one (`hosts: [":4873"]`).
    public_url: our external address; empty means `http://<host>:<port>`, or the trusted proxy's headers.
    base_domain: with it, `<type>.<base_domain>/<owner>/<repo>/` is the same repository.
    trusted_proxies: networks whose X-Forwarded-* headers are believed, read from right to left.
    fast_path: answer repeated requests before they are parsed; false to leave everything to aiohttp.
    shutdown_seconds: how long running responses may finish after SIGTERM.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    ports: tuple[int, ...] = ()
    workers: int = 1
    public_url: str = ""
    base_domain: str = ""
    trusted_proxies: tuple[str, ...] = ()
    fast_path: bool = True
    shutdown_seconds: float = 30.0
    max_upload_size: int = 20 * 1024**3


@dataclass(frozen=True, slots=True)
class CacheConfig:
    """The cache store: `max_size` bytes, least recently used first.

    Documents over `max_document_size` and files over `max_file_size` bytes are refused. memory: bytes that each worker
    keeps as ready responses.
    """

    max_size: int = 100 * 1024**3
    max_document_size: int = 128 * 1024**2
    max_file_size: int = 20 * 1024**3
    memory: int = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class UpstreamConfig:
    """A remote registry. `preset` fills in type, url and hosts of a public one.

    hosts: further hosts that its documents may name for files. username/password or token are sent to the origin of
    `url` only and never follow a redirect off it. max_age: seconds a document is fresh when the upstream says nothing;
    max_stale: seconds it may still be served while the upstream is in trouble; negative_ttl: seconds a 404 is believed.
    namespace: put before names of one part where the registry knows them so (Docker Hub's `library`).
    absent_on_403: the upstream says 403 where it means absent. include, exclude: patterns of the packages that it is
    asked for (empty: all), and of those that it never is.
    prefixes: believe the document in which it says with what the paths of its packages begin. budget: requests an hour
    that its own host is sent, over all workers; 0: any number.
    """

    preset: str = ""
    type: str = ""
    url: str = ""
    hosts: tuple[str, ...] = ()
    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    max_age: float = 300.0
    max_stale: float = 30 * 86400.0
    negative_ttl: float = 60.0
    connect_timeout: float = 5.0
    read_timeout: float = 30.0
    retries: int = 2
    absent_on_403: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefixes: bool = False
    namespace: str = ""
    budget: int = 0


@dataclass(frozen=True, slots=True)
class RepositoryConfig:
    """One repository below `repositories.<type>.<owner>/<name>`."""

    layers: tuple[str, ...] = ("hosted",)
    visibility: Visibility = Visibility.PRIVATE
    reserve: tuple[str, ...] = ()
    merge: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """Failures: after `max_failures` bad credentials within `failure_window` seconds an address gets 429.

    pass_seconds: how long a pass of a token service lives, at least 60. refresh_passes: let clients that ask for it
    have passes renewed without the token that they stand for; they end with that token.
    """

    max_failures: int = 20
    failure_window: float = 60.0
    session_seconds: float = 12 * 3600.0
    pass_seconds: float = 300.0
    refresh_passes: bool = True


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Where the structured access log goes: `stdout`, `stderr`, a file's path, or `off`."""

    access: str = "stdout"
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file. `data` is the folder that holds catalogue and blobs."""

    data: Path = Path("data")
    server: ServerConfig = field(default_factory=ServerConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    auth: AuthConfig = field(default_factory=AuthConfig)
    log: LogConfig = field(default_factory=LogConfig)
    upstreams: Mapping[str, UpstreamConfig] = field(default_factory=dict)
    repositories: Mapping[str, Mapping[str, RepositoryConfig]] = field(default_factory=dict)


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in this file, or the defaults for None; raises ConfigInvalid."""
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigInvalid(f"{path}: cannot be read: {error.strerror}") from error
    return parse(text, environ)


def parse(text: str, environ: Mapping[str, str]) -> Config:
    """Read YAML text; raises ConfigInvalid with the full path of what is wrong."""
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigInvalid(f"not YAML: {' '.join(str(error).split())}") from error
    return cast("Config", _build(Config, tree if tree is not None else {}, "", environ))


def _build(kind: Any, value: Any, path: str, environ: Mapping[str, str]) -> Any:
    """`value` as the annotated type `kind`."""
    if is_dataclass(kind):
        return _section(kind, value, path, environ)
    origin = typing.get_origin(kind)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigInvalid(f"{path}: expected a list, got {_said(value)}")
        return tuple(_build(typing.get_args(kind)[0], item, f"{path}.{i}", environ) for i, item in enumerate(value))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(typing.get_args(kind)[1], value, path, environ)
    return _scalar(kind, value, path, environ)


def _section(kind: Any, value: Any, path: str, environ: Mapping[str, str]) -> Any:
    if not isinstance(value, dict):
        raise ConfigInvalid(f"{path or 'the file'}: expected keys and values, got {_said(value)}")
    known = {f.name: f for f in fields(kind)}
    hints = typing.get_type_hints(kind)
    for key in value:
        if key not in known:
            where = f"{path}.{key}" if path else str(key)
            raise ConfigInvalid(f"{where}: unknown key (known: {', '.join(known)})")
    for name, f in known.items():
        if name not in value and f.default is MISSING and f.default_factory is MISSING:
            raise ConfigInvalid(f"{path}.{name}: missing".lstrip("."))
    built = {
        key: _build(hints[key], item, f"{path}.{key}".lstrip("."), environ)
        for key, item in value.items()
        if item is not None
    }
    return kind(**built)


def _mapping(kind: Any, value: Any, path: str, environ: Mapping[str, str]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigInvalid(f"{path}: expected keys and values, got {_said(value)}")
    if kind is Any:
        return {str(key): _expand(item, f"{path}.{key}", environ) for key, item in value.items()}
    return {
        str(key): _build(kind, {} if item is None else item, f"{path}.{key}", environ) for key, item in value.items()
    }


def _scalar(kind: Any, value: Any, path: str, environ: Mapping[str, str]) -> Any:
    value = _expand(value, path, environ)
    if isinstance(kind, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if kind is Path and isinstance(value, str):
        return Path(value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        known = [str(member.value) for member in kind]
        if value not in known:
            raise ConfigInvalid(f"{path}: expected one of {', '.join(known)}, got {_said(value)}")
        return kind(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigInvalid(f"{path}: expected {_NAMES.get(kind, kind.__name__)}, got {_said(value)}")
    return value


def _expand(value: Any, path: str, environ: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise ConfigInvalid(f"{path}: the environment has no {match[1]}")
        return environ[match[1]]

    return _VARIABLE.sub(replace, value)


_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _said(value: Any) -> str:
    """What came, without repeating what may be a secret."""
    return {dict: "keys and values", list: "a list", type(None): "nothing"}.get(type(value), f"{type(value).__name__}")
