"""Whether repositories may be configured so: layers that exist, patterns that can match. Decisions only, no I/O."""

from collections.abc import Mapping

from gateway.adjusting import check_settings
from gateway.config import Config, RepositoryConfig
from gateway.errors import ConfigInvalid, GatewayError, Invalid
from gateway.format import Format
from gateway.model import HOSTED_LAYER, RepositoryKey
from gateway.upstream.registry import Upstream, build_upstreams


def configured(config: Config, formats: Mapping[str, Format]) -> dict[RepositoryKey, RepositoryConfig]:
    """The repositories of the configuration, checked; raises ConfigInvalid with the path of what is wrong."""
    found: dict[RepositoryKey, RepositoryConfig] = {}
    upstreams = build_upstreams(config)
    names = {f"{type_}/{name}" for type_, entries in config.repositories.items() for name in entries}
    for type_, entries in config.repositories.items():
        for name, entry in entries.items():
            path = f"repositories.{type_}.{name}"
            if type_ not in formats:
                raise ConfigInvalid(f"repositories.{type_}: unknown type (known: {', '.join(sorted(formats))})")
            try:
                key = RepositoryKey.parse(f"{type_}/{name}")
            except Invalid as error:
                raise ConfigInvalid(f"{path}: expected owner/repository as its key") from error
            check(path, type_, entry, names, upstreams, formats)
            found[key] = entry
    return found


def check(
    path: str,
    type_: str,
    entry: RepositoryConfig,
    known: set[str],
    upstreams: Mapping[str, Upstream],
    formats: Mapping[str, Format],
) -> None:
    """Raise ConfigInvalid unless this repository may exist. `known`: `type/owner/name` of those that do."""
    format_ = formats.get(type_)
    if format_ is None:
        raise ConfigInvalid(f"{path}: unknown type {type_} (known: {', '.join(sorted(formats))})")
    if not entry.layers:
        raise ConfigInvalid(f"{path}.layers: a repository needs at least one layer")
    for i, layer in enumerate(entry.layers):
        _check_layer(f"{path}.layers.{i}", type_, layer, known, upstreams)
    for key, patterns in (("reserve", entry.reserve), ("merge", entry.merge)):
        for i, pattern in enumerate(patterns):
            _check_pattern(f"{path}.{key}.{i}", pattern, format_)
    try:
        check_settings(entry.settings, format_)
    except Invalid as error:
        raise ConfigInvalid(f"{path}.{error.message}") from error


def _check_layer(path: str, type_: str, layer: str, known: set[str], upstreams: Mapping[str, Upstream]) -> None:
    if layer == HOSTED_LAYER:
        return
    if "/" in layer:
        if f"{type_}/{layer}" not in known:
            raise ConfigInvalid(f"{path}: there is no {type_} repository {layer}")
        return
    upstream = upstreams.get(layer)
    if upstream is None or upstream.type != type_:
        fitting = ", ".join(sorted(name for name, other in upstreams.items() if other.type == type_))
        raise ConfigInvalid(f"{path}: no {type_} upstream {layer} (known: {fitting or 'none'})")


def _check_pattern(path: str, pattern: str, format_: Format) -> None:
    """A pattern is compared with canonical names, so one that is not written canonically would protect nothing."""
    sample = pattern.replace("*", "x")
    try:
        canonical = format_.normalize(sample)
    except GatewayError as error:
        raise ConfigInvalid(f"{path}: {pattern!r} can match no package: {error.message}") from error
    if canonical != sample:
        raise ConfigInvalid(f"{path}: {pattern!r} would match no package; write {canonical!r}, with * where x stands")
