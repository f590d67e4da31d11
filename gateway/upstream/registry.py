"""The upstreams of a configuration, checked once at start. No I/O.

Every preset is ready under its own name; an entry of the configuration overrides or adds to them.
"""

import base64
import re
from collections.abc import Mapping

from msgspec import Struct, field
from yarl import URL

from gateway.config import Config, UpstreamConfig
from gateway.errors import ConfigInvalid
from gateway.model import HOSTED_LAYER, matches
from gateway.upstream.addresses import Bounds, authority, parse_address
from gateway.upstream.presets import PRESETS, Preset

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z")
_HOST = re.compile(r"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?\Z")


class Upstream(Struct, frozen=True):
    """A remote registry.

    url: its base, ends with `/`. hosts: every `host` or `host:port` that its documents may name, its own included.
    include: patterns of the packages that it has, where it is known to have only these. namespace, is_prefixed
    (`prefixes`): see UpstreamConfig.
    """

    name: str
    type: str
    url: str
    hosts: frozenset[str]
    config: UpstreamConfig = field(default_factory=UpstreamConfig)
    include: tuple[str, ...] = ()
    namespace: str = ""
    is_prefixed: bool = False

    def named(self, package: str) -> str:
        """The name by which this upstream knows a package."""
        return f"{self.namespace}/{package}" if self.namespace and "/" not in package else package

    def admits(self, package: str) -> bool:
        """Whether it may be asked for this canonical name."""
        if self.include and not any(matches(pattern, package) for pattern in self.include):
            return False
        return not any(matches(pattern, package) for pattern in self.config.exclude)

    @property
    def base(self) -> URL:
        """The base URL, parsed; its origin is the only one that is sent credentials."""
        return URL(self.url, encoded=True)

    @property
    def bounds(self) -> Bounds:
        """What this upstream may be asked for."""
        return Bounds(self.name, self.base, self.hosts)

    def authorization(self) -> str | None:
        """The Authorization header for the origin of `url`, or None."""
        if self.config.token:
            return f"Bearer {self.config.token}"
        if self.config.username or self.config.password:
            pair = f"{self.config.username}:{self.config.password}"
            return f"Basic {base64.b64encode(pair.encode()).decode()}"
        return None


def build_upstreams(config: Config) -> dict[str, Upstream]:
    """Name → upstream, for the presets and all of the configuration; raises ConfigInvalid with the key's full path."""
    upstreams = {name: _built(name, UpstreamConfig(preset=name)) for name in PRESETS}
    return upstreams | {name: _built(name, entry) for name, entry in config.upstreams.items()}


def _built(name: str, entry: UpstreamConfig) -> Upstream:
    path = f"upstreams.{name}"
    if not _NAME.match(name) or name == HOSTED_LAYER:
        raise ConfigInvalid(f"{path}: not a name for an upstream (letters, digits, `.`, `_`, `-`)")
    preset = _preset(path, name, entry)
    kind = entry.type or (preset.type if preset else "")
    if not kind:
        raise ConfigInvalid(f"{path}.type: missing")
    base = _base(f"{path}.url", entry.url or (preset.url if preset else ""))
    # Someone who puts a mirror in a public registry's place does not expect us to go to the public file hosts.
    is_public = preset is not None and (entry.preset != "" or entry.url == "")
    hosts = entry.hosts or (preset.hosts if preset and is_public else ())
    _check_numbers(path, entry)
    _check_credentials(path, entry)
    include = entry.include or (preset.include if preset and is_public else ())
    namespace = entry.namespace or (preset.namespace if preset and is_public else "")
    known = _hosts(f"{path}.hosts", hosts) | {authority(base)}
    prefixes = entry.prefixes or (preset is not None and is_public and preset.prefixes)
    return Upstream(name, kind, str(base), known, entry, include, namespace, prefixes)


def _preset(path: str, name: str, entry: UpstreamConfig) -> Preset | None:
    if entry.preset and entry.preset not in PRESETS:
        raise ConfigInvalid(f"{path}.preset: unknown preset {entry.preset[:80]!r} (known: {', '.join(PRESETS)})")
    return PRESETS.get(entry.preset or name)


def _base(path: str, text: str) -> URL:
    if not text:
        raise ConfigInvalid(f"{path}: missing")
    try:
        url = parse_address(text)
    except ValueError as error:
        hint = ": put `username` and `password` in their own keys" if "userinfo" in str(error) else ""
        raise ConfigInvalid(f"{path}: {error}{hint}") from error
    if url.raw_query_string:
        raise ConfigInvalid(f"{path}: a base address has no query")
    folder = url.raw_path.removesuffix("index.json")  # NuGet is configured by its service index
    return url.with_path(folder if folder.endswith("/") else f"{folder}/", encoded=True)


def _hosts(path: str, hosts: tuple[str, ...]) -> frozenset[str]:
    for index, host in enumerate(hosts):
        if not _HOST.match(host):
            raise ConfigInvalid(f"{path}.{index}: expected `host` or `host:port`, got {host[:80]!r}")
    return frozenset(host.lower() for host in hosts)


def _check_numbers(path: str, entry: UpstreamConfig) -> None:
    numbers: Mapping[str, float] = {
        "connect_timeout": entry.connect_timeout,
        "read_timeout": entry.read_timeout,
    }
    for key, value in numbers.items():
        if not 0 < value <= 3600:
            raise ConfigInvalid(f"{path}.{key}: expected seconds above 0, at most 3600, got {value:g}")
    for key in ("max_age", "max_stale", "negative_ttl"):
        if getattr(entry, key) < 0:
            raise ConfigInvalid(f"{path}.{key}: expected seconds, 0 or more, got {getattr(entry, key):g}")
    if entry.budget < 0:
        raise ConfigInvalid(f"{path}.budget: expected requests an hour, or 0 for any number, got {entry.budget}")
    if not 0 <= entry.retries <= 10:
        raise ConfigInvalid(f"{path}.retries: expected 0 to 10, got {entry.retries}")


def _check_credentials(path: str, entry: UpstreamConfig) -> None:
    if entry.token and (entry.username or entry.password):
        raise ConfigInvalid(f"{path}.token: either a token, or username and password")
    for key in ("token", "username", "password"):
        if any(ord(letter) < 0x20 or ord(letter) == 0x7F for letter in getattr(entry, key)):
            raise ConfigInvalid(f"{path}.{key}: control characters (a line break at the end of a secret?)")
    if ":" in entry.username:
        raise ConfigInvalid(f"{path}.username: a colon cannot be sent (RFC 7617 §2)")
