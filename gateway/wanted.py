"""Whether repositories may be so: layers that exist, patterns that can match. The configuration file, the command line
and the API ask here. Decisions only, no I/O.
"""

from collections.abc import Callable, Collection, Mapping

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
    for type_, entries in config.repositories.items():
        for name, entry in entries.items():
            path = f"repositories.{type_}.{name}"
            if type_ not in formats:
                raise ConfigInvalid(f"repositories.{type_}: unknown type (known: {', '.join(sorted(formats))})")
            try:
                key = RepositoryKey.parse(f"{type_}/{name}")
            except Invalid as error:
                raise ConfigInvalid(f"{path}: expected owner/repository as its key") from error
            check_at(path, type_, entry, formats[type_], upstreams, entries.__contains__)
            found[key] = entry
    return found


def check_at(
    path: str,
    type_: str,
    entry: RepositoryConfig,
    format_: Format,
    upstreams: Mapping[str, Upstream],
    is_there: Callable[[str], bool],
) -> None:
    """As `check`, but raise ConfigInvalid that says where the repository stands."""
    try:
        check(type_, entry, format_, upstreams, is_there)
    except Invalid as error:
        raise ConfigInvalid(f"{path}.{error.message}") from error


def check(
    type_: str,
    entry: RepositoryConfig,
    format_: Format,
    upstreams: Mapping[str, Upstream],
    is_there: Callable[[str], bool],
    kept: Collection[str] = (),
) -> None:
    """Raise Invalid, its message beginning with the key, unless a repository may be so.

    is_there: whether there is a repository `owner/name` of this type. kept: layers that it has had, which may stay even
    where they are gone.
    """
    if not entry.layers:
        raise Invalid("layers: a repository needs at least one layer")
    for i, layer in enumerate(entry.layers):
        if layer not in kept:
            _check_layer(f"layers.{i}", type_, layer, upstreams, is_there)
    for key, patterns in (("reserve", entry.reserve), ("merge", entry.merge)):
        for i, pattern in enumerate(patterns):
            _check_pattern(f"{key}.{i}", pattern, format_)
    check_settings(entry.settings, format_)


def _check_layer(
    path: str, type_: str, layer: str, upstreams: Mapping[str, Upstream], is_there: Callable[[str], bool]
) -> None:
    if layer == HOSTED_LAYER:
        return
    if "/" in layer:
        if not is_there(layer):
            raise Invalid(f"{path}: there is no {type_} repository {layer[:200]}")
        return
    upstream = upstreams.get(layer)
    if upstream is None or upstream.type != type_:
        fitting = ", ".join(sorted(name for name, other in upstreams.items() if other.type == type_))
        raise Invalid(f"{path}: no {type_} upstream {layer[:80]} (known: {fitting or 'none'})")


def _check_pattern(path: str, pattern: str, format_: Format) -> None:
    """A pattern is compared with canonical names, so one that is not written canonically would protect nothing."""
    sample = pattern.replace("*", "x")
    try:
        canonical = format_.normalize(sample)
    except GatewayError as error:
        raise Invalid(f"{path}: {pattern[:80]!r} can match no package: {error.message}") from error
    if canonical != sample:
        raise Invalid(f"{path}: {pattern[:80]!r} would match no package; write {canonical!r}, with * where x stands")
